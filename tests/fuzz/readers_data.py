"""Readers of data: examples of every format and task, text, token files."""

from __future__ import annotations

import contextlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from plainformer.data import read_examples
from plainformer.data.shards import open_shard, write_shard
from plainformer.data.text import Documents
from plainformer.errors import DataError
from plainformer.tasks.requests import Requests

from .reader import Reader


def _lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


_MESSAGES = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
_SQUAD = {"version": "1.1", "data": [{"title": "t", "paragraphs": [{
    "context": "Ann is in Paris.",
    "qas": [{"id": "1", "question": "Where?", "is_impossible": False,
             "answers": [{"text": "Paris", "answer_start": 10}]}]}]}]}  # fmt: skip
_REGIONS = {
    "data": {"text": "Ann saw"},
    "annotations": [
        {
            "result": [
                {
                    "type": "labels",
                    "value": {"start": 0, "end": 3, "text": "Ann", "labels": ["PER"]},
                }
            ]
        }
    ],
}
_RELATION = {"text": "a saw cut wood", "head": [2, 5], "tail": [10, 14], "label": "Cause"}

# A name and a text for each: the task that reads it, and the file.
EXAMPLES: dict[str, tuple[str, str, str]] = {
    "text.jsonl": ("text-classification", "a.jsonl",
                   _lines({"text": "good", "label": "pos"}, {"text": "bad", "label": "neg"})),
    "text.csv": ("text-classification", "a.csv", 'text,label\n"good, really",pos\nbad,neg\n'),
    "text.tsv": ("text-classification", "a.tsv", "text\tlabel\ngood\tpos\nbad\tneg\n"),
    "tags.conll": ("token-classification", "a.conll", "Ann B-PER\nsaw O\n\nParis B-LOC\n. O\n"),
    "tags.jsonl": ("token-classification", "a.jsonl",
                   _lines({"tokens": ["Ann", "saw"], "tags": ["B-PER", "O"]},
                          {"tokens": ["Rome"], "tags": ["B-LOC"]})),
    "doccano.jsonl": ("token-classification", "a.jsonl",
                      _lines({"text": "Ann saw", "label": [[0, 3, "PER"]]},
                             {"text": "in Rome", "label": [[3, 7, "LOC"]]})),
    "label-studio.json": ("token-classification", "a.json", json.dumps([_REGIONS], indent=1)),
    "spacy.json": ("token-classification", "a.json",
                   json.dumps([["Ann saw", {"entities": [[0, 3, "PER"]]}]])),
    "relations.jsonl": ("relation-extraction", "a.jsonl", _lines(_RELATION)),
    "relations.markers": ("relation-extraction", "a.jsonl",
                          _lines({"text": "a <e1>saw</e1> cut <e2>wood</e2>", "label": "C"})),
    "squad.json": ("question-answering", "a.json", json.dumps(_SQUAD)),
    "questions.jsonl": ("question-answering", "a.jsonl", _lines(
        {"id": "1", "question": "Where?", "context": "in Paris",
         "answers": {"text": ["Paris"], "answer_start": [3]}})),
    "choices.jsonl": ("multiple-choice", "a.jsonl",
                      _lines({"question": "rain is", "choices": ["wet", "dry"], "label": 0})),
    "pairs.jsonl": ("translation", "a.jsonl", _lines({"source": "a", "target": "b"})),
    "pairs.tsv": ("translation", "a.tsv", "source\ttarget\na b\tb a\n"),
    "summaries.jsonl": ("summarization", "a.jsonl", _lines({"document": "a", "summary": "b"})),
    "dialogues.jsonl": ("dialogue", "a.jsonl", _lines({"messages": _MESSAGES})),
    "prose.txt": ("language-modeling", "a.txt", "the sun is warm\n\nthe rain is wet\n"),
}  # fmt: skip


def _read(task: str, file: str, directory: Path) -> None:
    path = directory / file
    for skip in (True, False):
        with contextlib.suppress(DataError):
            len(read_examples(path, task, skip_bad_lines=skip))
    for request in Requests(task, str(path)):
        assert request.example is not None or request.problem


def _make_shard(directory: Path) -> None:
    write_shard(directory / "a.bin", np.arange(40) % 9, vocab_size=9, starts=[0, 10, 20])


def _open_shard(directory: Path) -> None:
    shard = open_shard(directory / "a.bin", verify=False)
    shard.tokens.max(initial=0)
    open_shard(directory / "a.bin", verify=True)


def _make_llmc(directory: Path) -> None:
    header = np.zeros(256, "<i4")
    header[:3] = 20240520, 1, 8
    (directory / "a.bin").write_bytes(header.tobytes() + np.arange(8, dtype="<u2").tobytes())


def _documents(directory: Path) -> None:
    for path in sorted(directory.iterdir()):
        list(Documents(path, skip_bad_lines=True))
        list(Documents(path))


READERS: dict[str, Reader] = {
    **{
        f"data/{name}": Reader(
            partial(
                lambda file, text, d: (d / file).write_text(text, encoding="utf-8"), file, text
            ),
            partial(_read, task, file),
            names=(
                "label",
                "text",
                "head",
                "tail",
                "id",
                "head_type",
                "choices",
                "answers",
                "entities",
            ),
        )
        for name, (task, file, text) in EXAMPLES.items()
    },
    "tokens/ours": Reader(_make_shard, _open_shard),
    "tokens/llm.c": Reader(_make_llmc, _open_shard),
    "corpus/jsonl": Reader(
        lambda d: (d / "a.jsonl").write_text(_lines({"text": "a"}, {"text": "b"})), _documents
    ),
    "corpus/csv": Reader(lambda d: (d / "a.csv").write_text('text,x\n"a b",1\nc,2\n'), _documents),
    "corpus/text": Reader(lambda d: (d / "a.txt").write_text("one\ntwo\n" * 9), _documents),
}
