"""A machine with systemd as its PID 1 and a user, in namespaces of its own: what it does stays in an overlay.

It needs root, overlayfs and a writable cgroup v2. /tmp, /run and all else that systemd clears or sets up at boot are
the overlay's own, so the real ones are never touched.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from relayfleet.backends.cgroup import ControlGroup, own_group
from tests.conftest import CHECKOUT
from tests.standins.model import until

USER, USER_ID = "crew", 4242
HOME = Path("/home") / USER

# $1 holds upper/, work/ and root/. Whatever would reach the real machine is masked.
INIT = r"""
set -e
base=$1; R=$base/root
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" "$R"
mount -t proc proc "$R/proc"
mount -t tmpfs -o mode=755 tmpfs "$R/dev"
for d in null zero full random urandom tty; do touch "$R/dev/$d"; mount --bind "/dev/$d" "$R/dev/$d"; done
mkdir "$R/dev/pts" "$R/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$R/dev/pts"
ln -s pts/ptmx "$R/dev/ptmx"; ln -s /proc/self/fd "$R/dev/fd"
mount -t tmpfs tmpfs "$R/dev/shm"
mount -t sysfs -o ro sysfs "$R/sys"
mount -t cgroup2 cgroup2 "$R/sys/fs/cgroup"
for d in tmp var/tmp; do mount -t tmpfs -o mode=1777 tmpfs "$R/$d"; done
for d in run var/log; do mount -t tmpfs -o mode=755 tmpfs "$R/$d"; done
mkdir -p "$R/mnt/old"; cd "$R"; pivot_root . mnt/old; umount -l /mnt/old
ip link set lo up 2>/dev/null || true
rm -rf /etc/systemd/system/*
for u in systemd-tmpfiles-setup.service systemd-tmpfiles-setup-dev.service systemd-tmpfiles-clean.timer \
    systemd-udevd.service systemd-udev-trigger.service systemd-udevd-kernel.socket systemd-udevd-control.socket \
    systemd-timesyncd.service systemd-remount-fs.service systemd-modules-load.service systemd-sysctl.service \
    systemd-random-seed.service dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount \
    sys-kernel-tracing.mount sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount
do ln -s /dev/null "/etc/systemd/system/$u"; done
cat > /etc/systemd/system/standin.target <<'EOT'
[Unit]
AllowIsolate=yes
Requires=dbus.socket systemd-logind.service
After=dbus.socket systemd-logind.service
EOT
if ! grep -q '^crew:' /etc/passwd; then
    echo 'crew:x:4242:4242::/home/crew:/bin/sh' >> /etc/passwd
    echo 'crew:x:4242:' >> /etc/group
    echo 'crew:*:19000:0:99999:7:::' >> /etc/shadow
    mkdir -p /home/crew; chown 4242:4242 /home/crew
fi
exec env -i container=standin PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=standin.target --log-target=console --log-level=notice --show-status=no
"""
ISOLATED = "unshare --mount --uts --ipc --net --pid --cgroup --fork --kill-child --propagation private"


class SystemdMachine:
    """`base` is a folder on a real disk; what the machine writes is kept there from one boot to the next."""

    def __init__(self, base: Path) -> None:
        self._base = base
        for name in ("upper", "work", "root"):
            (base / name).mkdir()
        (base / "init.sh").write_text(INIT)
        above = own_group()
        assert above is not None, "there is no cgroup v2"
        self._group = ControlGroup(above.folder / f"standin-{os.getpid()}")
        self._boot: subprocess.Popen[bytes] | None = None

    def boot(self) -> None:
        """systemd gives up at once while the system is short of something, such as inotify instances: it is tried
        again."""
        assert self._group.make(), "cgroup v2 is not writable"
        until(self._is_up, within_s=60, what=f"booted, see {self._base / 'boot.log'}")

    def _start(self) -> None:
        script = f'echo $$ > {self._group.folder}/cgroup.procs; exec setsid {ISOLATED} bash "$0" "$1"'
        with open(self._base / "boot.log", "ab") as log:
            self._boot = subprocess.Popen(
                ["sh", "-c", script, str(self._base / "init.sh"), str(self._base)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def cut_the_power(self) -> None:
        """Every process is gone at once."""
        if self._boot is not None:
            self._boot.send_signal(signal.SIGKILL)
            self._boot.wait()
            self._boot = None
        self._group.kill()
        until(lambda: not self._group.members())
        self._group.remove()

    def run(self, *words: str, user: str = USER, **env: str) -> subprocess.CompletedProcess[str]:
        """A command as a user of that machine, in an environment with nothing but what a login has."""
        home = HOME if user == USER else Path("/root")
        identity = ["setpriv", f"--reuid={USER_ID}", f"--regid={USER_ID}", "--clear-groups"] if user == USER else []
        path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin"
        settings = [f"{name}={value}" for name, value in {"PATH": path, "HOME": str(home), **env}.items()]
        return subprocess.run(
            [
                "nsenter",
                f"--target={self._init()}",
                "--all",
                *identity,
                "env",
                "-i",
                f"--chdir={home}",
                *settings,
                *words,
            ],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def _init(self) -> int:
        """PID 1 of that machine, as it is seen from here."""
        assert self._boot is not None
        (init,) = Path(f"/proc/{self._boot.pid}/task/{self._boot.pid}/children").read_text().split()
        return int(init)

    def _is_up(self) -> bool:
        if self._boot is None or self._boot.poll() is not None:
            self._start()
            return False
        with contextlib.suppress(ValueError, OSError):
            said = self.run("systemctl", "is-active", "standin.target", user="root").stdout.strip()
            return said == "active"
        return False


@contextlib.contextmanager
def run_systemd(base: Path) -> Iterator[SystemdMachine]:
    """Booted once, and of a user who can read this checkout and run its Python."""
    machine = SystemdMachine(base)
    try:
        machine.boot()
        places = {CHECKOUT, Path(sys.executable).resolve(), Path(sys.prefix)}
        above = sorted({str(parent) for place in places for parent in (place, *place.parents)})
        done = machine.run("chmod", "o+rx", *above, user="root")
        assert done.returncode == 0, done.stderr
        machine.run("touch", str(CHECKOUT / ".venv" / ".ready"), user="root")
        yield machine
    finally:
        machine.cut_the_power()
