"""The GraphQL that is asked: many small questions in one query, each under an alias of its own. Pure.

A *probe* shows what changed lately in one repository: no nested connection, so that a hundred of them cost one point.
A *listing* shows what is there, for the first look of a watch; it is *whole* when the watch's filter asks for labels or
assignees, which are connections and cost points, and a glimpse otherwise. A *search* is for what only GitHub's index
knows. *Details* read single items by their node ids. Every string travels as a variable: nothing is pasted into a
query.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from relayfleet.model.event import Kind
from relayfleet.model.filter import Filter

PROBE_FIRST = 20
PAGE = 100
WHOLE_PAGE = 50
SEARCH_PAGE = 50
DETAILS_AT_ONCE = 100

_CONNECTION: Mapping[Kind, str] = {"issues": "issues", "pulls": "pullRequests"}
_STATE_ENUM: Mapping[Kind, str] = {"issues": "IssueState", "pulls": "PullRequestState"}
_GLIMPSE = (
    "__typename id number title url createdAt updatedAt author { login } authorAssociation"
    " repository { nameWithOwner isPrivate }"
)
_WHOLE = (
    f"{_GLIMPSE} body comments {{ totalCount }}"
    " labels(first: 100) { nodes { name } } assignees(first: 20) { nodes { login } }"
)
# The two states have types of their own, which one field of one answer may not have both.
_OF_ISSUE = "issueState: state"
_OF_PULL = "pullState: state isDraft baseRefName headRefName headRefOid"
_ISSUE = f"fragment issueParts on Issue {{ {_WHOLE} {_OF_ISSUE} }}"
_PULL = f"fragment pullParts on PullRequest {{ {_WHOLE} {_OF_PULL} }}"
_ISSUE_GLIMPSE = f"fragment issueGlimpse on Issue {{ {_GLIMPSE} {_OF_ISSUE} }}"
_PULL_GLIMPSE = f"fragment pullGlimpse on PullRequest {{ {_GLIMPSE} {_OF_PULL} }}"
_SHOWN: Mapping[tuple[Kind, bool], tuple[str, str]] = {
    ("issues", True): ("issueParts", _ISSUE),
    ("pulls", True): ("pullParts", _PULL),
    ("issues", False): ("issueGlimpse", _ISSUE_GLIMPSE),
    ("pulls", False): ("pullGlimpse", _PULL_GLIMPSE),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One alias: its text, with $0, $1 ... for its variables, and these as (type, value)."""

    text: str
    variables: tuple[tuple[str, Any], ...] = ()
    fragments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What goes to `gh api graphql --input -`. `aliases` are in the order of the questions."""

    text: str
    variables: Mapping[str, Any]
    aliases: tuple[str, ...]


def probe(repo: str, kind: Kind, *, after: str | None = None) -> Question:
    """The items of a repository that changed last, the newest first: `id updatedAt` of each."""
    fields = "nodes { id updatedAt } pageInfo { hasNextPage endCursor }"
    return _in_repository(repo, kind, fields, first=PAGE if after else PROBE_FIRST, after=after)


def listing(repo: str, kind: Kind, states: frozenset[str], *, whole: bool, after: str | None = None) -> Question:
    """The items of a repository in these states (none: any)."""
    name, fragment = _SHOWN[kind, whole]
    fields = f"nodes {{ ...{name} }} pageInfo {{ hasNextPage endCursor }}"
    first = WHOLE_PAGE if whole else PAGE if after else PROBE_FIRST
    return _in_repository(repo, kind, fields, first=first, after=after, states=states, fragments=(fragment,))


def search(text: str, *, after: str | None = None) -> Question:
    """What GitHub's search finds: `id updatedAt` of each."""
    return Question(
        text=f"search(query: $0, type: ISSUE, first: {SEARCH_PAGE}, after: $1)"
        " { nodes { ... on Issue { id updatedAt } ... on PullRequest { id updatedAt } }"
        " pageInfo { hasNextPage endCursor } }",
        variables=(("String!", text), ("String", after)),
    )


def details(node_ids: Sequence[str]) -> Question:
    return Question(
        text="nodes(ids: $0) { ...issueParts ...pullParts }",
        variables=(("[ID!]!", list(node_ids)),),
        fragments=(_ISSUE, _PULL),
    )


def single(repo: str, number: int) -> Question:
    """One issue or pull request by its number."""
    owner, _, name = repo.partition("/")
    return Question(
        text="repository(owner: $0, name: $1)"
        " { issueOrPullRequest(number: $2) { __typename ...issueParts ...pullParts } }",
        variables=(("String!", owner), ("String!", name), ("Int!", number)),
        fragments=(_ISSUE, _PULL),
    )


def viewer() -> Question:
    return Question(text="viewer { login }")


def search_text(repo: str, chosen: Filter) -> str:
    """The search of a watch: what cannot be decided here, within its repository, the newest change first."""
    words = [f"repo:{repo}", "is:pr" if chosen.kind == "pulls" else "is:issue"]
    if chosen.states == {"open"}:
        words.append("state:open")
    elif chosen.states and "open" not in chosen.states:
        words.append("state:closed")
    return " ".join((*words, *chosen.search, "sort:updated-desc"))


def compose(questions: Sequence[Question]) -> Query:
    """All questions in one query."""
    declared: list[str] = []
    variables: dict[str, Any] = {}
    lines: list[str] = []
    aliases: list[str] = []
    fragments: dict[str, None] = {}
    for index, question in enumerate(questions):
        text = question.text
        # From the last to the first: $1 must not eat the beginning of $10.
        for place in reversed(range(len(question.variables))):
            type_name, value = question.variables[place]
            name = f"v{index}_{place}"
            declared.append(f"${name}: {type_name}")
            variables[name] = value
            text = text.replace(f"${place}", f"${name}")
        aliases.append(f"a{index}")
        lines.append(f"a{index}: {text}")
        fragments.update(dict.fromkeys(question.fragments))
    head = f"query({', '.join(declared)})" if declared else "query"
    return Query(text="\n".join((f"{head} {{", *lines, "}", *fragments)), variables=variables, aliases=tuple(aliases))


def _in_repository(
    repo: str,
    kind: Kind,
    fields: str,
    *,
    first: int,
    after: str | None,
    states: frozenset[str] = frozenset(),
    fragments: tuple[str, ...] = (),
) -> Question:
    owner, _, name = repo.partition("/")
    variables: list[tuple[str, Any]] = [("String!", owner), ("String!", name), ("String", after)]
    chosen = ""
    if states:
        chosen = ", states: $3"
        variables.append((f"[{_STATE_ENUM[kind]}!]", sorted(state.upper() for state in states)))
    order = "orderBy: {field: UPDATED_AT, direction: DESC}"
    return Question(
        text=f"repository(owner: $0, name: $1) {{ nameWithOwner {_CONNECTION[kind]}(first: {first}, after: $2{chosen},"
        f" {order}) {{ {fields} }} }}",
        variables=tuple(variables),
        fragments=fragments,
    )
