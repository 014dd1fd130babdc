"""A directory that a run writes into: no second run, but whoever reads."""

import json
import multiprocessing
import os

import pytest
from click.testing import CliRunner

from plainformer.checkpoints.locks import lock_directory
from plainformer.cli import main
from tests.tasks.tiny import TEXTS, tune, write_jsonl


def hold(directory, held, end):
    with lock_directory(directory):
        held.set()
        end.wait(60)


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """A fine-tuned directory into which another process is writing, and that process."""
    directory = tmp_path_factory.mktemp("busy")
    tune("text-classification", directory / "out", eval_strategy="no", max_steps=1)
    (directory / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_embd": 8,
                                                       "n_head": 1, "n_layer": 1}))  # fmt: skip
    write_jsonl(directory / "data.jsonl", [{"text": e.text, "label": e.label} for e in TEXTS])
    context = multiprocessing.get_context("spawn")
    held, end = context.Event(), context.Event()
    process = context.Process(target=hold, args=(directory / "out", held, end))
    process.start()
    assert held.wait(60)
    yield directory, process.pid
    end.set()
    process.join()


WRITERS = {
    "pretrain": "--data data.jsonl --config config.json --tokenizer char --output-dir out",
    "pretrain again": "--data data.jsonl --model out --output-dir out --overwrite-output-dir",
    "finetune": "text-classification --model config.json --tokenizer char --train data.jsonl "
    "--output-dir out",
    "finetune again": "text-classification --model out --train data.jsonl --output-dir out "
    "--resume-from-checkpoint",
    "quickstart": "--output-dir out",
    "tokenizer train": "--data data.jsonl --tokenizer char --output-dir out",
}
READERS = {
    "predict": ["out", "a good film"],
    "evaluate": ["out", "--data", "data.jsonl"],
}


def invoke(name, arguments, directory, monkeypatch):
    monkeypatch.chdir(directory)
    return CliRunner().invoke(main, [*name.removesuffix(" again").split(), *arguments])


@pytest.mark.parametrize("name", WRITERS)
def test_a_second_run_is_one_line_and_changes_nothing(busy, monkeypatch, name):
    directory, pid = busy
    before = sorted(p for p in directory.rglob("*"))
    result = invoke(name, WRITERS[name].split(), directory, monkeypatch)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        f"Error: {os.path.realpath(directory / 'out')}: process {pid} is writing into it; wait "
        "until it ends, or choose another output_dir"
    )
    assert sorted(p for p in directory.rglob("*")) == before


@pytest.mark.parametrize("name", READERS)
def test_readers_are_not_held_up(busy, monkeypatch, name):
    result = invoke(name, READERS[name], busy[0], monkeypatch)
    assert result.exit_code == 0, result.stderr
