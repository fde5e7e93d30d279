"""Workflow runs: what is true of them, what may happen to them, and what every agent must get of that."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from relayfleet.demo.github.repository import Repository
from relayfleet.demo.github.state import State
from relayfleet.demo.github.thing import Thing
from relayfleet.model.watch import Watch
from tests.oracle.oracle import FAILING, Expected, Held, Level, Told, admits
from tests.oracle.truth import login
from tests.standins.github import GitHubStandin

# What GitHub lists at once: older runs are seen again when they are re-run.
PAGE = 100
TRIGGERS = ("push", "pull_request", "schedule", "issue_comment")
BY_WRITERS = ("push", "schedule", "workflow_dispatch", "repository_dispatch")
CONCLUSIONS = ("success", "success", "failure", "timed_out", "cancelled", "neutral")
AUTHORS = ("acme", "ann", "mallory", "dep[bot]", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run. `created` and `updated` are whole seconds; `association` is what can be said of who set it off."""

    node_id: str
    repository: int
    repo: str
    private: bool
    number: int
    title: str
    body: str
    author: str
    association: str
    status: str
    conclusion: str
    attempt: int
    branch: str
    workflow: str
    created: int
    updated: int


@dataclass(frozen=True, slots=True)
class WatchedRuns:
    """A watch, and in plain words what it sees."""

    watch: Watch
    sees: Callable[[Run], bool]


def runs_of(state: State) -> dict[str, Run]:
    """Every run of a host, by node id."""
    return {
        run.node_id: _copy(run, repository)
        for repository in state.repositories.values()
        for run in repository.things["runs"].values()
    }


def _copy(run: Thing, repository: Repository) -> Run:
    trusted = run.event in BY_WRITERS and not run.fork
    return Run(
        node_id=run.node_id,
        repository=repository.id,
        repo=repository.full,
        private=repository.private,
        number=run.number,
        title=run.title,
        body=run.body,
        author=login(run.author),
        association="COLLABORATOR" if trusted else "NONE",
        status=run.status,
        conclusion=run.conclusion or "",
        attempt=run.attempt,
        branch=run.branch,
        workflow=run.workflow,
        created=int(run.created),
        updated=int(run.updated),
    )


class RunOracle:
    """Remembers every run that was listed, or seen since, as it was at the last look; and how all of them stood."""

    def __init__(self) -> None:
        self._seen: dict[str, Run] = {}
        self._stood: dict[str, Run] = {}
        self._view: dict[str, set[str]] = {}
        self._begun: set[int] = set()

    def look(
        self,
        truth: Mapping[str, Run],
        repositories: Mapping[str, tuple[int, str]],
        watched: Sequence[WatchedRuns],
        levels: Mapping[str, Sequence[Level]],
    ) -> Expected:
        """What comes of a look at repositories, given by the name that they are watched by: their ids and names."""
        expected = Expected()
        for repo, (repository, _) in repositories.items():
            here = {key: run for key, run in truth.items() if run.repository == repository}
            listed = sorted(here.values(), key=lambda run: (run.created, run.number), reverse=True)[:PAGE]
            shown = {run.node_id: run for run in listed}
            shown |= {key: run for key, run in here.items() if run.status == "in_progress" or key in self._seen}
            of_repo = [one for one in watched if one.watch.repo == repo]
            gone = {key for key, run in self._seen.items() if run.repository == repository} - here.keys()
            if repository not in self._begun:
                self._begun.add(repository)
                self._view |= {one.watch.name: {key for key, run in shown.items() if one.sees(run)} for one in of_repo}
            else:
                # However many are new, none is passed over.
                newest = max((run.created for run in self._seen.values() if run.repository == repository), default=0)
                shown |= {key: run for key, run in here.items() if run.created >= newest}
                for one in of_repo:
                    for key, run in shown.items():
                        self._take(one, run, self._seen.get(key), expected, levels, new=run.created >= newest)
                    for key in gone & self._view[one.watch.name]:
                        self._view[one.watch.name].discard(key)
                        _tell(one, self._seen[key], {"left"}, "gone", expected, levels)
            self._seen |= shown
            self._stood |= here
            for key in gone:
                del self._seen[key]
        return expected

    def _take(
        self,
        one: WatchedRuns,
        now: Run,
        before: Run | None,
        expected: Expected,
        levels: Mapping[str, Sequence[Level]],
        *,
        new: bool,
    ) -> None:
        view = self._view[one.watch.name]
        # One that comes to light because others were deleted stands where it stood.
        unchanged = before is None and self._stood.get(now.node_id) == now
        names = set[str]() if unchanged else _between(before, now, new=new)
        sees = one.sees(now)
        # What a first look does not list is seen without a word that it is.
        was = now.node_id in view if before is not None or new else sees
        (view.add if sees else view.discard)(now.node_id)
        if sees and not was:
            _tell(one, now, (names - {"updated"}) | {"matched"}, "", expected, levels)
        elif was and not sees:
            _tell(one, now, names | {"left"}, "changed", expected, levels)
        elif was and names:
            _tell(one, now, names, "", expected, levels)


