"""Which versions of Claude Code this program was tried with. Pure."""

from __future__ import annotations

import re

# The first and the last version that the tests ran with.
TESTED = ("2.1.328", "2.1.328")
_VERSION = re.compile(r"\d+\.\d+\.\d+")


def version_in(text: str) -> str:
    """The first version number in what `claude --version` prints, or ""."""
    found = _VERSION.search(text)
    return found.group() if found else ""


def fault_of_version(version: str) -> str | None:
    """Why a session of this version cannot be relied on, or None when it can."""
    if not _VERSION.fullmatch(version):
        return "it does not say which version it is"
    if _numbers(version) < _numbers(TESTED[0]):
        return (
            f"version {version} is older than {TESTED[0]}: the session's inbox socket and the prompt_id of its hooks, "
            "which deliveries and receipts rest on, are not known to be there"
        )
    return None


def is_newer_than_tested(version: str) -> bool:
    return _VERSION.fullmatch(version) is not None and _numbers(version) > _numbers(TESTED[1])


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
