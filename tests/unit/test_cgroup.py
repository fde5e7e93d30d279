"""Control groups as /proc tells of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from relayfleet.backends.cgroup import group_name, group_path, mount_point, outside_of_sessions

UNIFIED = "29 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = (
    "31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "40 30 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)
CONTAINER = "99 90 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("0::/user.slice/user-1000.slice/session-3.scope\n", "/user.slice/user-1000.slice/session-3.scope"),
        ("9:name=systemd:/\n4:memory:/box\n0::/\n", "/"),
        ("9:name=systemd:/\n", None),
        ("", None),
    ],
)
def test_the_path_of_a_process(text: str, path: str | None) -> None:
    assert group_path(text) == path


@pytest.mark.parametrize(
    ("mounts", "path", "folder"),
    [
        (UNIFIED, "/a.slice/b.scope", "/sys/fs/cgroup/a.slice/b.scope"),
        (UNIFIED, "/", "/sys/fs/cgroup"),
        (HYBRID, "/a", "/sys/fs/cgroup/unified/a"),
        (CONTAINER, "/docker/abc/x", "/sys/fs/cgroup/x"),
        (CONTAINER, "/docker/abcd", None),
        ("", "/a", None),
        (UNIFIED.replace("/sys/fs/cgroup", "/mnt/my\\040groups"), "/a", "/mnt/my groups/a"),
    ],
)
def test_the_folder_of_a_group(mounts: str, path: str, folder: str | None) -> None:
    assert mount_point(mounts, path) == (Path(folder) if folder else None)


def test_a_daemon_belongs_outside_of_the_sessions_group() -> None:
    name = group_name("0123456789ab", "wms-coder")
    unit = "/user.slice/app.slice/relayfleet-0123456789ab.service"
    assert outside_of_sessions(f"{unit}/{name}/below") == unit
    assert outside_of_sessions(f"/{name}") == "/"
    assert outside_of_sessions(unit) == unit
    assert outside_of_sessions("/") == "/"
