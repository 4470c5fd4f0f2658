"""Which of those who share a file are still there: each keeps a small file beside it locked. What they own is not its business.

The lock is the kernel's, so it ends with its process, however that ends: nobody waits for a dead one, and no clock decides.
"""

from __future__ import annotations

import fcntl
import glob
import uuid
from contextlib import suppress
from pathlib import Path


class Owner:
    """One who is there, until `leave` or the end of its process."""

    def __init__(self, shared: Path):
        while True:
            self.name = uuid.uuid4().hex
            self._path = _file(shared, self.name)
            self._opened = self._path.open("w")
            fcntl.flock(self._opened, fcntl.LOCK_EX)
            if self._path.exists():  # else it was cleared away before it was locked
                break
            self._opened.close()

    def leave(self) -> None:
        self._path.unlink(missing_ok=True)
        self._opened.close()


def is_there(shared: Path, name: str) -> bool:
    """Whether the owner of that name is there; the file of one that is not is cleared away."""
    with suppress(FileNotFoundError), _file(shared, name).open() as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        _file(shared, name).unlink(missing_ok=True)
    return False


def clear(shared: Path) -> None:
    """Clear away the files of all that are not there."""
    prefix = _file(shared, "").name
    for file in shared.parent.glob(f"{glob.escape(prefix)}*"):
        is_there(shared, file.name.removeprefix(prefix))


def _file(shared: Path, name: str) -> Path:
    return shared.with_name(f"{shared.name}.owner-{name}")
