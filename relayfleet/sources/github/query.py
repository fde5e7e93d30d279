"""The GraphQL that is asked: many small questions in one query, each under an alias of its own. Pure.

A *probe* shows what changed lately in one repository, and how many items there are: no nested connection, so that
fifty repositories cost one point. A *listing* shows what is there, for the first look of a watch; it is *whole* when
the watch's filter asks for labels or people, which are connections and cost points, and a glimpse otherwise. A *search*
is for what only GitHub's index knows. *Details* read single items by their node ids, with what was said and done. A
*sweep* tells whether items are still there, and how the checks of pull requests stand. Every string travels as a
variable: nothing is pasted into a query.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from relayfleet.model.filter import Filter
from relayfleet.model.item import Kind, id_there

PROBE_FIRST = 20
PAGE = 100
WHOLE_PAGE = 50
SEARCH_PAGE = 50
NOTES_PAGE = 50
REVIEWS_PAGE = 20
MORE_REVIEWS_PAGE = 50
DETAILS_AT_ONCE = 25
SWEEP_AT_ONCE = 50

CONNECTION: Mapping[Kind, str] = {"issues": "issues", "pulls": "pullRequests"}
# The alias of an item's timeline.
ACTS: Mapping[Kind, str] = {"issues": "issueActs", "pulls": "pullActs"}
_STATE_ENUM: Mapping[Kind, str] = {"issues": "IssueState", "pulls": "PullRequestState"}
_GLIMPSE = (
    "__typename id number title url createdAt updatedAt author { __typename login } authorAssociation"
    " repository { nameWithOwner isPrivate }"
)
_LABELS = "labels(first: 100) { nodes { name } }"
_PEOPLE = "assignees(first: 20) { nodes { login } }"
_TEXT = f"body lastEditedAt milestone {{ title }} {_LABELS} {_PEOPLE}"
_WRITER = "author { __typename login } authorAssociation"
_NOTE = f"id url body createdAt updatedAt lastEditedAt {_WRITER}"
_COMMENTS_ORDER = "orderBy: {field: UPDATED_AT, direction: DESC}"
_COMMENTS = (
    f"comments(first: {NOTES_PAGE}, {_COMMENTS_ORDER})"
    f" {{ totalCount nodes {{ {_NOTE} }} pageInfo {{ hasNextPage endCursor }} }}"
)
_REVIEWER = (
    "requestedReviewer { ... on User { login } ... on Bot { login } ... on Mannequin { login } ... on Team { slug } }"
)
_INLINE = f"{{ nodes {{ {_NOTE} path line }} pageInfo {{ hasNextPage endCursor }} }}"
_REVIEW = f"{_NOTE} state submittedAt comments(first: {NOTES_PAGE}) {_INLINE}"
_REVIEWS = (
    f"reviews(last: {REVIEWS_PAGE}) {{ nodes {{ {_REVIEW} }} pageInfo {{ hasPreviousPage startCursor }} }}"
    f" reviewRequests(first: 50) {{ nodes {{ asCodeOwner {_REVIEWER} }} }}"
)
_CHECK = (
    "__typename ... on CheckRun { name status conclusion startedAt completedAt detailsUrl }"
    " ... on StatusContext { context state createdAt targetUrl }"
)


def _checks(after: str = "") -> str:
    return (
        f"commits(last: 1) {{ nodes {{ commit {{ oid message statusCheckRollup {{ contexts(first: {PAGE}{after})"
        f" {{ nodes {{ {_CHECK} }} pageInfo {{ hasNextPage endCursor }} }} }} }} }} }}"
    )


# Who did what to an item, of the acts that tell something. Acts of pull requests alone stand in the second list.
_BOTH_ACTS = (
    "LABELED_EVENT UNLABELED_EVENT ASSIGNED_EVENT UNASSIGNED_EVENT CLOSED_EVENT REOPENED_EVENT RENAMED_TITLE_EVENT"
    " MILESTONED_EVENT DEMILESTONED_EVENT COMMENT_DELETED_EVENT"
)
_ISSUE_ACTS = f"{_BOTH_ACTS} TRANSFERRED_EVENT"
_PULL_ACTS = (
    f"{_BOTH_ACTS} MERGED_EVENT REVIEW_REQUESTED_EVENT REVIEW_REQUEST_REMOVED_EVENT READY_FOR_REVIEW_EVENT"
    " CONVERT_TO_DRAFT_EVENT HEAD_REF_FORCE_PUSHED_EVENT BASE_REF_CHANGED_EVENT"
)
_DONE = "id createdAt actor { __typename login }"
_ASSIGNEE = (
    "assignee { ... on User { login } ... on Bot { login } ... on Mannequin { login } ... on Organization { login } }"
)
_BOTH_FIELDS = (
    "__typename"
    f" ... on LabeledEvent {{ {_DONE} label {{ name }} }} ... on UnlabeledEvent {{ {_DONE} label {{ name }} }}"
    f" ... on AssignedEvent {{ {_DONE} {_ASSIGNEE} }} ... on UnassignedEvent {{ {_DONE} {_ASSIGNEE} }}"
    f" ... on ClosedEvent {{ {_DONE} }} ... on ReopenedEvent {{ {_DONE} }}"
    f" ... on RenamedTitleEvent {{ {_DONE} previousTitle }} ... on MilestonedEvent {{ {_DONE} }}"
    f" ... on DemilestonedEvent {{ {_DONE} }} ... on CommentDeletedEvent {{ {_DONE} }}"
)
_ISSUE_FIELDS = f"{_BOTH_FIELDS} ... on TransferredEvent {{ {_DONE} }}"
_PULL_FIELDS = (
    f"{_BOTH_FIELDS} ... on MergedEvent {{ {_DONE} }}"
    f" ... on ReviewRequestedEvent {{ {_DONE} {_REVIEWER} }} ... on ReviewRequestRemovedEvent {{ {_DONE} {_REVIEWER} }}"
    f" ... on ReadyForReviewEvent {{ {_DONE} }} ... on ConvertToDraftEvent {{ {_DONE} }}"
    f" ... on HeadRefForcePushedEvent {{ {_DONE} }} ... on BaseRefChangedEvent {{ {_DONE} previousRefName }}"
)
_ACTS_LAST = 60


def _acts(kind: Kind, *, last: int, before: str = "") -> str:
    types, fields = (_ISSUE_ACTS, _ISSUE_FIELDS) if kind == "issues" else (_PULL_ACTS, _PULL_FIELDS)
    return (
        f"{ACTS[kind]}: timelineItems(last: {last}{before}, itemTypes: [{types}])"
        f" {{ nodes {{ {fields} }} pageInfo {{ hasPreviousPage startCursor }} }}"
    )


# The two states, and the two timelines, have types of their own, which one field of one answer may not have both.
_OF_ISSUE = "issueState: state stateReason"
_OF_PULL = "pullState: state isDraft baseRefName headRefName headRefOid"
_ISSUE = (
    f"fragment issueParts on Issue {{ {_GLIMPSE} {_OF_ISSUE} {_TEXT} {_COMMENTS} {_acts('issues', last=_ACTS_LAST)} }}"
)
_PULL = (
    f"fragment pullParts on PullRequest {{ {_GLIMPSE} {_OF_PULL} {_TEXT} {_COMMENTS}"
    f" {_REVIEWS} {_checks()} {_acts('pulls', last=_ACTS_LAST)} }}"
)
_REQUESTS = f"reviewRequests(first: 50) {{ nodes {{ {_REVIEWER} }} }}"
_SHOWN: Mapping[tuple[Kind, bool], tuple[str, str]] = {
    ("issues", True): (
        "issueListed",
        f"fragment issueListed on Issue {{ {_GLIMPSE} {_OF_ISSUE} {_LABELS} {_PEOPLE} }}",
    ),
    ("pulls", True): (
        "pullListed",
        f"fragment pullListed on PullRequest {{ {_GLIMPSE} {_OF_PULL} {_LABELS} {_PEOPLE} {_REQUESTS} }}",
    ),
    ("issues", False): ("issueGlimpse", f"fragment issueGlimpse on Issue {{ {_GLIMPSE} {_OF_ISSUE} }}"),
    ("pulls", False): ("pullGlimpse", f"fragment pullGlimpse on PullRequest {{ {_GLIMPSE} {_OF_PULL} }}"),
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


def probe(repo: str, kinds: Sequence[Kind]) -> Question:
    """The items of a repository that changed last, the newest first, of each kind; and how many there are."""
    parts = " ".join(_changed_last(kind, first=PROBE_FIRST, after="") for kind in kinds)
    return _of_repository(repo, f"nameWithOwner {parts}")


def probe_page(repo: str, kind: Kind, after: str) -> Question:
    """The next page of a probe's one kind."""
    return _of_repository(
        repo, f"nameWithOwner {_changed_last(kind, first=PAGE, after=', after: $2')}", ("String", after)
    )


