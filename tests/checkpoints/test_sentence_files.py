"""The files of sentence-transformers, and files of vectors."""

import json

import numpy as np
import pytest

from plainformer.checkpoints.safetensors import load_file
from plainformer.checkpoints.sentence_transformers import (
    MODULES,
    SentenceFiles,
    read_sentence_files,
    write_sentence_files,
)
from plainformer.checkpoints.vector_files import open_vectors, vector_writer
from plainformer.errors import CheckpointError

FILES = [
    SentenceFiles(),
    SentenceFiles("cls", True, 128, True, {"query": "query: ", "passage": "passage: "}),
    SentenceFiles("last", False, None, False, {"sts": "like: "}, "sts", "dot"),
]


@pytest.mark.parametrize("files", FILES)
def test_what_is_written_is_read(tmp_path, files):
    assert read_sentence_files(tmp_path) is None
    write_sentence_files(tmp_path, files, 16)
    assert read_sentence_files(tmp_path) == files


def test_prompts_by_what_a_text_is_for():
    _, asymmetric, named = FILES
    assert (asymmetric.prompt, asymmetric.query_prompt, asymmetric.document_prompt) == (
        "", "query: ", "passage: ",
    )  # fmt: skip
    assert named.prompt == named.query_prompt == named.document_prompt == "like: "


@pytest.mark.parametrize(("name", "values", "told"), [
    ("modules.json", [], "got none, expected Transformer > Pooling"),
    ("modules.json", {}, "expected an array"),
    ("modules.json", [{"type": "a.Transformer"}, {"type": "a.Pooling"}, {"type": "a.Dense"}],
     "got Transformer > Pooling > Dense, expected"),
    ("modules.json", [{"type": "a.Transformer", "path": "0_Transformer"}, {"type": "a.Pooling"}],
     "the model itself beside this file"),
    ("1_Pooling/config.json", {"pooling_mode": "max"}, "1_Pooling.*'max'.*expected mean"),
    ("1_Pooling/config.json", {"pooling_mode": ["cls", "mean"]}, "expected mean, cls"),
    ("1_Pooling/config.json", {"pooling_mode": "mean", "include_prompt": False}, "include_prompt"),
    ("sentence_bert_config.json", {"max_seq_length": "9"}, "max_seq_length: got '9', expected int"),
    ("config_sentence_transformers.json", {"prompts": []}, None),  # nothing said
    ("config_sentence_transformers.json", {"prompts": ["a"]}, "prompts: got .* expected dict"),
])  # fmt: skip
def test_what_would_give_other_vectors_is_refused(tmp_path, name, values, told):
    write_sentence_files(tmp_path, SentenceFiles(), 16)
    (tmp_path / name).write_text(json.dumps(values))
    if told is None:
        assert read_sentence_files(tmp_path).prompts == {}
        return
    with pytest.raises(CheckpointError, match=told):
        read_sentence_files(tmp_path)


def test_a_pooling_alone_is_enough(tmp_path):
    write_sentence_files(tmp_path, SentenceFiles("cls"), 16)
    (tmp_path / MODULES).unlink()
    assert read_sentence_files(tmp_path) == SentenceFiles("cls")


@pytest.mark.parametrize("rows", [0, 1, 12345])
@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
def test_vectors_come_back_mapped(tmp_path, rng, suffix, rows):
    path = tmp_path / f"v{suffix}"
    vectors = rng.standard_normal((rows, 3)).astype(np.float32)
    with vector_writer(path, 3) as writer:
        for row in vectors:
            writer.add(row)
        writer.add()
    wanted = np.vstack([vectors, np.zeros((1, 3), np.float32)])
    theirs = np.load(path) if suffix == ".npy" else load_file(path)["embeddings"]
    assert theirs.tobytes() == wanted.tobytes()
    found = open_vectors(path)
    assert found.tobytes() == wanted.tobytes()
    assert not found.flags.writeable


def test_a_writer_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "v.npy"
    np.save(path, np.ones((2, 3), np.float32))

    def write():
        with vector_writer(path, 3) as writer:
            writer.add([1, 2, "x"])

    with pytest.raises(ValueError, match="could not convert"):
        write()
    assert open_vectors(path).shape == (2, 3)


@pytest.mark.parametrize("array", [np.ones(3), np.ones((2, 2), int), np.array([object()])])
def test_other_arrays_are_no_vectors(tmp_path, array):
    np.save(tmp_path / "v.npy", array)
    with pytest.raises(CheckpointError, match=r"v\.npy"):
        open_vectors(tmp_path / "v.npy")
    (tmp_path / "w.npy").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"w\.npy"):
        open_vectors(tmp_path / "w.npy")
