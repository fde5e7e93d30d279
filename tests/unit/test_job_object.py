"""A process tree in a Windows job, with the platform's calls made up."""

from __future__ import annotations

from relayfleet.backends.job_object import JobProcessTree

OWN = 100


class FakeJobs:
    """Jobs of numbers. A process in `gone` ended by itself a moment before it was to be terminated."""

    def __init__(self) -> None:
        self.jobs: dict[int, list[int]] = {}
        self.gone: set[int] = set()
        self.terminated: list[int] = []

    def create(self) -> int:
        self.jobs[len(self.jobs) + 1] = []
        return len(self.jobs)

    def assign(self, job: int, pid: int) -> None:
        self.jobs[job].append(pid)

    def spawn(self, pid: int) -> None:
        """By a process in the job: it is born into it."""
        self.jobs[1].append(pid)

    def pids(self, job: int) -> list[int]:
        return list(self.jobs[job])

    def terminate(self, pid: int) -> None:
        self.jobs[1].remove(pid)
        if pid in self.gone:
            raise OSError(87, "The parameter is incorrect")
        self.terminated.append(pid)


def test_everything_that_was_born_into_the_job_is_ended_but_the_runner() -> None:
    api = FakeJobs()
    tree = JobProcessTree(api, own_pid=OWN)
    assert tree.end_children(grace_s=0) == 0  # there is no job yet
    tree.adopt_orphans()
    assert api.jobs == {1: [OWN]}
    api.spawn(101)
    api.spawn(102)
    api.gone.add(102)
    assert tree.is_agents(101)
    assert not tree.is_agents(OWN)
    assert tree.end_children(grace_s=0) == 2
    assert api.jobs == {1: [OWN]}
    assert api.terminated == [101]
    assert tree.end_strays("any") == 0


def test_a_daemon_that_did_not_break_away_is_spared() -> None:
    api = FakeJobs()
    tree = JobProcessTree(api, own_pid=OWN, spare=lambda: {300})
    tree.adopt_orphans()
    api.spawn(300)
    api.spawn(101)
    assert tree.end_children(grace_s=0) == 1
    assert api.jobs == {1: [OWN, 300]}
