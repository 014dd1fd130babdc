"""`plainformer embed` and `plainformer search`: texts in, vectors and neighbours out."""

import io
import json
import os

import numpy as np
import pytest
from click.testing import CliRunner

import plainformer as pf
from plainformer.checkpoints.sentence_transformers import SentenceFiles, write_sentence_files
from plainformer.checkpoints.vector_files import open_vectors
from plainformer.cli import main
from tests.tasks.tiny import tune

LINES = ["a good film", "", "so bad it was", "what good music"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    directory = tmp_path_factory.mktemp("encoder")
    tune("text-classification", directory, max_steps=2, eval_strategy="no")
    write_sentence_files(directory, SentenceFiles("mean", True), 16)
    return directory


@pytest.fixture(scope="module")
def wanted(encoder):
    return pf.pipeline("feature-extraction", encoder)([line for line in LINES if line])


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(LINES) + "\n")
    return path


def run(*arguments, stdin=None, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments], input=stdin)
    assert result.exit_code == code, result.output
    return result


def rows_of(text):
    return [json.loads(line) for line in text.splitlines()]


def test_texts_and_standard_input(encoder, wanted):
    given = [line for line in LINES if line]
    for found in (run("embed", encoder, *given), run("embed", encoder, stdin="\n".join(given))):
        rows = rows_of(found.stdout)
        assert [row["text"] for row in rows] == given
        assert np.array([r["embedding"] for r in rows], np.float32).tobytes() == wanted.tobytes()


@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
def test_arrays_have_a_row_a_line(encoder, wanted, corpus, tmp_path, suffix):
    output = tmp_path / f"v{suffix}"
    found = run(
        "embed", encoder, "--input", corpus, "--output", output, "--batch-size", 2, "--json"
    )
    told = json.loads(found.stdout.splitlines()[-1])
    assert (told["examples"], told["blank_lines"], told["width"]) == (3, 1, 16)
    vectors = open_vectors(output)
    assert vectors[[0, 2, 3]].tobytes() == wanted.tobytes()
    assert not vectors[1].any()


def test_files_of_rows_keep_what_they_have(encoder, wanted, tmp_path):
    (tmp_path / "c.csv").write_text("id,review\n7,a good film\n8,so bad it was\n")
    found = run("embed", encoder, "--input", tmp_path / "c.csv", "--columns", "text=review",
                "--output", tmp_path / "o.jsonl")  # fmt: skip
    assert not found.stdout
    rows = rows_of((tmp_path / "o.jsonl").read_text())
    assert [row["id"] for row in rows] == ["7", "8"]
    assert np.array(rows[1]["embedding"], np.float32).tobytes() == wanted[1].tobytes()
    run("embed", encoder, "--input", tmp_path / "c.csv", "--columns", "text=review", "--output",
        tmp_path / "o.csv")  # fmt: skip
    assert (tmp_path / "o.csv").read_text().startswith("id,review,text,embedding")


def test_flags_win_over_files(encoder):
    plain = run(
        "embed", encoder, "--no-normalize", "--pooling", "cls", "--max-length", 3, "bad x y"
    )
    cls = pf.pipeline("feature-extraction", encoder, pooling="cls", normalize=False, max_length=3)
    [row] = rows_of(plain.stdout)
    assert np.array(row["embedding"], np.float32).tobytes() == cls("bad x y").tobytes()
    assert "1 of 1 cut to 3 tokens" in plain.stderr


def test_mistakes_are_told_and_lose_nothing(encoder, corpus, tmp_path):
    output = tmp_path / "v.npy"
    np.save(output, np.ones((1, 2), np.float32))
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"text": "a"}\n{"other": 1}\n')
    found = run("embed", encoder, "--input", bad, "--output", output, code=1)
    assert "bad.jsonl:2: no 'text'" in found.stderr
    assert open_vectors(output).shape == (1, 2)
    run("embed", encoder, "--input", bad, "--output", output, "--skip-bad-lines")
    assert open_vectors(output).shape == (2, 16)
    assert "--input reads" in run("embed", encoder, "--input", corpus, "--output", corpus,
                                  code=2).stderr  # fmt: skip


