"""Vouching: somebody with triage rights took an item up, and so stands for its text as it was then. Pure.

GitHub lets only people with triage rights assign others, label, or ask for a review. An author's own act does not
count: an issue template assigns and labels in its author's name. Nor does that of an account that is no more: it may
have been an app's.
"""

from __future__ import annotations

from relayfleet.model.item import Report
from relayfleet.model.trust import GHOST

_VOUCHING = frozenset({"assigned", "labeled", "review_requested"})


def vouchers_of(report: Report) -> tuple[str, ...]:
    """The logins of those whose act is later than the last edit of the item's title and body, a bot's with `[bot]`.

    GitHub's times are whole seconds: an edit within the second of the act may have come after it, and undoes it.
    """
    item = report.item
    touched = max([item.edited_at, *(act.at for act in report.acts if act.kind == "renamed")])
    found = {
        act.actor: None
        for act in report.acts
        if act.kind in _VOUCHING
        and act.at > touched
        and act.actor.casefold() not in (GHOST, item.author.casefold())
        # Whoever pushes makes GitHub ask the code owners, in the name of who pushed.
        and not (act.kind == "review_requested" and act.subject in item.code_owners)
    }
    return tuple(found)
