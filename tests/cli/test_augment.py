"""`plainformer augment`: lines out, counts told, every flag does something, and errors."""

import json
import os

import click
import pytest

from plainformer.cli.augment import augment
from tests.augmentation.tiny import save_masked_lm
from tests.tasks.tiny import TEXTS, tune, write_jsonl

from .test_finetune import run

ROWS = [{"text": e.text, "label": e.label} for e in TEXTS]


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A masked language model, a classifier, and labelled texts in two files."""
    root = tmp_path_factory.mktemp("files")
    save_masked_lm(root / "mlm")
    tune("text-classification", root / "classifier", max_steps=40, eval_strategy="no")
    write_jsonl(root / "a.jsonl", ROWS[:5])
    write_jsonl(root / "b.jsonl", ROWS[5:])
    return root


def made(files, *flags):
    """The new rows, and what is printed with --json."""
    command = ["augment", files / "mlm", "--data", files / "a.jsonl", files / "b.jsonl"]
    code, out, err = run(*command, "--output", files / "new.jsonl", *flags, "--json")
    assert code == 0, err
    rows = [json.loads(line) for line in (files / "new.jsonl").read_text().splitlines()]
    return rows, json.loads(out.splitlines()[-1])


def test_new_lines_are_what_finetune_reads(files, tmp_path):
    rows, result = made(files, "--label-epochs", 1, "--copies", 2)
    assert result["command"] == "augment"
    assert result["examples"] == 10
    assert result["written"] == len(rows) > 10
    assert result["written"] + result["doubles"] == 20
    assert all(row.keys() == {"text", "label"} for row in rows)
    assert {row["label"] for row in rows} == {"pos", "neg"}
    result = tune(
        "text-classification", tmp_path, train=[files / "a.jsonl", files / "b.jsonl",
        files / "new.jsonl"], validation=[files / "a.jsonl", files / "b.jsonl"],
    )  # fmt: skip
    assert result.metrics["steps"] == 2


def test_without_output_lines_go_to_standard_output_and_counts_beside_it(files):
    command = ["augment", files / "mlm", "--data", files / "a.jsonl", "--label-epochs", 0]
    code, out, err = run(*command)
    assert code == 0
    rows = [json.loads(line) for line in out.splitlines()]
    assert {row["label"] for row in rows} == {"pos"}
    assert f"5 examples, 0 without a word to replace; {len(rows)} new texts" in err


def test_people_are_told_the_counts(files):
    code, out, _ = run(
        "augment", files / "mlm", "--data", files / "a.jsonl", "--output", files / "told.jsonl",
        "--classifier", files / "classifier", "--label-epochs", 0,
    )  # fmt: skip
    assert code == 0
    assert "new texts written to" in out
    assert "doubles" in out
    assert "rejected by the classifier" in out


CHANGES = {
    "copies": (5,), "mask_fraction": (0.9,), "temperature": (9.0,), "top_k": (1,),
    "label_epochs": (1,), "learning_rate": (1e-1, "--label-epochs", 5), "seed": (1,),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_every_flag_changes_what_is_written(files, name):
    value, *beside = CHANGES[name]
    usual = ["--top-k", 8, "--label-epochs", 0, *beside]
    assert made(files, *usual, f"--{name.replace('_', '-')}", value)[0] != made(files, *usual)[0]


def test_top_k_0_draws_among_all_words(files):
    usual = ["--temperature", 9.0, "--label-epochs", 0]
    assert made(files, *usual, "--top-k", 0)[0] == made(files, *usual, "--top-k", 100000)[0]
    assert made(files, *usual, "--top-k", 0)[0] != made(files, *usual, "--top-k", 3)[0]


def test_the_classifier_and_its_score_leave_texts_out(files):
    usual = ["--copies", 6, "--mask-fraction", 0.5, "--label-epochs", 0]
    everything, _ = made(files, *usual)
    kept, result = made(files, *usual, "--classifier", files / "classifier")
    assert len(kept) == len(everything) - result["rejected"] < len(everything)
    sure, _ = made(files, *usual, "--classifier", files / "classifier", "--min-score", 0.999)
    assert len(sure) < len(kept)


def test_the_batch_size_changes_the_work_and_no_byte(files, monkeypatch):
    sizes = []
    from plainformer.augmentation import Rewriter

    fill = Rewriter._fill
    monkeypatch.setattr(
        Rewriter, "_fill", lambda self, drafts: (sizes.append(len(drafts)), fill(self, drafts))
    )
    usual = ["--label-epochs", 0, "--copies", 2]
    assert made(files, *usual, "--batch-size", 3)[0] == made(files, *usual)[0]
    assert sizes == [3, 3, 3, 3, 3, 3, 2, 20]


def test_bad_lines_are_named_or_left_out(files, tmp_path):
    bad = tmp_path / "bad.jsonl"
    bad.write_text((files / "a.jsonl").read_text() + '{"text": "no label"}\n')
    command = ["augment", files / "mlm", "--data", bad, "--label-epochs", 0]
    code, _, err = run(*command)
    assert code == 1
    assert "bad.jsonl:6" in err
    code, out, err = run(*command, "--skip-bad-lines")
    assert code == 0
    assert "1 bad line skipped" in err
    assert out


def test_every_flag_has_a_test():
    tested = {*CHANGES, "data", "output_file", "classifier", "min_score", "batch_size"}
    tested |= {"skip_bad_lines", "json"}
    assert {p.name for p in augment.params if isinstance(p, click.Option)} == tested


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--mask-fraction", "0"], 2, "--mask-fraction: got 0.0, expected more than 0"),
        (["--mask-fraction", "1.5"], 2, "--mask-fraction: got 1.5"),
        (["--copies", "0"], 2, "copies: got 0, expected at least 1"),
        (["--temperature", "0"], 2, "temperature: got 0.0"),
        (["--top-k", "-1"], 2, "--top-k: got -1"),
        (["--min-score", "0.5"], 2, "--min-score: has no effect without a classifier"),
        (["--label-epochs", "0", "--learning-rate", "0.1"], 2, "--learning-rate: has no effect"),
        (["--learning-rate", "0"], 2, "--learning-rate: got 0.0, expected more than 0"),
        (["--classifier", "nowhere"], 2, "nowhere"),
        (["--seed", "-1"], 2, "seed: got -1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_flags_are_one_line(files, flags, code, message):
    got, _, err = run("augment", files / "mlm", "--data", files / "a.jsonl", *flags)
    assert got == code
    assert message in err


def test_bad_files_are_one_line(files, tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    code, _, err = run("augment", files / "mlm", "--data", tmp_path / "empty.jsonl")
    assert code == 1
    assert "empty.jsonl" in err
    code, _, err = run("augment", files / "mlm")
    assert code == 2
    assert "--data" in err


def test_the_data_is_not_written_over(files):
    before = (files / "a.jsonl").read_bytes()
    code, _, err = run(
        "augment", files / "mlm", "--data", files / "a.jsonl", "--output", files / "a.jsonl"
    )
    assert code == 2
    assert "which --data reads" in err
    assert (files / "a.jsonl").read_bytes() == before


@pytest.mark.filterwarnings("ignore:.*new weights")
def test_a_model_without_the_head_is_one_line_with_the_way_out(files):
    code, _, err = run("augment", files / "classifier", "--data", files / "a.jsonl")
    assert code == 1
    assert "plainformer pretrain --objective mlm --model" in err