def listing(repo: str, kind: Kind, states: frozenset[str], *, whole: bool, after: str | None = None) -> Question:
    """The items of a repository in these states (none: any)."""
    name, fragment = _SHOWN[kind, whole]
    first = WHOLE_PAGE if whole else PAGE if after else PROBE_FIRST
    variables: list[tuple[str, Any]] = [("String", after)]
    chosen = ""
    if states:
        chosen = ", states: $3"
        variables.append((f"[{_STATE_ENUM[kind]}!]", sorted(state.upper() for state in states)))
    return _of_repository(
        repo,
        f"{CONNECTION[kind]}(first: {first}, after: $2{chosen}, orderBy: {{field: UPDATED_AT, direction: DESC}})"
        f" {{ nodes {{ ...{name} }} pageInfo {{ hasNextPage endCursor }} }}",
        *variables,
        fragments=(fragment,),
    )


def search(text: str, kind: Kind, *, whole: bool, after: str | None = None) -> Question:
    """What GitHub's search finds."""
    name, fragment = _SHOWN[kind, whole]
    return Question(
        text=f"search(query: $0, type: ISSUE, first: {SEARCH_PAGE}, after: $1)"
        f" {{ nodes {{ ...{name} }} pageInfo {{ hasNextPage endCursor }} }}",
        variables=(("String!", text), ("String", after)),
        fragments=(fragment,),
    )


