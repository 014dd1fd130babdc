"""What says what a model is, `config.json` and `task.json`, is opened once a command."""

import json
import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

import plainformer as pf
from plainformer.cli import main
from tests.data.tokenizer_files import write_wordpiece
from tests.tasks.tiny import DECODER, ENCODER, TASKS, tune, write_jsonl

WATCHED = ("config.json", "task.json")
_opened: list[str] | None = None


def _listen(event, arguments):
    """An audit hook, which cannot be taken off again: it listens while there is a list."""
    if _opened is not None and event == "open" and isinstance(arguments[0], (str, os.PathLike)):
        path, _, flags = arguments
        if not flags & (os.O_WRONLY | os.O_RDWR):
            _opened.append(os.fspath(path))


sys.addaudithook(_listen)


@pytest.fixture
def opened(monkeypatch):
    """A function that calls another and counts the watched files that it reads, by path.

    What the command is writing itself does not count.
    """

    def count(function, *arguments, **options):
        monkeypatch.setattr(sys.modules[__name__], "_opened", [])
        function(*arguments, **options)
        paths = [Path(path) for path in _opened]
        monkeypatch.setattr(sys.modules[__name__], "_opened", None)
        return Counter(
            str(path) for path in paths if path.name in WATCHED and "-partial" not in str(path)
        )

    return count


def run(*arguments, stdin=None):
    result = CliRunner().invoke(main, [str(a) for a in arguments], input=stdin)
    assert result.exit_code == 0, result.output


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A classifier, a dialogue model, and data of both."""
    path = tmp_path_factory.mktemp("models")
    tune("text-classification", path / "texts", max_steps=1)
    tune("dialogue", path / "talk", max_steps=1, max_new_tokens=4, eval_strategy="no")
    rows = [{"text": e.text, "label": e.label} for e in TASKS["text-classification"][2]]
    write_jsonl(path / "data.jsonl", rows)
    (path / "config.json").write_text(json.dumps(ENCODER))
    (path / "gpt2.json").write_text(json.dumps(DECODER))
    (path / "text.txt").write_text("the quick brown fox\n" * 20)
    return path


def once(*files):
    return Counter({str(file): 1 for file in files})


def both(directory):
    return once(directory / "config.json", directory / "task.json")


def test_load_and_pipeline(root, opened):
    assert opened(pf.load, root / "texts") == once(root / "texts" / "config.json")
    assert opened(pf.load, root / "texts", "feature-extraction") == once(
        root / "texts" / "config.json"
    )
    made = opened(pf.pipeline, "text-classification", root / "texts")
    assert made == both(root / "texts")


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "texts", "--data", "data.jsonl"],
        ["predict", "texts", "good"],
        ["generate", "talk", "I am", "--max-new-tokens", "2"],
        ["chat", "talk"],
    ],
    ids=lambda command: command[0],
)
def test_commands(root, opened, command):
    name, model, *rest = command
    rest = [root / word if word.endswith(".jsonl") else word for word in rest]
    found = opened(run, name, root / model, *rest, stdin="I am Bob\n")
    wanted = both(root / model)
    if name == "generate":
        del wanted[str(root / model / "task.json")]
    assert found == wanted


FINETUNE = ["--train", "data.jsonl", "--validation", "data.jsonl", "--max-steps", 1]


@pytest.mark.parametrize("more", [[], ["--replay", "data.jsonl", "--replay-validation"]], ids=len)
@pytest.mark.parametrize("source", ["texts", "config.json"])
def test_finetune(root, tmp_path, opened, source, more):
    words = [root / w if w == "data.jsonl" else w for w in FINETUNE + more]
    words += [root / "data.jsonl"] if more else []
    words += [] if source == "texts" else ["--tokenizer", "wordpiece:120"]
    found = opened(
        run, "finetune", "text-classification", "--model", root / source,
        "--output-dir", tmp_path / "out", *words,
    )  # fmt: skip
    mine = Counter({path: n for path, n in found.items() if Path(path).is_relative_to(root)})
    assert mine == (both(root / source) if source == "texts" else once(root / source))
    assert all(n == 1 for n in found.values()), found


def test_finetuning_further_with_more_labels(root, tmp_path, opened):
    """The model as it came is tested on old examples too."""
    rows = [{"text": "so so", "label": "meh"}, {"text": "good", "label": "pos"}]
    more = write_jsonl(tmp_path / "more.jsonl", rows)
    found = opened(
        run, "finetune", "text-classification", "--model", root / "texts", "--train", more,
        "--replay", root / "data.jsonl", "--replay-validation", root / "data.jsonl",
        "--output-dir", tmp_path / "out", "--max-steps", 1,
    )  # fmt: skip
    assert found == both(root / "texts")


def pretraining(root, output, *more):
    return [
        "pretrain", "--data", root / "text.txt", "--output-dir", output, "--save-steps", 1,
        "--per-device-train-batch-size", 2, "--block-size", 8, "--seed", 1, *more,
    ]  # fmt: skip


def test_pretrain_and_resume(root, tmp_path, opened):
    (tmp_path / "config.json").write_text(json.dumps(DECODER))
    model = ["--config", tmp_path / "config.json", "--tokenizer", "char"]
    begun = opened(run, *pretraining(root, tmp_path / "out", *model, "--max-steps", 1))
    assert begun == once(tmp_path / "config.json")
    resume = ["--resume-from-checkpoint", "--max-steps", 2]
    found = opened(run, *pretraining(root, tmp_path / "out", *model, *resume))
    assert found == once(
        tmp_path / "config.json", tmp_path / "out" / "checkpoint-1" / "config.json"
    )


def test_pretraining_further(root, tmp_path, opened):
    found = opened(
        run, *pretraining(root, tmp_path / "out", "--model", root / "talk", "--max-steps", 1)
    )
    assert found == once(root / "talk" / "config.json")


def test_old_tokenizer_files_ask_for_the_type_of_the_model(root, tmp_path, opened):
    """vocab.txt alone does not say how text is split before: `config.json` does."""
    pf.load(root / "texts").save_pretrained(tmp_path)
    write_wordpiece(tmp_path)
    found = opened(pf.pipeline, "text-classification", tmp_path)
    assert found == once(tmp_path / "config.json")
