"""Atomic files and directories: a failure at any moment leaves the old state."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from plainformer.checkpoints import atomic, checksums
from plainformer.checkpoints.safetensors import load_file, save_file
from plainformer.errors import CheckpointError


def fill(directory, text):
    (directory / "sub").mkdir()
    (directory / "a").write_text(text)
    (directory / "sub" / "b").write_text(text)


def contents(directory):
    return {
        str(p.relative_to(directory)): p.read_text() for p in directory.rglob("*") if p.is_file()
    }


@contextmanager
def file_limit(size):
    """Limit how large a file this process may write; not for longer, as pytest's own log is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_json_is_replaced_whole(tmp_path):
    path = tmp_path / "state.json"
    atomic.write_json_atomic(path, {"step": 1})
    atomic.write_json_atomic(path, {"step": 2, "text": "é"})
    assert json.loads(path.read_text(encoding="utf-8")) == {"step": 2, "text": "é"}
    with pytest.raises(ValueError, match="JSON"):
        atomic.write_json_atomic(path, {"loss": float("nan")})
    assert os.listdir(tmp_path) == ["state.json"]


def test_file_keeps_its_old_bytes_when_the_body_fails(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(TypeError), atomic.atomic_file(path) as file:
        file.writelines([b"new", None])
    assert contents(tmp_path) == {"a": "old"}


def test_directory_appears_whole(tmp_path):
    with atomic.atomic_directory(tmp_path / "run" / "new") as partial:
        fill(partial, "1")
        assert not (tmp_path / "run" / "new").exists()
    assert contents(tmp_path) == {"run/new/a": "1", "run/new/sub/b": "1"}


@pytest.mark.parametrize("exchange", [True, False], ids=["exchange", "two renames"])
def test_directory_is_replaced(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(atomic, "_exchange", lambda a, b: False)
    target = tmp_path / "a"
    for text in "12":
        with atomic.atomic_directory(target) as partial:
            fill(partial, text)
    assert contents(tmp_path) == {"a/a": "2", "a/sub/b": "2"}


@pytest.mark.skipif(sys.platform != "linux", reason="renameat2 is Linux's")
def test_linux_exchanges_in_one_step(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(name)
    assert atomic._exchange(tmp_path / "a", tmp_path / "b")
    assert contents(tmp_path) == {"a/b": "b", "b/a": "a"}


def test_directory_keeps_its_old_files_when_the_body_fails(tmp_path):
    target = tmp_path / "a"
    with atomic.atomic_directory(target) as partial:
        fill(partial, "old")
    with pytest.raises(FileExistsError), atomic.atomic_directory(target) as partial:
        [fill(partial, "new") for _ in range(2)]
    assert contents(tmp_path) == {"a/a": "old", "a/sub/b": "old"}


def test_a_file_limit_leaves_the_old_file_and_names_it(tmp_path):
    path = tmp_path / "model.safetensors"
    old = {"x": np.zeros(4, np.float32)}
    save_file(old, path)
    with pytest.raises(OSError, match=r"model\.safetensors") as error, file_limit(4096):
        save_file({"x": np.ones(4096, np.float32)}, path)
    assert "partial" not in str(error.value)
    assert os.listdir(tmp_path) == ["model.safetensors"]
    np.testing.assert_array_equal(load_file(path)["x"], old["x"])


def test_a_file_limit_leaves_the_old_directory(tmp_path):
    target = tmp_path / "checkpoint-1"
    with atomic.atomic_directory(target) as partial:
        fill(partial, "old")
    with (
        pytest.raises(OSError, match="large"),
        file_limit(4096),
        atomic.atomic_directory(target) as partial,
    ):
        save_file({"x": np.ones(4096, np.float32)}, partial / "model.safetensors")
    assert contents(tmp_path) == {"checkpoint-1/a": "old", "checkpoint-1/sub/b": "old"}


def test_a_disk_that_is_full_only_at_fsync_leaves_the_old_state(tmp_path, monkeypatch):
    """Delayed allocation: `write` succeeded, the space was not there."""
    atomic.write_bytes_atomic(tmp_path / "file", b"old")
    with atomic.atomic_directory(tmp_path / "dir") as partial:
        fill(partial, "old")
    before = contents(tmp_path)

    def no_space(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match=r"No space left.*/file'"):
        atomic.write_bytes_atomic(tmp_path / "file", b"new")
    with pytest.raises(OSError, match="No space"), atomic.atomic_directory(tmp_path / "dir") as new:
        fill(new, "new")
    assert contents(tmp_path) == before


WRITER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from plainformer.checkpoints import atomic, checksums

    root = Path(sys.argv[1])
    for step in range(1, 1_000_000):
        with atomic.atomic_directory(root / f"step-{step % 3}") as partial:
            for name in "abc":
                (partial / name).write_text(str(step) * 1000)
            checksums.write_checksums(partial)
        atomic.write_pointer(root / "latest", f"step-{step % 3}")
        print(step, flush=True)
    """
)


def kill_writer(root, delay):
    """Start a process that publishes directories without end; kill it `delay` s after the first."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(root)], stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="replacing is one step on Linux only")
def test_sigkill_leaves_only_whole_directories(tmp_path, rng):
    for delay in rng.uniform(0, 0.05, 12):
        kill_writer(tmp_path, delay)
        atomic.remove_partials(tmp_path)
        steps = sorted(p.name for p in tmp_path.iterdir() if p.is_dir())
        assert atomic.read_pointer(tmp_path / "latest") in steps
        for name in steps:
            checksums.verify_checksums(tmp_path / name)


LEFT = ".a.0123456789abcdef.plainformer-partial", ".b.fedcba9876543210.plainformer-partial"


def test_remove_partials_names_what_it_removed(tmp_path):
    fill(tmp_path, "kept")
    (tmp_path / LEFT[0]).mkdir()
    (tmp_path / LEFT[1]).write_text("x")
    assert atomic.remove_partials(tmp_path) == list(LEFT)
    assert contents(tmp_path) == {"a": "kept", "sub/b": "kept"}


def test_what_others_named_or_linked_stays(tmp_path):
    """A user's own names, and links and pipes under names like ours."""
    users = [".mine.partial", ".mine.0badcafe.partial", "x.plainformer-partial", "a.partial"]
    for name in users:
        (tmp_path / name).mkdir()
    (tmp_path / LEFT[0]).symlink_to(tmp_path / "a.partial")
    os.mkfifo(tmp_path / LEFT[1])
    assert atomic.remove_partials(tmp_path) == []
    assert sorted(os.listdir(tmp_path)) == sorted([*users, *LEFT])


def test_what_a_living_writer_is_at_stays(tmp_path):
    with atomic.atomic_directory(tmp_path / "a") as partial:
        fill(partial, "1")
        with atomic.atomic_file(tmp_path / "b") as file:
            file.write(b"2")
            assert atomic.remove_partials(tmp_path) == []
    assert contents(tmp_path) == {"a/a": "1", "a/sub/b": "1", "b": "2"}


def test_the_first_write_of_a_process_clears_what_dead_ones_left(tmp_path):
    (tmp_path / LEFT[0]).mkdir()
    atomic.write_bytes_atomic(tmp_path / "c", b"")
    assert os.listdir(tmp_path) == ["c"]


def test_a_directory_moved_aside_by_a_killed_process_comes_back(tmp_path):
    """Where replacing takes two renames: between them the target is absent."""
    for _ in range(2):  # the second time the target is there
        (tmp_path / ".step-1.replaced.plainformer-partial").mkdir()
        atomic.remove_partials(tmp_path)
        assert os.listdir(tmp_path) == ["step-1"]


def mode(path):
    return path.stat().st_mode & 0o777


def test_a_replaced_file_passes_its_permissions_on(tmp_path):
    (tmp_path / "usual").write_text("")
    for path, wanted in ((tmp_path / "log", 0o600), (tmp_path / "open", 0o666)):
        atomic.write_bytes_atomic(path, b"1")
        assert mode(path) == mode(tmp_path / "usual")
        os.chmod(path, wanted)
        atomic.write_bytes_atomic(path, b"2")
        assert mode(path) == wanted


def test_a_replaced_directory_passes_permissions_on(tmp_path):
    target = tmp_path / "a"
    for _ in range(2):
        with atomic.atomic_directory(target) as partial:
            fill(partial, "1")
        os.chmod(target / "sub" / "b", 0o640)
        os.chmod(target, 0o700)
    with atomic.atomic_directory(target) as partial:
        fill(partial, "2")
    assert mode(target) == 0o700
    assert mode(target / "sub" / "b") == 0o640


def test_a_link_in_the_way_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_text("kept")
    (tmp_path / "log").symlink_to(tmp_path / "elsewhere")
    atomic.write_bytes_atomic(tmp_path / "log", b"new")
    (tmp_path / "folder").mkdir()
    (tmp_path / "d").symlink_to(tmp_path / "folder")
    with atomic.atomic_directory(tmp_path / "d") as partial:
        (partial / "x").write_text("1")
    assert contents(tmp_path) == {"elsewhere": "kept", "log": "new", "d/x": "1"}
    assert sorted(os.listdir(tmp_path)) == ["d", "elsewhere", "folder", "log"]


def test_of_a_linked_directory_only_the_link_is_deleted(tmp_path):
    fill(tmp_path, "kept")
    (tmp_path / "link").symlink_to(tmp_path / "sub")
    atomic.remove_directory(tmp_path / "link")
    assert contents(tmp_path) == {"a": "kept", "sub/b": "kept"}
    assert sorted(os.listdir(tmp_path)) == ["a", "sub"]


def test_a_name_of_254_bytes_can_be_written(tmp_path):
    atomic.write_bytes_atomic(tmp_path / ("é" * 127), b"x")
    assert os.listdir(tmp_path) == ["é" * 127]


SLOW = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.mark.parametrize(
    ("kind", "every", "count"),
    [
        ("writers", 9, 9),
        pytest.param("writers", 1, 9, marks=SLOW),
        pytest.param("runs", 1, 2, marks=SLOW),
    ],
)
def test_every_writer_survives_a_kill_at_its_calls(kind, every, count):
    """Old or new contents, never half; the next start leaves nothing of the dead one's behind."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.checkpoints.killing", kind, str(every)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=3500,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("killed: ") == count


def test_pointer(tmp_path):
    assert atomic.read_pointer(tmp_path / "latest") is None
    atomic.write_pointer(tmp_path / "latest", "checkpoint-7")
    assert atomic.read_pointer(tmp_path / "latest") == "checkpoint-7"


@pytest.mark.parametrize("data", [b"", b"../x", b"/etc/passwd", b"a\nb/c", b"..", b"\xff"])
def test_bad_pointer(tmp_path, data):
    (tmp_path / "latest").write_bytes(data)
    with pytest.raises(CheckpointError, match="latest"):
        atomic.read_pointer(tmp_path / "latest")
    if b"\xff" not in data:
        with pytest.raises(ValueError, match="plain name"):
            atomic.write_pointer(tmp_path / "latest", data.decode())


def test_checksum_is_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert checksums.checksum_file(tmp_path / "a") == f"sha256:{expected}"


@pytest.mark.parametrize("damage", ["changed", "missing", "not listed"])
def test_checksums_find_damage(tmp_path, damage):
    fill(tmp_path, "x")
    checksums.write_checksums(tmp_path)
    checksums.verify_checksums(tmp_path)
    if damage == "changed":
        (tmp_path / "sub" / "b").write_text("y")
    elif damage == "missing":
        (tmp_path / "sub" / "b").unlink()
    else:
        (tmp_path / "sub" / "c").write_text("z")
    with pytest.raises(CheckpointError, match=r"sub/[bc]"):
        checksums.verify_checksums(tmp_path)


def test_what_another_users_killed_process_left_is_removed(tmp_path, monkeypatch):
    """His file cannot be written to, in a directory that both may write into."""
    opened, left = os.open, tmp_path / f".x.0123456789abcdef{atomic.PARTIAL}"
    left.write_text("half")

    def refuse(path, flags, *mode, **where):
        if flags & os.O_RDWR and os.fspath(path) == str(left):
            raise PermissionError(13, "Permission denied", path)
        return opened(path, flags, *mode, **where)

    monkeypatch.setattr(os, "open", refuse)
    assert atomic.remove_partials(tmp_path) == [left.name]
    assert not left.exists()


def test_a_directory_that_cannot_be_deleted_whole_is_gone_by_its_name(
    tmp_path, monkeypatch, caplog
):
    """Another user's checkpoint does not end a run that saved its own."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "x").write_text("his")
    monkeypatch.setattr(
        os, "unlink", lambda *a, **k: (_ for _ in ()).throw(PermissionError(13, "no"))
    )
    atomic.remove_directory(tmp_path / "old")
    monkeypatch.undo()
    assert not (tmp_path / "old").exists()
    assert "cannot be deleted whole" in caplog.text
    assert len(atomic.remove_partials(tmp_path)) == 1
