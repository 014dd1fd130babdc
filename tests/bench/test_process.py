"""Peers in their own processes: what they may import, what they inherit, how they fail."""

import subprocess
import sys

import pytest

from plainformer.bench import process
from plainformer.bench.process import Child, PeerError, PeerMissingError, PeerTimeoutError

NUMPY = "plainformer.bench.peers.numpy_peer"
OWN = "plainformer.bench.peers.plainformer_peer"
CASE = {
    "operation": "softmax",
    "variant": "forward",
    "dtype": "float32",
    "shape": {"rows": 4, "columns": 8},
}


@pytest.fixture
def numpy_child():
    child = Child(NUMPY, 1)
    yield child
    child.close()


def test_a_peer_answers_until_it_is_closed(numpy_child):
    assert "blas" in numpy_child.description
    assert numpy_child.ask("prepare", case=CASE, seed=0) == {"ways": [""]}
    answer = numpy_child.ask("time", way="", seconds=0.0, clock="wall")
    assert len(answer["samples"]) >= 3
    assert answer["idle"]


def test_a_peer_without_a_way_says_so(numpy_child):
    bf16 = {**CASE, "dtype": "bfloat16"}
    assert numpy_child.ask("prepare", case=bf16, seed=0) == {"ways": []}


def test_a_failed_request_is_one_error_and_the_peer_lives_on(numpy_child):
    with pytest.raises(PeerError, match="KeyError"):
        numpy_child.ask("time", way="no such way", seconds=0.0, clock="wall")
    assert numpy_child.ask("release") == {}


def test_a_peer_that_cannot_be_imported_is_missing():
    with pytest.raises(PeerMissingError, match=r"no_such_peer.*\("):
        Child("plainformer.bench.peers.no_such_peer", 1)


def test_an_interpreter_that_cannot_be_run_is_missing():
    with pytest.raises(PeerMissingError, match="cannot run /no/such/python: No such file"):
        Child(NUMPY, 1, interpreter="/no/such/python")


def test_a_peer_that_dies_says_its_last_words():
    child = Child(NUMPY, 1)
    child._process.kill()
    with pytest.raises(PeerError, match="process ended with code -9"):
        child.ask("release")
    child.close()


def test_thread_settings_are_ours_alone(monkeypatch):
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OMP_WAIT_POLICY", "KMP_BLOCKTIME"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    environment = process.environment(3, {"GOMP_SPINCOUNT": "7"})
    assert {environment[name] for name in process.THREAD_VARIABLES} == {"3"}
    assert environment["GOMP_SPINCOUNT"] == "7"
    dropped = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OMP_WAIT_POLICY", "KMP_BLOCKTIME")
    assert not set(dropped) & set(environment)


def test_a_peer_that_takes_too_long_is_ended_and_begins_anew(tmp_path):
    (tmp_path / "sleepy.py").write_text(
        "import time\n"
        "HANDLERS = {'sleep': lambda seconds: time.sleep(seconds) or {}}\n"
        "describe = dict\nset_threads = print\n"
    )
    child = Child(str(tmp_path / "sleepy.py"), 1)
    first = child._process.pid
    with pytest.raises(PeerTimeoutError, match="gave no answer within 0 s"):
        child.ask("sleep", timeout=0.2, seconds=60)
    assert child.ask("sleep", timeout=20, seconds=0) == {}
    assert child._process.pid != first
    child.close()
    child.close()


def test_a_bare_peer_imports_nothing_compiled_of_ours():
    code = (
        "import runpy, sys; sys.argv = ['child.py', {module!r}, '1', {kind!r}];"
        "sys.modules['plainformer._cpu'] = None; runpy.run_path({child!r}, run_name='__main__')"
    )
    whole, bare = (
        subprocess.run(
            [
                sys.executable,
                "-c",
                code.format(
                    module=module, kind=kind, child=str(process.PACKAGE / "bench/peers/child.py")
                ),
            ],
            input="",
            capture_output=True,
            text=True,
            env=process.environment(1, {}),
        ).stdout
        for module, kind in ((OWN, "whole"), (NUMPY, "bare"))
    )
    assert '"missing"' in whole
    assert '"ready"' in bare


def test_a_peer_may_be_a_file_with_neighbors(tmp_path):
    (tmp_path / "neighbor.py").write_text("ANSWER = 42\n")
    (tmp_path / "some_peer.py").write_text(
        "import neighbor\n"
        "HANDLERS = {'question': lambda: {'answer': neighbor.ANSWER}}\n"
        "describe = dict\n"
        "set_threads = print\n"  # what a peer prints must not reach the answers
    )
    child = Child(str(tmp_path / "some_peer.py"), 1)
    assert child.ask("question") == {"answer": 42}
    child.close()