def details(node_ids: Sequence[str]) -> Question:
    return Question(
        text="nodes(ids: $0) { ...issueParts ...pullParts }",
        variables=(("[ID!]!", list(node_ids)),),
        fragments=(_ISSUE, _PULL),
    )


def more_comments(node_id: str, after: str) -> Question:
    """The comments of an item beyond those that its details showed."""
    shown = (
        f"comments(first: {PAGE}, after: $1, {_COMMENTS_ORDER})"
        f" {{ nodes {{ {_NOTE} }} pageInfo {{ hasNextPage endCursor }} }}"
    )
    return Question(
        text=f"node(id: $0) {{ ... on Issue {{ {shown} }} ... on PullRequest {{ {shown} }} }}",
        variables=(("ID!", node_id), ("String", after)),
    )


def more_acts(node_id: str, kind: Kind, before: str) -> Question:
    """What was done to an item before what its details showed."""
    type_name = "Issue" if kind == "issues" else "PullRequest"
    return Question(
        text=f"node(id: $0) {{ ... on {type_name} {{ {_acts(kind, last=PAGE, before=', before: $1')} }} }}",
        variables=(("ID!", node_id), ("String", before)),
    )


def more_checks(node_id: str, after: str) -> Question:
    """The checks of a pull request's head beyond those that its details showed."""
    return Question(
        text=f"node(id: $0) {{ ... on PullRequest {{ {_checks(', after: $1')} }} }}",
        variables=(("ID!", node_id), ("String", after)),
    )


