"""What every agent must get, worked out the plain way: the whole truth before against the whole truth now.

Nothing here asks how the router finds out. It knows GitHub's rules (what an edit moves, who may label) and the
promises of the documentation, and compares dictionaries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

from relayfleet.model.trust import Trust
from relayfleet.model.watch import Watch
from tests.oracle.truth import Checked, Done, Said, Truth

FAILING = ("failure", "timed_out", "startup_failure", "action_required", "error")
RUNNING = ("queued", "in_progress", "waiting", "pending", "requested", "expected")
RANKS = {"CONTRIBUTOR": 1, "COLLABORATOR": 2, "MEMBER": 3, "OWNER": 4}
NEEDED = {"anyone": 0, "contributors": 1, "collaborators": 2, "members": 3, "owner": 4}
VOUCHING = ("LabeledEvent", "AssignedEvent", "ReviewRequestedEvent")
# GitHub shows the last sixty events of an item's timeline to whoever asks once.
SHOWN = 60
# The id of a note, its verdict, its words, and when it was written or last edited.
NoteVersion = tuple[str, str, str, int]


@dataclass(frozen=True, slots=True)
class Watched:
    """A watch, and in plain words what it sees."""

    watch: Watch
    sees: Callable[[Truth], bool]


@dataclass(frozen=True, slots=True)
class Level:
    """The trust of a route, and the agent that it leads to."""

    agent: str
    trust: Trust | None
    bots: tuple[str, ...] = ()


class Text(Protocol):
    """What has an author of whom GitHub attests something."""

    @property
    def author(self) -> str: ...
    @property
    def association(self) -> str: ...


class Told(NamedTuple):
    """What one agent gets of one item. `standing` is that of the item's own text (`full`, `vouched`, `withheld`)."""

    agent: str
    repo: str
    number: int
    names: tuple[str, ...]
    why: str
    standing: str
    text: str
    notes: tuple[Said, ...]
    facts: tuple[tuple[str, tuple[str, ...]], ...]


