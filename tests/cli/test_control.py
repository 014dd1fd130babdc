"""Control codes on the command line: finetune, evaluate, predict and generate."""

import json
import os

import pytest
from click.testing import CliRunner

from plainformer.cli import main
from tests.tasks.tiny import DECODER, TEXTS, write_jsonl


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def run(*arguments, stdin=None):
    """Exit code, standard output and standard error of a command line."""
    result = CliRunner().invoke(main, [str(a) for a in arguments], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Data, and a directory that was fine-tuned with control codes and a banned word."""
    root = tmp_path_factory.mktemp("trained")
    write_jsonl(root / "data.jsonl", [{"text": e.text, "label": e.label} for e in TEXTS])
    (root / "gpt.json").write_text(json.dumps(DECODER))
    code, out, err = run(
        "finetune", "language-modeling", "--model", root / "gpt.json", "--tokenizer", "bpe:300",
        "--train", root / "data.jsonl", "--control-codes", "--bad-words", "film",
        "--bad-words", "warm", "--max-steps", 200, "--learning-rate", "1e-2",
        "--disable-tqdm", "--output-dir", root / "out",
    )  # fmt: skip
    assert code == 0, out + err
    assert "2 labels: pos 5, neg 5" in err
    return root


def answers(*arguments, stdin=None):
    code, out, err = run("predict", *arguments, stdin=stdin)
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


def test_settings_are_remembered_and_lists_too(trained):
    saved = json.loads((trained / "out" / "task.json").read_text())["settings"]
    assert saved["control_codes"] is True
    assert saved["bad_words"] == ["film", "warm"]
    for label in ("pos", "neg"):
        [one] = answers(trained / "out", json.dumps({"label": label}))
        assert "film" not in one["generated_text"]


def test_predict_writes_what_a_label_asks_for(trained):
    good, bad = answers(trained / "out", '{"label": "pos"}', '{"label": "neg", "text": "truly"}')
    assert good.keys() == {"label", "text", "generated_text"}
    assert "good" in good["generated_text"]
    assert bad["generated_text"].startswith("truly")
    assert "bad" in bad["generated_text"]
    lines = '{"label": "pos"}\n{"label": "neg", "text": "truly"}\n'
    assert answers(trained / "out", stdin=lines) == [good, bad]
    several = answers(trained / "out", '{"label": "pos"}', "--do-sample", "--temperature", 2,
                      "--num-return-sequences", 3, "--force-words", "cold")  # fmt: skip
    assert [" cold" in text for text in several[0]["generated_texts"]] == [True] * 3


def test_evaluate_counts_texts_and_ends(trained):
    code, out, _ = run("evaluate", trained / "out", "--data", trained / "data.jsonl", "--json")
    assert code == 0
    found = json.loads(out.splitlines()[-1])
    assert found["examples"] == 10
    assert 1 < found["eval_perplexity"] < 20


def test_generate_takes_a_label(trained):
    code, out, _ = run("generate", trained / "out", "--label", "pos", "--no-do-sample")
    assert code == 0
    assert "good" in out
    code, out, _ = run(
        "generate", trained / "out", "truly", "so", "--label", "neg", "--no-do-sample", "--json"
    )
    assert code == 0
    texts = json.loads(out.splitlines()[-1])["texts"]
    assert [text.split()[0][:2] for text in texts] == ["tr", "so"]
    assert all("bad" in text for text in texts)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "OUT", '{"label": "great"}'], "label: got 'great', expected one of neg, pos"),
        (["predict", "OUT", "truly"], "label: got none, expected one of neg, pos"),
        (
            ["predict", "OUT", '{"label": "pos"}', "--top-p", "0.9"],
            "--top-p: has no effect without",
        ),
        (["generate", "OUT", "--label", "great"], "label: got 'great', expected one of neg, pos"),
        (
            ["finetune", "text-classification", "--control-codes"],
            "--control-codes: has no effect on",
        ),
    ],
    ids=str,
)
def test_errors_are_one_line(trained, words, message):
    more = ["--model", "m", "--train", "t", "--output-dir", "o"] if words[0] == "finetune" else []
    code, _, err = run(*[trained / "out" if w == "OUT" else w for w in words], *more)
    assert code in (1, 2)
    assert message in err
    assert "Traceback" not in err
