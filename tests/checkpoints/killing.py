"""SIGKILL before every call that changes a directory.

    python -m tests.checkpoints.killing writers|runs [EVERY]

Every writer runs in forked children. The first is left alone and counts its calls; the others are
killed before call 1, 2, 3, ...; after each kill another one writes again, as the next start would.
It must end with what the first one left, without anything half written, and with a user's files.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import traceback
from pathlib import Path

import numpy as np

from plainformer.checkpoints import atomic, checksums
from plainformer.checkpoints.huggingface import save_model
from plainformer.checkpoints.locks import lock_directory
from plainformer.cli import main
from plainformer.data.shards import write_shard
from plainformer.data.tokenizer import save_tokenizer, train_char
from plainformer.models import save_adapter
from plainformer.nn import LoraConfig, add_lora
from plainformer.training.checkpoint import CheckpointDirectory
from plainformer.training.log import RunLog
from tests.tasks.tiny import DECODER, ENCODER, TEXTS, write_jsonl
from tests.training.tiny import tiny_model

CALLS = ("rename", "replace", "fsync", "unlink", "rmdir", "mkdir", "open", "close", "chmod")
USERS = (".mine.partial", ".mine.0badcafe.partial")  # neither is ours
OLD, NEW = np.zeros(9, np.float32), np.ones(9, np.float32)


def write_file(root, new=True):
    atomic.write_json_atomic(root / "state.json", {"new": new})


def write_directory(root, new=True):
    with atomic.atomic_directory(root / "a") as partial:
        (partial / "sub").mkdir()
        (partial / "sub" / "x").write_text(str(new))
        (partial / "y").write_text(str(new))


def write_directory_by_two_renames(root, new=True):
    atomic._exchange = lambda a, b: False
    write_directory(root, new)


def write_tokens(root, new=True):
    write_shard(root / "train.bin", np.arange(8 + new), vocab_size=9, starts=(0, 3))


def write_tokenizer(root, new=True):
    save_tokenizer(train_char(["abc" if new else "ab"]), root)


def write_model(root, new=True):
    """In another number of files than before, so that old ones are in the way."""
    state = dict.fromkeys("abc", NEW if new else OLD)
    save_model(root, state, {"new": new}, max_shard_size=72 if new else 36)


def write_adapter(root, new=True):
    config = LoraConfig(r=1, target_modules=["c_attn"])
    model = tiny_model(seed=int(new))
    add_lora(model, config)
    save_adapter(model, root / "adapter", config)


def write_log(root, new=True):
    log = RunLog(root, [{"step": i} for i in range(1 + new)], fresh=True)
    log.append({"step": 9})


def write_checkpoints(root, new=True):
    """Three with a limit of two: one is deleted, and in a second run one is replaced."""
    with lock_directory(root):
        directory = CheckpointDirectory(root, 2)
        directory.tidy()
        for step in (1, 2, 3) if new else (1, 2):
            directory.save(
                step, lambda path: save_model(path, {"w": NEW}, {}), {"m": OLD}, {"step": step}
            )


TRAINING = [
    "--max-steps",
    "4",
    "--save-steps",
    "2",
    "--logging-steps",
    "1",
    "--disable-tqdm",
    "--output-dir",
    "out",
]
PRETRAIN = [
    "--data",
    "data.jsonl",
    "--config",
    "gpt2.json",
    "--tokenizer",
    "char",
    "--block-size",
    "8",
]
FINETUNE = [
    "text-classification",
    "--model",
    "bert.json",
    "--tokenizer",
    "char",
    "--train",
    "data.jsonl",
    "--validation",
    "data.jsonl",
    "--lora-r",
    "2",
    "--save-strategy",
    "steps",
    "--eval-strategy",
    "steps",
    "--eval-steps",
    "2",
]


def run(command, root, new):
    """A command that goes on where one was killed; its files, but for times."""
    os.chdir(root)
    if not new:
        rows = [{"text": e.text, "label": e.label} for e in TEXTS]
        write_jsonl(root / "data.jsonl", rows)
        for name, config in (("gpt2", {**DECODER, "n_positions": 8}), ("bert", ENCODER)):
            (root / f"{name}.json").write_text(json.dumps(config))
        return
    goes_on = any(root.glob("out/checkpoint-*"))
    flag = "--resume-from-checkpoint" if goes_on else "--overwrite-output-dir"
    main([*command, *TRAINING, flag], standalone_mode=False)
    for name in ("out/timing.jsonl", "out/tokens/train.json"):  # and when the text was written
        (root / name).unlink(missing_ok=True)


def pretrain(root, new=True):
    run(["pretrain", *PRETRAIN], root, new)


def finetune(root, new=True):
    run(["finetune", *FINETUNE], root, new)


RUNS = {"pretrain": pretrain, "finetune": finetune}
WRITERS = {
    "file": write_file,
    "directory": write_directory,
    "directory by two renames": write_directory_by_two_renames,
    "tokens": write_tokens,
    "tokenizer": write_tokenizer,
    "model": write_model,
    "adapter": write_adapter,
    "log": write_log,
    "checkpoints": write_checkpoints,
}


class Killer:
    """Counts calls of the system, and ends the process before call number `at`."""

    def __init__(self, at=None):
        self.count, self.at = 0, at

    def install(self):
        for name in CALLS:
            setattr(os, name, self._counting(getattr(os, name)))
        atomic._exchange = self._counting(atomic._exchange)

    def _counting(self, call):
        def counted(*args, **options):
            self.count += 1
            if self.count == self.at:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **options)

        return counted


def in_child(work):
    """Run `work()` in a forked child; its status, and the number that it returned."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, str(work()).encode())
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    os.close(writing)
    with open(reading) as file:
        said = file.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def killed_at(write, root, at):
    """Write with a kill; the exit code, and how many calls there were without one."""

    def work():
        killer = Killer(at)
        killer.install()
        write(root)
        return killer.count

    return in_child(work)


def tree(root):
    return {
        p.relative_to(root).as_posix(): p.read_bytes() if p.is_file() else None
        for p in root.rglob("*")
    }


def prepared(write, root):
    """A directory with what an earlier run wrote, and files of its user."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for name in USERS:
        (root / name).mkdir()
        (root / name / "thesis.txt").write_text("mine")
    code, _ = in_child(lambda: write(root, new=False) or 0)
    assert code == 0


def walk(name, write, root, every):
    """Kill `write` before each (or every so many) of its calls; returns how many there are."""
    prepared(write, root)
    code, said = killed_at(write, root, None)
    assert code == 0
    wanted, count = tree(root), int(said)
    for at in range(count, 0, -every):
        prepared(write, root)
        code, _ = killed_at(write, root, at)
        assert code == -signal.SIGKILL, (name, at, code)
        for checkpoint in root.glob("checkpoint-*"):
            checksums.verify_checksums(checkpoint)
        code, _ = in_child(lambda: write(root) or 0)
        assert code == 0, (name, at)
        got = tree(root)
        assert got == wanted, (name, at, sorted(got.keys() ^ wanted.keys()))
    return count


def kill(kind, every=1):
    os.fsync = lambda descriptor: None  # counted all the same; nobody cuts the power
    with tempfile.TemporaryDirectory() as folder:
        for name, write in (WRITERS if kind == "writers" else RUNS).items():
            print("killed:", name, walk(name, write, Path(folder, "x"), int(every)), flush=True)


if __name__ == "__main__":
    kill(*sys.argv[1:])
