"""Why something that should run does not, by name, and what the supervisor's answer to it is. Pure.

A daemon that gives up writes the name into its failure file (`reason`); the supervisor itself tells of `killed`,
`unresponsive` and `storm`. An error carries its name as `FleetError.fault`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

Reason = Literal[
    "crashed_before_ready",  # the session process ended again and again before it was ready
    "crashed_in_turn",  # ... while it was at a turn
    "exited",  # the session ended by itself, in order
    "resume_refused",  # Claude Code will not go on with the conversation
    "transcript_corrupt",  # the conversation's file cannot be read
    "disk_full",
    "endpoint_down",  # where the model traffic goes does not answer
    "login_expired",
    "bad_config",
    "program_missing",
    "bad_version",  # of Claude Code
    "session_held",  # somebody else has the same conversation open
    "bug",
    "killed",  # no failure file and the lock is free: kill -9, out of memory
    "unresponsive",  # the lock is held, and nobody answers
    "storm",  # started again and again, and it never stayed up
]
REASONS: frozenset[str] = frozenset(get_args(Reason))

# `back_off`: start again after a delay that doubles; too many of those are a storm. `wait`: look each minute whether
# there is a point in starting again; such starts are no storm. `hold`: nothing until `fleet start`.
Act = Literal["back_off", "wait", "hold"]
# What `wait` waits for: another login or configuration (their files' times), room on the disk, or only time.
Until = Literal["login", "config", "space", "time"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`until` is what `wait` waits for. `hint` tells the operator what to do; `{name}` in it is the agent's."""

    act: Act
    hint: str
    until: Until | None = None


_ANSWERS: Final[Mapping[Reason, Answer]] = {
    "crashed_before_ready": Answer(act="back_off", hint="see `fleet logs {name}`"),
    "crashed_in_turn": Answer(act="back_off", hint="see `fleet logs {name}` and `fleet inbox {name}`"),
    "exited": Answer(act="back_off", hint="to keep it down, run `fleet stop {name}`"),
    "resume_refused": Answer(
        act="hold", hint="see `fleet logs {name}`; `fleet start {name}` tries once more to go on with its conversation"
    ),
    "transcript_corrupt": Answer(
        act="hold", hint="restore its transcript from a backup, then run `fleet start {name}`"
    ),
    "disk_full": Answer(act="wait", until="space", hint="make room on the disk: it is started when there is some"),
    "endpoint_down": Answer(act="wait", until="time", hint="see that its endpoint answers: it is tried each minute"),
    "login_expired": Answer(
        act="wait", until="login", hint="run `fleet login {name}`, or renew its token and run `fleet start {name}`"
    ),
    "bad_config": Answer(act="wait", until="config", hint="correct its configuration: it is started when it changes"),
    "program_missing": Answer(act="wait", until="time", hint="install it (`fleet doctor`): it is tried each minute"),
    "bad_version": Answer(
        act="wait", until="time", hint="install a tested version (`fleet doctor`): it is tried each minute"
    ),
    "session_held": Answer(act="wait", until="time", hint="end the other session: it is tried each minute"),
    "bug": Answer(act="back_off", hint="the trace is in `fleet logs {name} --runner`"),
    "killed": Answer(act="back_off", hint="see `fleet logs {name} --runner`, and whether memory ran out"),
    "unresponsive": Answer(act="back_off", hint="see `fleet logs {name} --runner`"),
    "storm": Answer(act="hold", hint="see `fleet logs {name}`; when the cause is mended, run `fleet start {name}`"),
}


def answer_to(reason: Reason) -> Answer:
    return _ANSWERS[reason]


def hint_for(reason: Reason, name: str) -> str:
    return _ANSWERS[reason].hint.replace("{name}", name)


def as_reason(text: object) -> Reason | None:
    """The reason that a file names; None of what no version of this program wrote."""
    return text if isinstance(text, str) and text in REASONS else None  # type: ignore[return-value]
