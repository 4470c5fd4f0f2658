"""Which of those who share a file are still there: each keeps a small file beside it locked. What they own is not its business.

The lock is the kernel's, so it ends with its process, however that ends: nobody waits for a dead one, and no clock decides.
"""

from __future__ import annotations

import glob
import uuid
from pathlib import Path

from filelock import FileLock, Timeout


class Owner:
    """One who is there, until `leave` or the end of its process."""

    def __init__(self, shared: Path):
        self.name = uuid.uuid4().hex
        self._path = _file(shared, self.name)
        self._lock = FileLock(self._path, thread_local=False)
        self._lock.acquire()

    def leave(self) -> None:
        self._path.unlink(missing_ok=True)
        self._lock.release()


def is_there(shared: Path, name: str) -> bool:
    """Whether the owner of that name is there; the file of one that is not is cleared away."""
    path = _file(shared, name)
    if path.exists():
        try:
            with FileLock(path, timeout=0, thread_local=False):
                path.unlink(missing_ok=True)
        except Timeout:
            return True
    return False


def clear(shared: Path) -> None:
    """Clear away the files of all that are not there."""
    prefix = _file(shared, "").name
    for file in shared.parent.glob(f"{glob.escape(prefix)}*"):
        is_there(shared, file.name.removeprefix(prefix))


def _file(shared: Path, name: str) -> Path:
    return shared.with_name(f"{shared.name}.owner-{name}")
