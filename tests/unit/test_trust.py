"""Trust is closed when in doubt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relayfleet.model.item import Note
from relayfleet.model.trust import (
    ASSOCIATIONS,
    TRUST_LEVELS,
    Admission,
    Rule,
    Trust,
    TrustLevel,
    admits,
    admits_item,
    label_of,
    rule_of,
)

RANKED = ("NONE", "CONTRIBUTOR", "COLLABORATOR", "MEMBER", "OWNER")
BOT = "dependabot[bot]"


def text(author: str = "ann", association: str = "NONE", *, bot: bool = False) -> Note:
    return Note(
        kind="comment",
        node_id="N",
        url="",
        author=author,
        association=association,
        bot=bot,
        body="",
        created_at="",
        updated_at="",
    )


def passing(trust: Trust | None, *, private: bool = False) -> set[str]:
    rule = rule_of(trust)
    return {one for one in RANKED if admits(rule, text(association=one), private=private).admitted}


def vouched(
    trust: Trust | None, *vouchers: str, bots: tuple[str, ...] = (), author: str = "mallory", private: bool = False
) -> Admission:
    return admits_item(rule_of(trust, bots), text(author), vouchers, private=private)


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
def test_an_unknown_association_is_a_stranger(association: str, trust: TrustLevel | None) -> None:
    verdict = admits(rule_of(trust), text(association=association), private=False)
    assert verdict.admitted == (trust == "anyone")
    assert label_of(association) == "stranger"
    assert verdict.reason


def test_nobody_is_not_a_name_and_neither_is_a_lost_account() -> None:
    for author in ("", "ghost", "Ghost"):
        assert not admits(rule_of((author,)), text(author, "OWNER"), private=False).admitted
    assert vouched(("ghost",), "ghost").standing == "withheld"
    assert vouched("collaborators", "ghost").standing == "withheld"


@pytest.mark.parametrize("trust", [None, *TRUST_LEVELS])
@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("flagged", [False, True])
def test_no_level_lets_a_bot_through(trust: TrustLevel | None, private: bool, flagged: bool) -> None:
    one = text(BOT if not flagged else "app-of-some-kind", "OWNER", bot=flagged)
    assert not admits(rule_of(trust), one, private=private).admitted
    assert not admits(rule_of(trust, ("other[bot]",)), one, private=private).admitted
    assert admits(rule_of(trust, (one.author.upper(),)), one, private=private).admitted


def test_a_bot_may_be_named_in_a_list_of_logins() -> None:
    assert admits(rule_of(("ann", BOT)), text(BOT), private=False).admitted
    assert not admits(rule_of(("ann",), ("other[bot]",)), text(BOT), private=False).admitted


def test_reasons_in_words() -> None:
    def said(trust: Trust | None, one: Note, *bots: str, private: bool = False) -> str:
        return admits(rule_of(trust, bots), one, private=private).reason

    mallory = text("mallory")
    assert said(None, mallory) == (
        "'mallory' is stranger (NONE); collaborators wanted, the default of a public repository"
    )
    assert said("members", text("ann", "CONTRIBUTOR")) == "'ann' is contributor (CONTRIBUTOR); members wanted"
    assert said("owner", text("ann", "")) == "'ann' is stranger (unknown); owner wanted"
    assert said(None, mallory, private=True) == "anyone is trusted, the default of a private repository"
    assert said("anyone", mallory) == "anyone is trusted"
    assert said(("ann",), text("Ann")) == "'Ann' is named"
    assert said(("ann",), mallory) == "'mallory' is not among the logins named"
    assert said("anyone", text(BOT)) == "'dependabot[bot]' is a bot, and not named in bots"
    assert said("anyone", text(BOT), BOT) == "'dependabot[bot]' is a bot that is named"
    assert vouched(None, "alice").reason == "'alice' vouched for it"
    assert vouched("owner", "alice", "bob").reason == (
        "'mallory' is stranger (NONE); owner wanted; that 'alice', 'bob' vouched for it does not count on this route"
    )


@pytest.mark.parametrize(
    ("trust", "standing"),
    [
        (None, "vouched"),
        ("contributors", "vouched"),
        ("collaborators", "vouched"),
        ("members", "withheld"),
        ("owner", "withheld"),
        (("bob",), "withheld"),
        (("ALICE",), "vouched"),
    ],
)
def test_on_which_routes_a_person_s_vouching_counts(trust: Trust | None, standing: str) -> None:
    assert vouched(trust, "alice").standing == standing
    assert vouched(trust).standing == "withheld"


def test_who_is_admitted_in_his_own_right_needs_nobody_s_word() -> None:
    assert admits_item(rule_of(None), text("ann", "MEMBER"), ("alice",), private=False).standing == "full"


def test_a_bot_vouches_only_where_it_is_named() -> None:
    assert vouched(None, BOT).standing == "withheld"
    assert vouched(None, BOT, bots=("Dependabot[bot]",)).standing == "vouched"
    assert vouched(("bob", BOT), BOT).standing == "vouched"
    assert vouched(("bob",), BOT, bots=(BOT,)).standing == "withheld"
    assert vouched("members", BOT, bots=(BOT,)).standing == "withheld"
    assert vouched(None, BOT, "alice").reason == "'alice' vouched for it"


@pytest.mark.parametrize("private", [False, True])
def test_a_person_can_vouch_for_what_a_bot_wrote(private: bool) -> None:
    assert vouched(None, "alice", author=BOT, private=private).standing == "vouched"
    assert vouched("anyone", "alice", author=BOT, private=private).standing == "vouched"


LOGINS = st.sampled_from(["ann", "alice", "mallory", "ghost", BOT, "ci[bot]"])


@given(
    LOGINS,
    st.sampled_from(ASSOCIATIONS),
    st.lists(LOGINS, max_size=3),
    st.frozensets(st.sampled_from([BOT, "ci[bot]"])),
    st.booleans(),
)
def test_a_narrower_level_never_lets_more_through(
    author: str, association: str, vouchers: list[str], bots: frozenset[str], private: bool
) -> None:
    amounts = [
        ("withheld", "vouched", "full").index(
            admits_item(Rule(level, bots), text(author, association), vouchers, private=private).standing
        )
        for level in TRUST_LEVELS
    ]
    assert amounts == sorted(amounts, reverse=True)