class Held(NamedTuple):
    """What is kept from one agent: the item's own text, and notes by id."""

    agent: str
    number: int
    item: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What happened to an item between two looks."""

    names: frozenset[str]
    edited: bool = False
    notes: Mapping[str, Said] = field(default_factory=dict)
    facts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    failing: Mapping[str, Checked] = field(default_factory=dict)


@dataclass(slots=True)
class Expected:
    """What must come, and what may: nobody knows who vouched for an item that was never read whole."""

    told: Counter[Told] = field(default_factory=Counter)
    held: Counter[Held] = field(default_factory=Counter)
    may_be_told: Counter[Told] = field(default_factory=Counter)
    may_be_held: Counter[Held] = field(default_factory=Counter)

    def __iadd__(self, other: Expected) -> Expected:
        self.told += other.told
        self.held += other.held
        self.may_be_told += other.may_be_told
        self.may_be_held += other.may_be_held
        return self


class Oracle:
    """Remembers the truth of every item at the last look at it, and what each watch had in view."""

    def __init__(self) -> None:
        self._seen: dict[str, Truth] = {}
        self._view: dict[str, set[str]] = {}
        self._begun: set[tuple[int, str]] = set()
        self._watches: dict[str, Watched] = {}
        self.levels: dict[str, Sequence[Level]] = {}
        # Items that a watch saw when it began or that changed since, those that changed, and the versions of their
        # notes: each is told once.
        self._known: set[str] = set()
        self._read: set[str] = set()
        self._versions: dict[str, set[NoteVersion]] = {}
        self._told: set[tuple[object, ...]] = set()
        # Agents, and the items that they had something of.
        self._informed: set[tuple[str, str]] = set()

    def watch(self, watched: Sequence[Watched], levels: Mapping[str, Sequence[Level]]) -> None:
        """From now on these. A watch that looks at something else than it did begins anew, and what is not watched any
        more is forgotten."""
        before, self._watches = self._watches, {one.watch.name: one for one in watched}
        self.levels = dict(levels)
        self._view = {name: ids for name, ids in self._view.items() if before[name] == self._watches.get(name)}

    def forget(self, repository: int) -> None:
        """It is watched no more: if it is again, that is a beginning."""
        self._begun = {place for place in self._begun if place[0] != repository}
        for key in [key for key, one in self._seen.items() if one.repository == repository]:
            del self._seen[key]
            self._known.discard(key)
            self._read.discard(key)

    def sees(self, node_id: str) -> bool:
        """Whether some watch has it in view."""
        return any(node_id in view for view in self._view.values())

    def look(self, truth: Mapping[str, Truth], repositories: Mapping[str, tuple[int, str]]) -> Expected:
        """What comes of a look at repositories, given by the name that they are watched by: their ids and names."""
        expected = Expected()
        looked: dict[str, Truth] = {}
        gone: set[str] = set()
        begun_before = set(self._begun)
        for repo, (repository, named) in repositories.items():
            watched = [one for one in self._watches.values() if one.watch.repo == repo]
            for kind in dict.fromkeys(one.watch.kind for one in watched):
                here = {key: one for key, one in truth.items() if one.repository == repository and one.kind == kind}
                of_kind = [one for one in watched if one.watch.kind == kind]
                begun = (repository, kind) in self._begun
                looked |= here
                for key, now in here.items():
                    self._take(of_kind, key, now, expected, begun=begun)
                for key in set().union(*(self._view.get(one.watch.name, set()) for one in of_kind)) - here.keys():
                    moved = truth.get(key)
                    if moved is not None:
                        looked[key] = moved
                        self._take_moved(of_kind, key, moved, expected)
                    else:
                        gone.add(key)
                        self._take_gone(of_kind, replace(self._seen[key], repo=named), expected)
                self._begun.add((repository, kind))
                for one in of_kind:
                    if one.watch.name not in self._view:
                        self._view[one.watch.name] = {key for key, now in here.items() if one.sees(now)}
                        self._known |= self._view[one.watch.name]
        for key, now in looked.items():
            before = self._seen.get(key)
            if before != now and (now.repository, now.kind) in begun_before:
                self._known.add(key)
                self._read.add(key)
            self._versions.setdefault(key, set()).update(_note_versions(now))
        self._seen |= looked
        for key in gone:
            self._seen.pop(key, None)
            self._known.discard(key)
            self._read.discard(key)
        return expected

    def _take(self, watched: Sequence[Watched], key: str, now: Truth, expected: Expected, *, begun: bool) -> None:
        before = self._seen.get(key)
        if not begun:
            return
        if before is None:
            self._known.add(key)
            found: Difference | None = self._arrived(now)
        else:
            found = self._between(before, now)
        for one in watched:
            view = self._view.get(one.watch.name)
            if view is None:
                continue
            was, shown = key in view, one.sees(now)
            (view.add if shown else view.discard)(key)
            names = set(found.names if found else ())
            if was and shown and found is not None:
                self._tell(one, now, found, names, "", expected)
            elif shown and not was:
                if found is None or not found.edited:
                    names.discard("updated")
                self._tell(one, now, found, names | {"matched"}, "", expected)
            elif was and not shown:
                assert before is not None
                self._tell(one, now, found, names | {"left"}, _why(one, before, now), expected)

    def _take_moved(self, watched: Sequence[Watched], key: str, now: Truth, expected: Expected) -> None:
        found = self._between(self._seen[key], now)
        for one in watched:
            if key in self._view.get(one.watch.name, ()):
                self._view[one.watch.name].discard(key)
                names = {*(found.names if found else ()), "left"}
                self._tell(one, now, found, names, "transferred", expected)

    def _take_gone(self, watched: Sequence[Watched], last: Truth, expected: Expected) -> None:
        for one in watched:
            if last.node_id in self._view.get(one.watch.name, ()):
                self._view[one.watch.name].discard(last.node_id)
                self._tell(one, last, None, {"left"}, "gone", expected)

    def _arrived(self, now: Truth) -> Difference:
        """It was never seen: it was opened, or came from another repository, and nothing else happened to it."""
        if any(act.type == "TransferredEvent" for act in now.acts):
            return Difference(names=frozenset({"transferred"}))
        names = {"opened"} if now.state == "open" else {"opened", now.state}
        if sum(act.type in ("ReadyForReviewEvent", "ConvertToDraftEvent") for act in now.acts) % 2:
            names.add("drafted" if now.draft else "readied")
        failing = {name: one for name, one in now.checks.items() if one.state in FAILING}
        names |= {"check_failed"} if failing else set()
        names |= _of_notes(now.notes)
        return Difference(names=frozenset(names), notes=now.notes, failing=failing)

    def _between(self, before: Truth, now: Truth) -> Difference | None:
        key = now.node_id
        old = {one.id for one in before.acts}
        acts = [one for one in now.acts if one.id not in old]
        seen = self._versions.get(key, set())
        notes = {
            note_id: said
            for note_id, said in now.notes.items()
            if (note_id, said.state, said.body, said.at) not in seen
        }
        asked = {act.name for act in acts if act.type == "ReviewRequestedEvent" and act.at > before.updated}
        facts = {
            "labels_added": now.labels - before.labels,
            "labels_removed": before.labels - now.labels,
            "assigned": now.assignees - before.assignees,
            "unassigned": before.assignees - now.assignees,
            "review_requested": (now.reviewers - before.reviewers) | (asked & now.reviewers),
        }
        named = {
            "labeled": facts["labels_added"],
            "unlabeled": facts["labels_removed"],
            "assigned": facts["assigned"],
            "unassigned": facts["unassigned"],
            "review_requested": facts["review_requested"],
        }
        names = {name for name, values in named.items() if values}
        if now.state != before.state:
            names.add("reopened" if now.state == "open" else now.state)
        if now.draft != before.draft:
            names.add("drafted" if now.draft else "readied")
        if now.head != before.head and key in self._known:
            names.add("pushed")
        if now.repository != before.repository:
            names.add("transferred")
        names |= _of_notes(notes)
        failing = {
            name: one for name, one in now.checks.items() if one.state in FAILING and one != before.checks.get(name)
        }
        if failing:
            names.add("check_failed")
        elif _green(now.checks) and (now.head != before.head or not _green(before.checks)):
            names.add("checks_passed")
        edited = (now.title, now.body) != (before.title, before.body)
        # Done and undone within the second of the last look leaves no trace that could be told from the last look's.
        later = [act for act in acts if act.at > before.updated]
        plain = (now.base, now.milestone, now.comments, now.edited, now.head, now.reviewers)
        if not names and not edited and not later and plain == (
            before.base, before.milestone, before.comments, before.edited, before.head, before.reviewers,
        ):  # fmt: skip
            return None
        if edited or not names:
            names.add("updated")
        return Difference(names=frozenset(names), edited=edited, notes=notes, facts=facts, failing=failing)

    def _tell(
        self, watched: Watched, item: Truth, found: Difference | None, names: set[str], why: str, expected: Expected
    ) -> None:
        found = found or Difference(names=frozenset())
        vouchers = _vouchers(item)
        version_of_item = (*_version(item), frozenset(self._versions.get(item.node_id, set()) | _note_versions(item)))
        for level in self.levels.get(watched.watch.name, ()):
            version = (level.agent, version_of_item, why == "gone")
            if version in self._told:
                continue
            standing = _standing(level, item, vouchers)
            notes = {key: said for key, said in found.notes.items() if admits(level, said, item.private)}
            held_back = tuple(sorted(found.notes.keys() - notes.keys()))
            unsure = standing == "vouched" and why == "gone" and item.node_id not in self._read
            if standing == "withheld" or held_back:
                expected.held[Held(level.agent, item.number, standing == "withheld", held_back)] += 1
            if unsure:
                expected.may_be_held[Held(level.agent, item.number, True, ())] += 1
            besides = not found.notes or names - {"commented", "reviewed"}
            # That it left is nobody's text: who knows of the item learns it.
            left = "left" in names and (level.agent, item.node_id) in self._informed
            if not notes and not left and (standing == "withheld" or not besides):
                continue
            self._told.add(version)
            if not unsure:
                self._informed.add((level.agent, item.node_id))
            told = names & {"left"} if standing == "withheld" else names - {"commented", "reviewed"}
            told |= _of_notes(notes)
            facts: dict[str, tuple[str, ...]] = {}
            if standing != "withheld":
                facts = {name: tuple(sorted(values)) for name, values in found.facts.items() if values}
                facts |= _of_pull(item, found, full=standing == "full", gone=why == "gone")
            if standing == "vouched":
                facts["vouched_by"] = tuple(sorted(one for one in vouchers if _vouches(level, item, one)))
            (expected.may_be_told if unsure else expected.told)[
                Told(
                    agent=level.agent,
                    repo=item.repo,
                    number=item.number,
                    names=tuple(sorted(told)),
                    why=why,
                    standing=standing,
                    text="" if standing == "withheld" else _text(item, gone=why == "gone"),
                    notes=tuple(sorted(notes.values())),
                    facts=tuple(sorted(facts.items())),
                )
            ] += 1


def _of_notes(notes: Mapping[str, Said]) -> set[str]:
    return {"reviewed" if one.kind == "review" else "commented" for one in notes.values()}


def _green(checks: Mapping[str, Checked]) -> bool:
    return bool(checks) and all(one.state in ("success", "neutral", "skipped") for one in checks.values())


def _note_versions(item: Truth) -> set[NoteVersion]:
    return {(key, said.state, said.body, said.at) for key, said in item.notes.items()}


def _version(item: Truth) -> tuple[object, ...]:
    """An item as it is at a time: what was told of is not told again."""
    return (
        item.node_id, item.title, item.body, item.state, item.labels, item.assignees, item.reviewers, item.milestone,
        item.draft, item.base, item.head, item.updated, item.edited, item.comments, tuple(sorted(item.checks.items())),
    )  # fmt: skip


def _why(watched: Watched, before: Truth, now: Truth) -> str:
    """The one change that is enough to lose it from view; of several, the weightiest."""

    def loses(**fields: object) -> bool:
        return not watched.sees(replace(before, **fields))  # type: ignore[arg-type]

    if now.state != before.state and loses(state=now.state):
        return {"merged": "merged", "closed": "closed"}.get(now.state, "reopened")
    if before.assignees - now.assignees and loses(assignees=before.assignees & now.assignees):
        return "unassigned"
    if before.labels - now.labels and loses(labels=before.labels & now.labels):
        return "unlabeled"
    return "changed"


def _text(item: Truth, *, gone: bool) -> str:
    return item.title if gone or not item.body else f"{item.title}\n\n{item.body}"


def _of_pull(item: Truth, found: Difference, *, full: bool, gone: bool) -> dict[str, tuple[str, ...]]:
    if item.kind != "pulls" or gone:
        return {}
    facts: dict[str, tuple[str, ...]] = {"head": (item.head,)}
    facts |= {"base": (item.base,), "branch": (item.branch,), "draft": (str(item.draft),)}
    if full:
        failing = found.failing or {name: one for name, one in item.checks.items() if one.state in FAILING}
        facts["failing"] = tuple(sorted(f"{name} {one.state}" for name, one in failing.items()))
        facts["head_message"] = (item.message,)
    return facts


def admits(level: Level, text: Text, private: bool) -> bool:
    """Whether a level lets a text through for its author's sake."""
    author = text.author
    wanted = level.trust if level.trust is not None else "anyone" if private else "collaborators"
    named = isinstance(wanted, tuple) and author.lower() in {one.lower() for one in wanted}
    if author.endswith("[bot]"):
        return author in level.bots or named
    if isinstance(wanted, tuple):
        return named and author != "ghost"
    return RANKS.get(text.association, 0) >= NEEDED[wanted]


def _standing(level: Level, item: Truth, vouchers: Collection[str]) -> str:
    if admits(level, item, item.private):
        return "full"
    return "vouched" if any(_vouches(level, item, one) for one in vouchers) else "withheld"


def _vouches(level: Level, item: Truth, voucher: str) -> bool:
    """Whether somebody's word counts on a level."""
    wanted = level.trust if level.trust is not None else "anyone" if item.private else "collaborators"
    if isinstance(wanted, tuple):
        return voucher.lower() in {name.lower() for name in wanted} and voucher != "ghost"
    if wanted in ("members", "owner") or voucher == "ghost":
        return False
    return not voucher.endswith("[bot]") or voucher in level.bots


def _vouchers(item: Truth) -> set[str]:
    shown: Sequence[Done] = item.acts[-SHOWN:]
    touched = max([item.edited, *(act.at for act in shown if act.type == "RenamedTitleEvent")])
    return {
        act.actor
        for act in shown
        if act.type in VOUCHING
        and act.at > touched
        and act.actor.lower() != item.author.lower()
        and not (act.type == "ReviewRequestedEvent" and act.name in item.code_owners)
    }
