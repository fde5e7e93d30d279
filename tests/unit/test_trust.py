"""Trust is closed when in doubt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relayfleet.model.trust import TRUST_LEVELS, Trust, admits, label_of

RANKED = ("NONE", "CONTRIBUTOR", "COLLABORATOR", "MEMBER", "OWNER")


def passing(trust: Trust | None, *, private: bool = False) -> set[str]:
    return {one for one in RANKED if admits(trust, association=one, author="ann", private=private).admitted}


@pytest.mark.parametrize(
    ("trust", "expected"),
    [
        (None, {"COLLABORATOR", "MEMBER", "OWNER"}),
        ("anyone", set(RANKED)),
        ("contributors", set(RANKED) - {"NONE"}),
        ("collaborators", {"COLLABORATOR", "MEMBER", "OWNER"}),
        ("members", {"MEMBER", "OWNER"}),
        ("owner", {"OWNER"}),
        ((), set()),
        (("bob", "ANN"), set(RANKED)),
    ],
)
def test_levels_on_a_public_repository(trust: Trust | None, expected: set[str]) -> None:
    assert passing(trust) == expected


def test_a_private_repository_trusts_anyone_unless_told_otherwise() -> None:
    assert passing(None, private=True) == set(RANKED)
    assert passing("members", private=True) == {"MEMBER", "OWNER"}


@given(st.text().filter(lambda one: one not in RANKED), st.sampled_from([*TRUST_LEVELS, None]))
def test_an_unknown_association_is_a_stranger(association: str, trust: Trust | None) -> None:
    verdict = admits(trust, association=association, author="ann", private=False)
    assert verdict.admitted == (trust == "anyone")
    assert label_of(association) == "stranger"
    assert verdict.reason


def test_nobody_is_not_a_name() -> None:
    assert not admits(("",), association="OWNER", author="", private=False).admitted
