"""`fleet doctor [--fix]`."""

from __future__ import annotations

import dataclasses

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit, emit_json
from relayfleet.errors import NotAllowed


def run(ctx: Context, *, fix: bool, agents: tuple[str, ...] = (), canary: bool = False, timeout: float = 60.0) -> int:
    """1 when anything is broken, or could not be mended. Nothing is changed without --fix; with it, the findings are
    those that are left.

    --json: {"version": 1, "findings": [{"level": "ok" | "warning" | "broken", "subject", "what", "fix"}], "mended":
    [{"subject", "what", "error"}]}; `error` is "" for what was done.
    """
    if canary or agents:
        from relayfleet.cli.doctor_canary import run as fly

        return fly(ctx, agents=agents, asked=canary, fix=fix, timeout_s=timeout)

    from relayfleet.bootstrap.doctor import examine, mender

    if fix and ctx.caller is not None:
        raise NotAllowed(
            "run `fleet doctor --fix`", "it is for the operator, not for agents", hint="ask the operator to run it"
        )
    mended = mender(ctx.layout).mend() if fix else []
    findings = examine(ctx.layout)
    broken = sum(finding.level == "broken" for finding in findings)
    failed = sum(bool(one.error) for one in mended)
    if ctx.json:
        shown = [{"level": f.level, "subject": f.subject, "what": f.what, "fix": f.fix} for f in findings]
        emit_json({"version": 1, "findings": shown, "mended": [dataclasses.asdict(one) for one in mended]})
    else:
        for one in mended:
            emit(
                f"cannot   {one.subject}: {one.what}: {one.error}"
                if one.error
                else f"mended   {one.subject}: {one.what}"
            )
        for finding in findings:
            emit(f"{finding.level:<8} {finding.subject}: {finding.what}")
            if finding.level != "ok":
                emit(f"{'':<8} fix: {finding.fix}")
        warnings = sum(finding.level == "warning" for finding in findings)
        emit(f"{broken} broken, {warnings} warnings, {len(findings) - broken - warnings} ok")
    return 1 if broken or failed else 0
