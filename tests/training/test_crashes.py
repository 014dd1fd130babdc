"""SIGKILL, a full disk and Ctrl-C: a good checkpoint always stays, and resuming repeats nothing."""

import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plainformer.training.checkpoint import read_checkpoint

from .tiny import tiny_trainer, tree

ROOT = Path(__file__).parents[2]


def start(output_dir, *options, **popen):
    command = [sys.executable, "-m", "tests.training.child", str(output_dir), *options]
    return subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **popen
    )


def finish(process):
    """Exit code, standard output and standard error of a process that ends by itself."""
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def wait_for(process, line):
    """Read output until `line` comes."""
    for got in process.stdout:
        if got.strip() == line:
            return
    raise AssertionError(f"the run ended before {line!r}: {process.communicate()[1]}")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The files of a run that nobody disturbed."""
    output_dir = tmp_path_factory.mktemp("whole")
    code, _, err = finish(start(output_dir))
    assert code == 0, err
    return tree(output_dir)


def good_checkpoints(output_dir):
    """Read every directory with a checkpoint's name; all of them must be whole."""
    return [read_checkpoint(p).path.name for p in output_dir.glob("checkpoint-*")]


def kill_and_resume(output_dir, rng, most, whole):
    """Kill the run at up to `most` random moments, let it end, compare; return the kills."""
    kills = 0
    while kills < most and (left := steps_left(output_dir)):
        process = start(output_dir, "--resume")
        wait_for(process, f"step {rng.choice(left)}")
        time.sleep(rng.random() * 0.01)  # somewhere in logging, evaluating or saving
        process.kill()
        finish(process)
        good_checkpoints(output_dir)
        kills += 1
    code, _, err = finish(start(output_dir, "--resume"))
    assert code == 0, err
    assert tree(output_dir) == whole
    return kills


def steps_left(output_dir):
    """The updates that a resumed run has still to make."""
    steps = [int(p.name.split("-")[1]) for p in output_dir.glob("checkpoint-*")]
    return range(max(steps, default=0) + 1, 11)


def test_killed_at_random_moments_it_ends_with_the_same_bytes(tmp_path, whole):
    assert kill_and_resume(tmp_path, random.Random(5), 5, whole) > 1


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_hundreds_of_times_it_ends_with_the_same_bytes(tmp_path, whole):
    rng, kills, run = random.Random(6), 0, 0
    while kills < 200:
        kills += kill_and_resume(tmp_path / str(run), rng, 20, whole)
        run += 1


def limit_file_size(size):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_full_disk_keeps_the_last_good_checkpoint(tmp_path, whole):
    """The limit on the size of a file stands for the full disk: same errors, no root needed."""
    code, _, err = finish(start(tmp_path, "--save-steps", "4"))
    assert code == 0, err
    sizes = {p.name: p.stat().st_size for p in (tmp_path / "checkpoint-8").iterdir()}
    output_dir = tmp_path / "limited"
    first = start(output_dir, "--save-steps", "4", "--pause", "0.2")
    wait_for(first, "saved 4")
    first.kill()
    finish(first)
    limit = sizes["optimizer.safetensors"] - 1
    assert limit > sizes["model.safetensors"]  # so that the failure comes in mid-checkpoint
    code, _, err = finish(start(output_dir, "--resume", preexec_fn=limit_file_size(limit)))
    assert code == 1
    assert "checkpoint-5: not saved: [Errno 27] File too large" in err
    assert f"the last good checkpoint is {output_dir / 'checkpoint-4'}" in err
    assert "checkpoint-4" in good_checkpoints(output_dir)
    assert not list(output_dir.glob(".*partial"))
    code, _, err = finish(start(output_dir, "--resume"))
    assert code == 0, err
    assert tree(output_dir) == whole


def test_ctrl_c_finishes_the_step_saves_and_says_how_to_resume(tmp_path, whole):
    process = start(tmp_path, "--save-steps", "100", "--pause", "0.3")
    wait_for(process, "step 3")
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert code == 130
    assert "finishing this step and saving; once more leaves at once" in err
    assert f"stopped by Ctrl-C after step 3 and saved {tmp_path / 'checkpoint-3'}" in err
    assert "--resume-from-checkpoint" in err
    assert "Traceback" not in err
    assert "checkpoint-3" in good_checkpoints(tmp_path)
    code, _, err = finish(start(tmp_path, "--resume"))
    assert code == 0, err
    assert (tmp_path / "log.jsonl").read_bytes() == whole["log.jsonl"]


def test_a_second_ctrl_c_leaves_at_once(tmp_path):
    process = start(tmp_path, "--save-steps", "100", "--pause", "30")
    wait_for(process, "step 1")
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None  # the first one waits for the step
    process.send_signal(signal.SIGINT)
    finish(process)
    assert time.monotonic() - begin < 10
    assert process.returncode == -signal.SIGINT
    assert not list(tmp_path.glob("checkpoint-*"))


def test_ctrl_c_belongs_to_the_program_again_after_training(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    tiny_trainer(tmp_path, max_steps=1).train()
    assert signal.getsignal(signal.SIGINT) is before


def pairs_at_once(tmp_path, count, *options):
    """Start two runs in each of `count` directories; of each pair exit codes and errors."""
    processes = [
        [start(tmp_path / str(i), "--pause", "0.3", *options) for _ in "ab"] for i in range(count)
    ]
    return [sorted(finish(p)[::2] for p in pair) for pair in processes]


@pytest.mark.parametrize(
    "count", [2, pytest.param(14, marks=[pytest.mark.slow, pytest.mark.timeout(600)])]
)
def test_of_two_runs_started_together_one_goes_on(tmp_path, count, whole):
    for i, pair in enumerate(pairs_at_once(tmp_path, count)):
        (code, err), (refused, message) = pair
        assert (code, refused) == (0, 1), (err, message)
        assert re.search(rf"{tmp_path}/{i}: process \d+ is writing into it; wait", message)
        assert "Traceback" not in err + message
        assert tree(tmp_path / str(i)) == whole


def test_of_two_resumes_started_together_one_goes_on(tmp_path, whole):
    process = start(tmp_path / "0")
    wait_for(process, "saved 4")
    process.kill()  # its lock goes with it
    finish(process)
    ((code, err), (refused, message)) = pairs_at_once(tmp_path, 1, "--resume")[0]
    assert (code, refused) == (0, 1), (err, message)
    assert "is writing into it" in message
    assert tree(tmp_path / "0") == whole


def test_an_output_directory_removed_while_it_runs_is_a_failure(tmp_path):
    process = start(tmp_path / "out", "--pause", "0.1", "--save-steps", "100")
    wait_for(process, "step 2")
    shutil.rmtree(tmp_path / "out")
    code, _, err = finish(process)
    assert code == 1
    assert str(tmp_path / "out") in err
    assert len(err.strip().splitlines()[-1]) < 300
