"""Which folder is the fleet's root, and whether it can be one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from relayfleet.errors import FleetError, UsageError

# Locks and appends are not what they are on a local disk there.
_NETWORK = ("nfs", "cifs", "smb", "afs", "ceph", "glusterfs", "fuse.sshfs", "fuse.gluster", "lustre", "gpfs", "davfs")
CHECKOUT = Path(__file__).resolve().parents[2]


def find_root(given: str | None, *, cwd: Path, environ: dict[str, str], creating: bool = False) -> Path:
    """`given` (--root), else RELAYFLEET_ROOT, else the nearest parent of `cwd` with a fleet.json, else the checkout.

    With `creating` (`fleet init`), `cwd` itself is taken where nothing was given and the program is no checkout. Raises
    UsageError when a named root is no folder, FleetError when there is none or it cannot be used.
    """
    for named, origin in ((given, "--root"), (environ.get("RELAYFLEET_ROOT"), "RELAYFLEET_ROOT")):
        if named:
            root = Path(named).expanduser()
            if creating and not root.exists():
                root.mkdir(parents=True)
            if not root.is_dir():
                raise UsageError(f"use root {named!r}", f"{origin} names no folder", hint="give the folder of a fleet")
            return _usable(root.resolve())
    for folder in (cwd, *cwd.parents):
        if (folder / "fleet.json").is_file():
            return _usable(folder)
    if (CHECKOUT / "fleet.json").is_file() and (CHECKOUT / "bin" / "fleet").is_file():
        return _usable(CHECKOUT)
    if creating:
        return _usable(cwd)
    raise FleetError(
        "find a fleet",
        f"no fleet.json in {str(cwd)!r} or above it",
        hint="create one with `fleet init`, or name its folder with --root or RELAYFLEET_ROOT",
    )


def _usable(root: Path) -> Path:
    if sys.platform != "win32":
        owner = root.stat().st_uid
        if owner != os.geteuid():
            raise FleetError(
                f"use root {str(root)!r}",
                f"it belongs to user {owner}, this is user {os.geteuid()}",
                hint="run as its owner, or make a fleet of your own with `fleet init`",
            )
    kind = filesystem_of(root)
    if kind.startswith(_NETWORK):
        raise FleetError(
            f"use root {str(root)!r}",
            f"it is on a network file system ({kind}), where locks and appends do not hold",
            hint="put the fleet on a local disk",
        )
    return root


def filesystem_of(path: Path) -> str:
    """The type of the file system under `path` (`ext4`, `nfs4` ...), or "" where the system does not tell."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    found, kind = "", ""
    for line in lines:
        # Format of proc(5): ... mount point as the fifth field, octal escapes; the type follows a lone hyphen.
        left, _, right = line.partition(" - ")
        mount = left.split(" ")[4].encode().decode("unicode_escape")
        under = str(path) == mount or str(path).startswith(mount.rstrip("/") + "/")
        if under and len(mount) >= len(found):
            found, kind = mount, right.split(" ", 1)[0]
    return kind
