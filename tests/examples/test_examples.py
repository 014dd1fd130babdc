"""The pages of examples/ run as they are, and the figure that they print gets better."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
PAGES = sorted(path.name for path in EXAMPLES.glob("*.py"))
NUMBER = r"([\d.,]*\d) ?%?"
# How a page may say what it gained. The first is how a result prints: `<` marks the figure.
FIGURES = [
    re.compile(pattern.replace("NUMBER", NUMBER), re.MULTILINE)
    for pattern in (
        r"^(\w+) +NUMBER +NUMBER  <$",  # eval_f1   0.1432   0.9850  <
        r"^(.+?) before and after: NUMBER,? NUMBER\.?$",  # perplexity before and after: 90.5 3.1
        r"^(.+?): NUMBER before, NUMBER after\.?$",  # completions that parse: 12 % before, ...
        r"^(\w+), .+: NUMBER\n\1, .+: NUMBER$",  # accuracy, learned from few: 0.81
    )
]


def run(page: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A page in a process of its own; the package is whatever this interpreter imports."""
    return subprocess.run(
        [sys.executable, str(EXAMPLES / page), *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=280,
    )


def figures(printed: str) -> tuple[str, float, float]:
    """Name of the figure, before, after."""
    found = [match for pattern in FIGURES for match in pattern.finditer(printed)]
    assert found, f"no figure before and after in:\n{printed}"
    name, *numbers = found[0].groups()
    before, after = (float(number.replace(",", "")) for number in numbers)
    return name, before, after


def improved(printed: str) -> bool:
    """Whether the figure is better after than before, by a twentieth at least."""
    name, before, after = figures(printed)
    if name.endswith(("loss", "perplexity")):
        return after < 0.95 * before
    return after > 1.05 * before


@pytest.mark.parametrize(
    ("printed", "better"),
    [
        ("x\neval_loss   0.10   0.90\neval_f1   0.1432   0.9850  <\n", True),
        ("eval_f1   0.9850   0.1432  <\n", False),
        ("eval_perplexity   1,406.6   12.5  <\n", True),
        ("eval_loss   0.5   0.5  <\n", False),
        ("completions that parse: 12 % before, 55 % after\n", True),
        ("accuracy: 0.83 before, 0.79 after\n", False),
        ("perplexity before and after: 90.5 3.1\n", True),
        ("accuracy, learned from few: 0.81\naccuracy, learned from more: 0.93\n", True),
        ("accuracy, learned from few: 0.81\naccuracy, learned from more: 0.80\n", False),
    ],
)
def test_what_a_page_prints_is_understood(printed, better):
    assert improved(printed) == better


def test_there_are_pages():
    assert "text_classification.py" in PAGES


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_and_its_model_learns(page, tmp_path):
    done = run(page, "--output-dir", str(tmp_path / "out"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert improved(done.stdout), done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("task", ["summaries", "generation"])
def test_the_other_tasks_of_the_chinese_page_are_learned_too(task, tmp_path):
    done = run("chinese_tasks.py", "--task", task, "--output-dir", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert improved(done.stdout), done.stdout


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_what_it_is_and_how_it_is_called(page, tmp_path):
    docstring = ast.get_docstring(ast.parse((EXAMPLES / page).read_text(encoding="utf-8")))
    assert docstring
    assert f"python examples/{page}" in docstring
    assert "plainformer " in docstring  # the command line that does the same
    done = run(page, "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "--output-dir" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("page", PAGES)
def test_the_table_of_pages_has_it(page):
    assert f"| [{page}]({page}) |" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


def test_a_page_takes_own_files_a_checkpoint_and_texts(tmp_path):
    rows = [f'{{"text": "{word} {i}", "label": "{word}"}}\n' for word in "ab" for i in range(20)]
    (tmp_path / "own.jsonl").write_text("".join(rows))
    own = ("--train", "own.jsonl", "--validation", "own.jsonl", "--epochs", "1")
    config = tmp_path / "config.json"
    config.write_text(
        '{"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 1, '
        '"num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 16}'
    )
    page = "text_classification.py"
    new = run(
        page, *own, "--model", "config.json", "--tokenizer", "wordpiece:60",
        "--output-dir", "one", "a 3", cwd=tmp_path,
    )  # fmt: skip
    assert new.returncode == 0, new.stderr
    assert re.search(r"^a 3: [ab] \(\d+%\)$", new.stdout, re.MULTILINE)
    again = run(page, *own, "--model", "one", "--output-dir", "two", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert figures(again.stdout)[1] == figures(new.stdout)[2]  # it goes on where the other ended
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "config.json", "one", "own.jsonl", "two",
    ]  # fmt: skip


def test_validation_alone_is_not_passed_over(tmp_path):
    done = run("text_classification.py", "--validation", "own.jsonl", cwd=tmp_path)
    assert done.returncode != 0
    assert "train: got None, expected files" in done.stderr.splitlines()[-1]


def test_new_texts_may_be_of_a_label_and_asked_of_a_classifier(tmp_path):
    few = ("--draws", "1", "--few", "2", "--mlm-epochs", "1", "--max-steps", "2", "--copies", "4")
    counts = []
    for more in ([], ["--label-epochs", "1"], ["--filter"]):
        done = run("data_augmentation.py", *few, *more, "--output-dir", "out", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        counts.append(int(re.search(r"with (\d+) new:", done.stdout)[1]))
        assert re.search(r"^  (kitchen|football|space) +\w+", done.stdout, re.MULTILINE)
    assert counts[2] < counts[0]


@pytest.mark.parametrize(
    ("page", "words"), [("multiple_choice.py", ["q", "a"]), ("question_answering.py", ["q"])]
)
def test_half_a_question_is_refused_before_anything_is_trained(page, words, tmp_path):
    done = run(page, *words, cwd=tmp_path)
    assert done.returncode == 2
    assert "Error: " in done.stderr
    assert not list(tmp_path.iterdir())
