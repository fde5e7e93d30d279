"""How a person names an item."""

from __future__ import annotations

import pytest

from relayfleet.model.item_name import ItemName, parse_item_name


@pytest.mark.parametrize(
    ("text", "repo", "number"),
    [
        ("acme/WMS#41", "acme/WMS", 41),
        ("acme/WMS", "acme/WMS", None),
        (" ghe.acme.test/acme/WMS#41\n", "ghe.acme.test/acme/WMS", 41),
        ("https://github.com/acme/WMS/issues/41", "acme/WMS", 41),
        ("https://github.com/acme/WMS/pull/41/files#diff-1", "acme/WMS", 41),
        ("http://GHE.acme.test/acme/WMS/issues/41#issuecomment-9", "ghe.acme.test/acme/WMS", 41),
        ("https://github.com/acme/WMS/actions/runs/123456789012", "acme/WMS", 123456789012),
    ],
)
def test_names(text: str, repo: str, number: int | None) -> None:
    assert parse_item_name(text) == ItemName(repo=repo, number=number)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "41",
        "#41",
        "acme",
        "acme/WMS#",
        "acme/WMS#x",
        "acme/WMS#-1",
        "acme/WMS#1234567890123456789",
        "acme/WMS 41",
        "a/b/c/d#1",
        "https://github.com/acme/WMS",
        "https://github.com/acme/WMS/issues/new",
    ],
)
def test_what_names_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="OWNER/NAME#NUMBER"):
        parse_item_name(text)
