"""Locks on output directories: one run at a time, and none that outlives its process."""

import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress

import pytest

from plainformer.checkpoints import locks
from plainformer.checkpoints.locks import LOCK, lock_directory
from plainformer.errors import CheckpointError

HOLDER = """
import os, sys, time
from plainformer.checkpoints.locks import lock_directory
with lock_directory(sys.argv[1]):
    child = os.fork() if "fork" in sys.argv else None
    if not child:  # where there is one, it says when it is there
        print("held", flush=True)
    if child == 0:
        time.sleep(60)
        os._exit(0)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path):
    """Starts processes that hold the lock of `tmp_path / "out"` until they are told to end."""
    started = []

    def start(*options):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path / "out"), *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        started.append(process)
        assert process.stdout.readline() == "held\n", process.communicate()[1]
        return process

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with what it forked
        process.communicate()


def test_a_directory_is_made_held_and_left_as_it_was(tmp_path):
    with lock_directory(tmp_path / "a" / "out") as lock:
        assert os.listdir(tmp_path / "a" / "out") == [LOCK]
        (tmp_path / "a" / "out" / "x").write_text("")
        lock.check()
    assert os.listdir(tmp_path / "a" / "out") == ["x"]


def test_a_new_directory_into_which_nothing_came_is_removed(tmp_path):
    with pytest.raises(ZeroDivisionError), lock_directory(tmp_path / "out"):
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []
    (tmp_path / "mine").mkdir()
    with lock_directory(tmp_path / "mine"):
        pass
    assert os.listdir(tmp_path) == ["mine"]


def test_a_second_process_gets_one_line_that_names_the_first(tmp_path, holder):
    process = holder()
    message = rf"out: process {process.pid} is writing into it; wait until it ends, or choose"
    with pytest.raises(CheckpointError, match=message), lock_directory(tmp_path / "out"):
        pass
    process.communicate("end\n")
    assert process.returncode == 0
    with lock_directory(tmp_path / "out"):
        pass


def test_another_machine_is_named_too(tmp_path, holder):
    holder()
    (tmp_path / "out" / LOCK).write_text("17 elsewhere\n")
    with (
        pytest.raises(CheckpointError, match="process 17 on elsewhere is writing"),
        lock_directory(tmp_path / "out"),
    ):
        pass


def test_a_killed_holder_holds_nothing(tmp_path, holder):
    process = holder()
    process.kill()
    process.wait()
    assert (tmp_path / "out" / LOCK).exists()
    with lock_directory(tmp_path / "out"):
        assert (tmp_path / "out" / LOCK).read_text() == f"{os.getpid()} {socket.gethostname()}\n"
    assert not (tmp_path / "out" / LOCK).exists()


def test_children_that_outlive_a_killed_holder_hold_nothing(tmp_path, holder):
    """A forked child has a copy of every open file, and a lock belongs to the file."""
    process = holder("fork")
    process.kill()
    process.wait()
    with lock_directory(tmp_path / "out"):
        pass


def test_started_programs_do_not_inherit_it(tmp_path):
    with lock_directory(tmp_path):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with lock_directory(tmp_path):
            pass
    finally:
        child.kill()
        child.wait()


def test_another_thread_of_this_process_is_another_run(tmp_path):
    seen = []

    def second():
        try:
            with lock_directory(tmp_path):
                seen.append("in")
        except CheckpointError as error:
            seen.append(str(error))

    with lock_directory(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert f"another thread of this process ({os.getpid()}) is writing into it" in seen[0]
    second()
    assert seen[1] == "in"


def test_the_run_that_has_it_may_take_it_again_by_any_of_its_names(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    with lock_directory(tmp_path / "link"):
        with lock_directory("out"):
            pass
        assert (tmp_path / "out" / LOCK).exists()
    assert os.listdir(tmp_path / "out") == []


@pytest.mark.parametrize("again", [True, False], ids=["made again", "gone"])
def test_a_directory_removed_meanwhile_is_an_error(tmp_path, again):
    def run():
        with lock_directory(tmp_path / "out") as lock:
            (tmp_path / "out").rename(tmp_path / "elsewhere")
            if again:
                (tmp_path / "out").mkdir()
            with pytest.raises(CheckpointError, match=message):
                lock.check()
            with pytest.raises(CheckpointError, match=message), lock_directory(tmp_path / "out"):
                pass

    message = "was removed or replaced while this run was writing into it"
    with pytest.raises(CheckpointError, match=message):
        run()


def test_what_another_users_killed_run_left_is_replaced(tmp_path, monkeypatch):
    """His lock file cannot be written to, in a directory that both may write into."""
    opened, left = os.open, tmp_path / LOCK
    left.write_text("17 here\n")
    inode = left.stat().st_ino

    def refuse(path, flags, *mode, **where):
        if flags & os.O_RDWR and os.path.exists(path) and os.stat(path).st_ino == inode:
            raise PermissionError(13, "Permission denied", path)
        return opened(path, flags, *mode, **where)

    monkeypatch.setattr(os, "open", refuse)
    holder = left.open()  # the inode is not given to the new file
    with lock_directory(tmp_path):
        assert left.read_text().startswith(f"{os.getpid()} ")
    holder.close()


def test_a_directory_that_is_not_to_be_written_to_is_said_so(tmp_path, monkeypatch):
    opened = os.open

    def refuse(path, flags, *mode, **where):
        if flags & os.O_CREAT:
            raise PermissionError(13, "Permission denied", path)
        return opened(path, flags, *mode, **where)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError, match=LOCK), lock_directory(tmp_path):
        pass


def test_a_planted_link_is_not_written_through(tmp_path):
    (tmp_path / "mine").write_text("kept")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / LOCK).symlink_to(tmp_path / "mine")
    with pytest.raises(OSError, match="symbolic links"), lock_directory(tmp_path / "out"):
        pass
    assert (tmp_path / "mine").read_text() == "kept"


def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(locks, "fcntl", None)
    with lock_directory(tmp_path):
        assert "has no locks; a second run would not be noticed" in caplog.text


def test_many_at_once_hold_it_one_at_a_time(tmp_path):
    """Holders make and remove the file and the directory under each other's feet."""
    busy, inside, errors = threading.Lock(), [], []

    def work():
        while len(inside) < 200 and not errors:
            try:
                with lock_directory(tmp_path / "out"):
                    if not busy.acquire(blocking=False):
                        errors.append("two at once")
                    inside.append(1)
                    busy.release()
            except CheckpointError as error:
                if "is writing into it" not in str(error):
                    errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