def _between(before: Run | None, now: Run, *, new: bool) -> set[str]:
    names = {"opened"} if before is None and new else set[str]()
    if now.status == "completed":
        if before is None or (before.status, before.attempt) != (now.status, now.attempt):
            names.add("completed")
        if now.conclusion in FAILING and (
            before is None or (before.conclusion, before.attempt) != (now.conclusion, now.attempt)
        ):
            names.add("check_failed")
    changed = before is None or (before.status, before.conclusion, before.attempt) != (
        now.status,
        now.conclusion,
        now.attempt,
    )
    return names or ({"updated"} if changed else set())


def _tell(
    one: WatchedRuns,
    run: Run,
    names: set[str],
    why: str,
    expected: Expected,
    levels: Mapping[str, Sequence[Level]],
) -> None:
    for level in levels[one.watch.name]:
        if not admits(level, run, run.private):
            expected.held[Held(level.agent, run.number, True, ())] += 1
            continue
        facts: dict[str, tuple[str, ...]] = {}
        if why != "gone":
            facts = {"attempt": (str(run.attempt),), "conclusion": (run.conclusion,), "branch": (run.branch,)}
        text = f"{run.title}\n\n{run.body}" if run.body and why != "gone" else run.title
        expected.told[
            Told(
                level.agent,
                run.repo,
                run.number,
                tuple(sorted(names)),
                why,
                "full",
                text,
                (),
                tuple(sorted(facts.items())),
            )
        ] += 1


class RunStory:
    """What happens to runs. One that is older than what GitHub lists rests once something happened to it, until
    somebody looked: what lies between two looks at it is not seen."""

    def __init__(self, github: GitHubStandin, rng: random.Random) -> None:
        self._github = github
        self._rng = rng
        self._count = 0
        self.resting: set[int] = set()

    def begin(self, full: str, *, runs: int, at: float, private: bool) -> int:
        """A repository with runs of some time ago. Gives its id."""
        repository = self._github.do(lambda: self._github.state.add_repository(full, private=private))
        for number in range(runs):
            done = self._rng.random() < 0.95
            self._new(full, at=at + number * 60, status="completed" if done else "in_progress")
        return repository.id

    def act(self, repository: Repository, *, calm: bool) -> None:
        """With `calm` false so many new runs are to come that what ends at once, or is deleted, is out of sight."""
        runs = [run for run in repository.ordered("runs", "created", newest_first=True) if run.id not in self.resting]
        listed = repository.ordered("runs", "created", newest_first=True)[:PAGE]
        busy = [run for run in runs if run.status != "completed"]
        recent = [run for run in runs if run in listed]
        # What is new in a round pushes none of these off the list.
        safe = listed[: PAGE // 2] if calm else []
        match self._rng.choices(("new", "go on", "again", "old", "delete"), (4, 5, 2, 1, 1))[0]:
            case "new":
                self._new(repository.full, status=self._rng.choice(["queued", "in_progress", "completed"]))
            case "go on" if busy:
                run = self._rng.choice(busy)
                self._put(run, status="in_progress" if run.status == "queued" else "completed")
                if not calm or run not in recent:
                    self.resting.add(run.id)
            case "again" if recent:
                run = self._rng.choice(recent)
                if run.status == "completed":
                    ends = run in safe and self._rng.random() < 0.5
                    self._put(run, status="completed" if ends else "in_progress", attempt=run.attempt + 1)
                    self.resting.update(() if run in safe else (run.id,))
            case "old" if len(runs) > len(recent):
                run = self._rng.choice([run for run in runs if run not in listed])
                if run.status == "completed" and len(busy) < 30:
                    self._put(run, status="in_progress", attempt=run.attempt + 1)
                    self.resting.add(run.id)
            case "delete" if any(run in safe for run in runs):
                run = self._rng.choice([run for run in runs if run in safe])
                self._github.remove(repository.full, "runs", run.number)
            case _:
                pass

    def burst(self, repository: Repository) -> None:
        for _ in range(self._rng.randint(PAGE, 3 * PAGE)):
            self._new(repository.full, status="queued" if self._rng.random() < 0.05 else "completed")

    def _new(self, full: str, *, status: str, at: float | None = None) -> None:
        self._count += 1
        self._github.put(
            full,
            "runs",
            at=at,
            title=f"run {self._count}",
            body=self._rng.choice(["", f"commit {self._count}"]),
            author=self._rng.choice(AUTHORS),
            event=self._rng.choice(TRIGGERS),
            fork=self._rng.random() < 0.2,
            branch=self._rng.choice(["main", "topic"]),
            workflow=self._rng.choice(["CI", "Release"]),
            status=status,
            conclusion=self._conclusion(status),
        )

    def _put(self, run: Thing, *, status: str, attempt: int | None = None) -> None:
        self._github.put(
            run.repository.full,
            "runs",
            run.number,
            status=status,
            conclusion=self._conclusion(status),
            attempt=attempt or run.attempt,
        )

    def _conclusion(self, status: str) -> str | None:
        return self._rng.choice(CONCLUSIONS) if status == "completed" else None
