from __future__ import annotations

import pytest

from relayfleet.model.writing import Writing, decode_writing, encode_writing, writings_in

COMMENT = "https://github.com/acme/WMS/issues/41#issuecomment-99"
ITEM = "https://github.com/acme/WMS/issues/41"


def of(command: str, output: str = "") -> set[str]:
    return {one.url or f"{one.repo}#{one.number}" for one in writings_in(command, output, at=1.0)}


@pytest.mark.parametrize(
    ("command", "output", "found"),
    [
        ("gh issue comment 41 --body hello", f"{COMMENT}\n", {COMMENT, "acme/WMS#41", "#41"}),
        ("cd /x && gh issue create -t a -b b", f"\nCreating issue\n{ITEM}\n", {ITEM, "acme/WMS#41"}),
        ("gh issue edit 41 -R acme/WMS --add-label bug", ITEM, {"acme/WMS#41"}),
        ("gh pr review 42 --approve", "- Approved pull request acme/WMS#42", {"acme/WMS#42", "#42"}),
        ("gh issue close 41", "✓ Closed issue #41 (title)", {"#41"}),
        (f"gh pr merge {ITEM.replace('issues', 'pull')}", "", {"acme/WMS#41"}),
        (
            "gh api repos/acme/WMS/issues/41/comments -f body=hi",
            f'{{"html_url": "{COMMENT}"}}',
            {COMMENT, "acme/WMS#41"},
        ),
        ("gh api -X POST repos/acme/WMS/issues -f title=t", f'{{"html_url":"{ITEM}"}}', {ITEM, "acme/WMS#41"}),
        ("/usr/bin/gh api graphql -f query='mutation { addComment }'", COMMENT, {COMMENT, "acme/WMS#41"}),
    ],
)
def test_what_a_call_wrote(command: str, output: str, found: set[str]) -> None:
    assert of(command, output) == found


@pytest.mark.parametrize(
    "command",
    [
        "gh issue view 41 --comments",
        "gh issue list --json url",
        "gh api repos/acme/WMS/issues/41/comments",
        "gh api graphql -f query='{ viewer { login } }'",
        "cat notes-about-gh.txt",
        "curl https://api.github.com",
        "echo weigh issue create",
    ],
)
def test_reading_writes_nothing(command: str) -> None:
    assert of(command, f"{COMMENT}\n{ITEM}\n#41") == set()


def test_a_line_and_back() -> None:
    for writing in (Writing(at=1.5, url=COMMENT), Writing(at=2.0, repo="acme/WMS", number=41)):
        assert decode_writing(encode_writing(writing)) == writing


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b'{"url": 1}', b'{"number": "x"}', b"{}", b"\xff"])
def test_what_is_no_line(line: bytes) -> None:
    assert decode_writing(line) is None
