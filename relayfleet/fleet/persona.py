"""The CLAUDE.md of a new agent: the brief of its role, then what every agent of the fleet has to know."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from relayfleet.errors import FleetError
from relayfleet.model.names import Role

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
_PLACE = re.compile(r"\{(name|repo|fleet)\}")
_NO_REPO = "(no repository yet)"


def fill(template: str, values: Mapping[str, str]) -> str:
    """Fills {name}, {repo} and {fleet}; other braces stay as they are."""
    return _PLACE.sub(lambda found: values[found.group(1)], template)


def read_persona(role: Role, *, name: str, repo: str | None, fleet: str, templates: Path = TEMPLATES) -> str:
    """The text for one agent. Raises FleetError when a template cannot be read."""
    texts = []
    for path in (templates / "roles" / f"{role}.md", templates / "base.md"):
        try:
            texts.append(path.read_text(encoding="utf-8").strip())
        except (OSError, UnicodeDecodeError) as error:
            raise FleetError(
                f"read template {str(path)!r}", str(error), hint="restore the templates from the repository"
            ) from error
    return fill("\n\n".join(texts) + "\n", {"name": name, "repo": repo or _NO_REPO, "fleet": fleet})
