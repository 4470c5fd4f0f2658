"""Who shares a file and is still there: alone, in a thread, in another process, killed, and cleared away at the worst moment."""

import subprocess
import sys
import threading

import pytest

from scicot_utils import owners
from scicot_utils.owners import Owner

HOLD = "import sys, pathlib, scicot_utils.owners as o; a = o.Owner(pathlib.Path(sys.argv[1])); print(a.name, flush=True); input()"


@pytest.fixture
def shared(tmp_path):
    return tmp_path / "cache[1].sqlite"  # a name that a pattern would misread


@pytest.fixture
def another(shared):
    """An owner in a process of its own: (process, its name)."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(shared)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process, process.stdout.readline().strip()
    process.kill()
    process.communicate()


def files(shared):
    return sorted(file.name for file in shared.parent.iterdir())


def test_an_owner_is_there_until_it_leaves_and_leaves_nothing(shared):
    owner = Owner(shared)
    assert owners.is_there(shared, owner.name) and owners.is_there(shared, owner.name)
    owners.clear(shared)
    assert owners.is_there(shared, owner.name)  # seen by the process that is it, and not cleared away
    owner.leave()
    assert not owners.is_there(shared, owner.name) and files(shared) == []


def test_an_owner_may_leave_from_another_thread(shared):
    owner = Owner(shared)
    thread = threading.Thread(target=owner.leave)
    thread.start()
    thread.join()
    assert not owners.is_there(shared, owner.name) and files(shared) == []


def test_another_process_is_there_until_it_is_killed(shared, another):
    process, name = another
    assert owners.is_there(shared, name)
    owners.clear(shared)
    assert owners.is_there(shared, name) and len(files(shared)) == 1
    process.kill()
    process.wait()
    assert len(files(shared)) == 1  # nobody has looked yet
    owners.clear(shared)
    assert files(shared) == []


def test_one_who_was_never_there_is_not_and_asking_leaves_no_file(shared):
    assert not owners.is_there(shared, "nobody") and files(shared) == []


def test_only_the_files_of_this_file_are_cleared_away(shared):
    other = shared.with_name("cache1.sqlite.owner-x")  # what the name above means as a pattern
    other.touch()
    shared.with_name(f"{shared.name}.owner-dead").touch()
    owners.clear(shared)
    assert files(shared) == [other.name]


def test_an_owner_cleared_away_before_it_was_locked_is_there_all_the_same(shared, monkeypatch):
    """Another process that looks between the making of the file and its locking takes it away."""
    opened, seen = owners.FileLock._open_lock_file, []

    def cleared(lock):
        found = opened(lock)
        if not seen:
            seen.append(lock.lock_file)
            owners.Path(lock.lock_file).unlink()
        return found

    monkeypatch.setattr(owners.FileLock, "_open_lock_file", cleared)
    owner = Owner(shared)
    assert seen and owners.is_there(shared, owner.name) and len(files(shared)) == 1
    owner.leave()
