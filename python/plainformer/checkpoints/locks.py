"""Advisory locks (flock) that the kernel gives back when their process ends, however it ends.

`lock_directory` keeps two runs from writing into one directory: the second gets one clear error.
Whoever only reads takes no lock. The lock is a file in the directory that names its holder; it is
removed again, so that what stays is a model directory and nothing else.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

try:
    import fcntl
except ImportError:  # a system without flock: nothing is locked
    fcntl = None  # type: ignore[assignment]

from ..errors import CheckpointError
from .files import PathLike

LOCK = ".plainformer.lock"
_UNSUPPORTED = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF}
_ATTEMPTS = 100  # a holder may remove its file, or a new directory, between our steps
_DIRECTORY = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # for the other end of a planted pipe
NO_LINKS = getattr(os, "O_NOFOLLOW", 0)  # a planted link is an error, not a way elsewhere

_log = logging.getLogger("plainformer")
_held: dict[str, DirectoryLock] = {}
_guard = threading.Lock()


def try_lock(descriptor: int) -> bool | None:
    """Lock an open file or directory until it is closed; False where another has it locked.

    None where the system or the file system has no such locks.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return None
        raise
    return True


def is_at(descriptor: int, path: PathLike) -> bool:
    """Whether `path` still is the open file or directory."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _is_same(descriptor: int, name: str) -> bool:
    """Whether `name`, through all links, still is the open directory."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(name))
    except OSError:
        return False


class DirectoryLock:
    """A directory that this process writes into; see `lock_directory`."""

    def __init__(self, directory: str, name: str):
        self.directory, self.name = directory, name
        self.thread, self.depth, self.made = threading.get_ident(), 1, False
        self.has_run = False
        for _ in range(_ATTEMPTS):
            with suppress(FileNotFoundError):
                if self._take():
                    return
        raise CheckpointError(f"{directory}: cannot be made, or others remove it all the time")

    def check(self) -> None:
        """Raise CheckpointError if the directory was removed or replaced since it was locked, or
        if its name, a relative one or that of a link, has become that of another."""
        if not self.is_open:
            return
        if not is_at(self._folder, self.directory):
            raise CheckpointError(
                f"{self.directory}: was removed or replaced while this run was writing into it; "
                "what it wrote is not complete"
            )
        if not _is_same(self._folder, self.name):
            raise CheckpointError(
                f"{self.name}: is not {self.directory} any more, into which this run was writing: "
                "the working directory or a link changed; give output_dir as an absolute path"
            )

    @contextmanager
    def run(self) -> Iterator[None]:
        """Inside, it is of one training run; CheckpointError for another within that."""
        if self.has_run:
            raise _in_use(self.directory, "the training run that this one is part of")
        self.has_run = True
        try:
            yield
        finally:
            self.has_run = False

    def release(self) -> None:
        """Remove the lock, and the directory if it is new and nothing came into it."""
        path = os.path.join(self.directory, LOCK)
        with suppress(OSError):
            if is_at(self._file, path):
                os.unlink(path)
            if self.made:
                os.rmdir(self.directory)
        self.close()

    def close(self) -> None:
        """Close what is open, which gives the lock back unless another process has it open too."""
        self.is_open = False
        os.close(self._file)
        os.close(self._folder)

    def _take(self) -> bool:
        """One attempt; False if what was locked is not there any more."""
        if os.path.lexists(self.directory) and not os.path.isdir(self.directory):
            raise CheckpointError(f"{self.directory}: is no directory; choose another output_dir")
        self.made = self.made or not os.path.isdir(self.directory)
        os.makedirs(self.directory, exist_ok=True)
        self._folder = os.open(self.directory, _DIRECTORY)
        try:
            self._file = self._lock_file()
        except BaseException:
            os.close(self._folder)
            raise
        if is_at(self._file, os.path.join(self.directory, LOCK)) and is_at(
            self._folder, self.directory
        ):
            self.is_open = True
            return True
        self.close()
        return False

    def _lock_file(self) -> int:
        path = os.path.join(self.directory, LOCK)
        try:
            file, others = os.open(path, os.O_RDWR | os.O_CREAT | NO_LINKS | _NO_WAIT, 0o666), False
        except PermissionError:  # another user's, who was killed or is at work
            if not os.path.lexists(path):
                raise  # or a directory that is not to be written to
            file, others = os.open(path, os.O_RDONLY | NO_LINKS | _NO_WAIT), True
        try:
            locked = try_lock(file)
            if locked is False:
                raise _in_use(self.directory, _holder(file, path))
        except BaseException:
            os.close(file)
            raise
        if locked is None:
            _log.warning(
                "%s: its file system has no locks; a second run would not be noticed",
                self.directory,
            )
        if others:  # nobody holds it: the next attempt makes one of ours
            with suppress(PermissionError):  # a sticky directory: his is as good, but for its name
                os.unlink(path)
            return file
        with suppress(OSError):  # a full disk: then the holder has no name
            os.chmod(file, os.fstat(file).st_mode & 0o777 | 0o444)  # others ask it, whatever umask
            os.truncate(file, 0)
            os.pwrite(file, f"{os.getpid()} {socket.gethostname()}\n".encode(), 0)
        return file


@contextmanager
def lock_directory(directory: PathLike) -> Iterator[DirectoryLock]:
    """Inside, no other run writes into `directory`, which is made if it is absent.

    The thread that has the lock may take it again: a fine-tuning has it, and its training too.
    A child process that was forked has it not.

    Raises
    ------
    CheckpointError : another process, or another thread of this one, has it; it is no directory;
        or at the end, or when it is taken again: it was removed or replaced meanwhile, or its name
        became that of another
    OSError : the directory cannot be made or written to
    """
    lock = _acquire(os.fspath(directory))
    try:
        yield lock
        lock.check()
    finally:
        _release(lock)


def _acquire(directory: str) -> DirectoryLock:
    path = os.path.realpath(directory)
    with _guard:
        held = _held.get(path)
        if held is None:
            lock = _held[path] = DirectoryLock(path, directory)
            return lock
        if held.thread != threading.get_ident():
            raise _in_use(path, f"another thread of this process ({os.getpid()})")
        held.check()
        held.depth += 1
        return held


def _release(lock: DirectoryLock) -> None:
    with _guard:
        lock.depth -= 1
        if lock.depth == 0 and lock.is_open:
            del _held[lock.directory]
            lock.release()


def _in_use(directory: str, holder: str) -> CheckpointError:
    return CheckpointError(
        f"{directory}: {holder} is writing into it; wait until it ends, or choose another "
        "output_dir"
    )


def _holder(file: int, path: str) -> str:
    """Who wrote a lock file that is locked; it may just be about to write its name."""
    for _ in range(_ATTEMPTS):
        if found := re.fullmatch(rb"(\d+) (\S+)\n", os.pread(file, 400, 0)):
            break
        if not is_at(file, path):
            raise FileNotFoundError(path)  # given back meanwhile
        time.sleep(0.005)
    else:
        return "another process"
    number, host = found[1].decode(), found[2].decode(errors="replace")
    return f"process {number}" + ("" if host == socket.gethostname() else f" on {host}")


def _forget_in_child() -> None:
    """A forked child holds none of its parent's locks: an open copy would outlive the parent."""
    global _guard
    _guard = threading.Lock()
    for lock in _held.values():
        lock.close()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
