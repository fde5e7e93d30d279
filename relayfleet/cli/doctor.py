"""`fleet doctor`."""

from __future__ import annotations

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit, emit_json


def run(ctx: Context) -> int:
    """1 when anything is broken.

    --json: {"version": 1, "findings": [{"level": "ok" | "warning" | "broken", "subject", "what", "fix"}]}.
    """
    from relayfleet.bootstrap import examine

    findings = examine(ctx.layout)
    broken = sum(finding.level == "broken" for finding in findings)
    if ctx.json:
        shown = [{"level": f.level, "subject": f.subject, "what": f.what, "fix": f.fix} for f in findings]
        emit_json({"version": 1, "findings": shown})
    else:
        for finding in findings:
            emit(f"{finding.level:<8} {finding.subject}: {finding.what}")
            if finding.level != "ok":
                emit(f"{'':<8} fix: {finding.fix}")
        warnings = sum(finding.level == "warning" for finding in findings)
        emit(f"{broken} broken, {warnings} warnings, {len(findings) - broken - warnings} ok")
    return 1 if broken else 0