@pytest.mark.parametrize("how", ["working directory", "link"])
def test_a_name_that_becomes_that_of_another_directory_is_an_error(tmp_path, monkeypatch, how):
    for name in ("one", "two", "two/out"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").symlink_to("one")
    message = "out: is not .*one any more, into which this run was writing"

    def run():
        with lock_directory("out") as lock:
            lock.check()
            if how == "link":
                (tmp_path / "out").unlink()
                (tmp_path / "out").symlink_to("two")
            else:
                os.chdir("two")
            with pytest.raises(CheckpointError, match=message):
                lock.check()

    with pytest.raises(CheckpointError, match=message):
        run()
    assert os.listdir(tmp_path / "one") == []
    assert os.listdir(tmp_path / "two") == ["out"]


def test_a_run_within_a_run_is_an_error(tmp_path):
    with (
        lock_directory(tmp_path / "out") as lock,
        lock.run(),
        pytest.raises(CheckpointError, match="the training run that this one is part of is"),
        lock_directory(tmp_path / "out") as again,
        again.run(),
    ):
        pass
    with lock_directory(tmp_path / "out") as lock, lock.run():
        pass


def test_what_is_no_directory_is_said_so(tmp_path):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("file", "loop"):
        with (
            pytest.raises(CheckpointError, match=f"{name}: is no directory; choose another"),
            lock_directory(tmp_path / name),
        ):
            pass
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a place without new directories")
def test_a_place_where_none_can_be_made_is_said_so():
    with pytest.raises(CheckpointError, match="cannot be made"), lock_directory("/proc/out"):
        pass


def test_others_may_ask_a_lock_whatever_the_umask(tmp_path):
    """Or what a killed run left would be in the way of every other user of the directory."""
    before = os.umask(0o077)
    try:
        with lock_directory(tmp_path):
            assert (tmp_path / LOCK).stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)


def test_what_cannot_be_replaced_is_locked_as_it_is(tmp_path, monkeypatch):
    """In a sticky directory only its owner may remove a file."""
    opened, left = os.open, tmp_path / LOCK
    left.write_text("17 here\n")

    def refuse(path, flags=0, *mode, **where):
        if flags & os.O_RDWR and os.fspath(path) == str(left):
            raise PermissionError(13, "Permission denied", path)
        return opened(path, flags, *mode, **where)

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "unlink", lambda path: refuse(path, os.O_RDWR))
    with lock_directory(tmp_path):
        again = left.open()
        assert locks.try_lock(again.fileno()) is False
        again.close()
    assert left.read_text() == "17 here\n"