def test_search(encoder, corpus, tmp_path, wanted):
    vectors, output = tmp_path / "v.npy", tmp_path / "found.jsonl"
    first = run("search", encoder, "--corpus", corpus, "--embeddings", vectors, "so bad it was",
                "a good film", "--top-k", 2, "--output", output)  # fmt: skip
    assert "1.0000  line 3  so bad it was" in first.stdout
    rows = rows_of(output.read_text())
    assert [row["query"] for row in rows] == ["so bad it was", "a good film"]
    cosines = wanted @ wanted.T
    for row, own, names in zip(rows, cosines[[1, 0]], ([3, 1, 4], [1, 3, 4])):
        best = sorted(zip(own, (1, 3, 4)), reverse=True)[:2]
        assert [hit["line"] for hit in row["results"]] == [line for _, line in best]
        np.testing.assert_allclose([h["score"] for h in row["results"]], [s for s, _ in best],
                                   atol=1e-6)  # fmt: skip
        assert row["results"][0]["text"] == LINES[names[0] - 1]
    before = os.stat(vectors).st_mtime_ns
    again = run("search", encoder, "--corpus", corpus, "--embeddings", vectors, "so bad it was",
                "a good film", "--top-k", 2)  # fmt: skip
    assert again.stdout == first.stdout
    assert os.stat(vectors).st_mtime_ns == before
    alone = run("search", encoder, "--corpus", corpus, "so bad it was", "--json")
    told = json.loads(alone.stdout.splitlines()[-1])
    assert (told["texts"], len(told["results"][0]["results"])) == (4, 3)  # not the blank line


def test_vectors_of_another_corpus_or_model_are_refused(encoder, corpus, tmp_path):
    vectors = tmp_path / "v.npy"
    run("search", encoder, "--corpus", corpus, "--embeddings", vectors, "bad")
    corpus.write_text("\n".join(LINES[:3]))
    found = run("search", encoder, "--corpus", corpus, "--embeddings", vectors, "bad", code=1)
    assert "has vectors (4, 16), expected (3, 16)" in found.stderr
    corpus.write_text("\n".join(reversed(LINES)))
    found = run("search", encoder, "--corpus", corpus, "--embeddings", vectors, "bad", code=1)
    assert "is no vector of its text by this model" in found.stderr
    np.save(vectors, np.ones((4, 3), np.float32))
    found = run("search", encoder, "--corpus", corpus, "--embeddings", vectors, "bad", code=1)
    assert "has vectors (4, 3), expected (4, 16)" in found.stderr
    assert "name with .npy" in run("search", encoder, "--corpus", corpus, "--embeddings", "v.txt",
                                   "bad", code=2).stderr  # fmt: skip
    assert "read twice" in run("search", encoder, "--corpus", "-", "bad", code=2).stderr


def test_prompts_of_both_sides(tmp_path, encoder, corpus):
    directory = tmp_path / "asymmetric"
    directory.mkdir()
    for file in encoder.iterdir():
        if file.is_file():
            (directory / file.name).write_bytes(file.read_bytes())
    prompts = {"query": "good ", "passage": "bad "}
    write_sentence_files(directory, SentenceFiles("mean", True, prompts=prompts), 16)
    text = "film music"
    corpus.write_text(text)
    found = run("search", directory, "--corpus", corpus, text, "--json")
    told = json.loads(found.stdout.splitlines()[-1])
    a, b = pf.pipeline("feature-extraction", directory)([f"good {text}", f"bad {text}"])
    assert told["results"][0]["results"][0]["score"] == pytest.approx(float(a @ b), abs=1e-6)
    same = run("search", directory, "--corpus", corpus, text, "--query-prompt", "",
               "--document-prompt", "")  # fmt: skip
    assert "1.0000" in same.stdout


def test_an_interactive_input_is_answered_at_once(encoder, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"good\n")))
    assert len(rows_of(run("embed", encoder, stdin="good\n").stdout)) == 1