def more_reviews(node_id: str, before: str) -> Question:
    """The reviews of a pull request before those that its details showed."""
    return Question(
        text=f"node(id: $0) {{ ... on PullRequest {{ reviews(last: {MORE_REVIEWS_PAGE}, before: $1)"
        f" {{ nodes {{ {_REVIEW} }} pageInfo {{ hasPreviousPage startCursor }} }} }} }}",
        variables=(("ID!", node_id), ("String", before)),
    )


def more_review_comments(review_id: str, after: str) -> Question:
    """The comments of a review beyond those that were shown with it."""
    return Question(
        text="node(id: $0) { ... on PullRequestReview {"
        f" submittedAt comments(first: {PAGE}, after: $1) {_INLINE} }} }}",
        variables=(("ID!", review_id), ("String", after)),
    )


def sweep(node_ids: Sequence[str], *, checks: bool) -> Question:
    """Whether items are still there and where; with `checks`, how those of pull requests stand."""
    place = "id number updatedAt repository { nameWithOwner }"
    pull = f"{place} {_checks()}" if checks else place
    return Question(
        text=f"nodes(ids: $0) {{ ... on Issue {{ {place} }} ... on PullRequest {{ {pull} }} }}",
        variables=(("[ID!]!", list(node_ids)),),
    )


def single(repo: str, number: int) -> Question:
    """One issue or pull request by its number."""
    return _of_repository(
        repo,
        "issueOrPullRequest(number: $2) { __typename ...issueParts ...pullParts }",
        ("Int!", number),
        fragments=(_ISSUE, _PULL),
    )


def viewer() -> Question:
    return Question(text="viewer { __typename login }")


def search_text(repo: str, chosen: Filter) -> str:
    """The search of a watch: what cannot be decided here, within its repository, the newest change first."""
    words = [f"repo:{repo}", "is:pr" if chosen.kind == "pulls" else "is:issue"]
    if chosen.states == {"open"}:
        words.append("state:open")
    elif chosen.states and "open" not in chosen.states:
        words.append("state:closed")
    return " ".join((*words, *chosen.search, "sort:updated-desc"))


def compose(questions: Sequence[Question]) -> Query:
    """All questions in one query, which also asks what it costs."""
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
            variables[name] = _THERE.get(type_name, _same)(value)
            text = text.replace(f"${place}", f"${name}")
        aliases.append(f"a{index}")
        lines.append(f"a{index}: {text}")
        fragments.update(dict.fromkeys(question.fragments))
    head = f"query({', '.join(declared)})" if declared else "query"
    text = "\n".join((f"{head} {{", *lines, "rateLimit { cost }", "}", *fragments))
    return Query(text=text, variables=variables, aliases=tuple(aliases))


def _same(value: Any) -> Any:
    return value


# What a host is asked for by its own ids.
_THERE: Mapping[str, Callable[[Any], Any]] = {
    "ID!": id_there,
    "[ID!]!": lambda node_ids: [id_there(node_id) for node_id in node_ids],
}


def _changed_last(kind: Kind, *, first: int, after: str) -> str:
    return (
        f"{CONNECTION[kind]}(first: {first}{after}, orderBy: {{field: UPDATED_AT, direction: DESC}})"
        " { totalCount nodes { id createdAt updatedAt } pageInfo { hasNextPage endCursor } }"
    )


def _of_repository(repo: str, parts: str, *variables: tuple[str, Any], fragments: tuple[str, ...] = ()) -> Question:
    owner, _, name = repo.partition("/")
    return Question(
        text=f"repository(owner: $0, name: $1) {{ {parts} }}",
        variables=(("String!", owner), ("String!", name), *variables),
        fragments=fragments,
    )
