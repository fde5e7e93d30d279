"""The disk as scaffolding sees it: durable writes, renames and removals."""

from __future__ import annotations

import shutil
from pathlib import Path

from relayfleet.errors import StorageFailed
from relayfleet.store.files import make_private_folder, sync_folder, write_atomic


class LocalDisk:
    """The `Disk` of this machine."""

    def write(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        write_atomic(path, data, mode=mode)

    def make_folder(self, path: Path) -> None:
        make_private_folder(path)

    def rename(self, source: Path, target: Path) -> None:
        try:
            source.replace(target)
            sync_folder(target.parent)
            if source.parent != target.parent:
                sync_folder(source.parent)
        except OSError as error:
            raise StorageFailed(f"rename {str(source)!r} to {str(target)!r}", error.strerror or str(error)) from error

    def remove_tree(self, path: Path) -> None:
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageFailed(f"remove {str(path)!r}", error.strerror or str(error)) from error
