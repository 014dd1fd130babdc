"""Tiny data of every task, and models that learn it in a second."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import plainformer as pf
from plainformer.data import (
    Answer,
    CharSpan,
    ChoiceExample,
    DialogueExample,
    Message,
    PairExample,
    QuestionExample,
    RelationExample,
    SimilarityExample,
    TextExample,
    TokenExample,
)
from plainformer.nn import RaggedRows

ENCODER = {
    "model_type": "bert",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 48,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "initializer_range": 0.1,
}
DECODER = {
    "model_type": "gpt2",
    "n_layer": 1,
    "n_head": 2,
    "n_embd": 16,
    "n_positions": 64,
    "resid_pdrop": 0.0,
    "embd_pdrop": 0.0,
    "attn_pdrop": 0.0,
}
SEQ2SEQ = {
    "model_type": "transformer",
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 48,
    "dropout": 0.0,
}
WORDPIECE, BPE = "wordpiece:120", "bpe:300"

GOOD = ["a good film", "what good music", "good and warm", "truly good", "so good it was"]
BAD = ["a bad film", "what bad music", "bad and cold", "truly bad", "so bad it was"]
TEXTS = [TextExample(t, "pos") for t in GOOD] + [TextExample(t, "neg") for t in BAD]

NAMES = ["Ann", "Bob", "Eve", "Tom"]
TOKENS = [
    TokenExample([name, "Lee", "saw", "Paris", "."], ["B-PER", "I-PER", "O", "B-LOC", "O"])
    for name in NAMES
] + [TokenExample(["rain", "fell", "on", "Rome"], ["O", "O", "O", "B-LOC"])]


def relation(text: str, head: str, tail: str, label: str, **types: str) -> RelationExample:
    """The relation between two words of a text."""
    (a, b), (c, d) = ((text.index(w), text.index(w) + len(w)) for w in (head, tail))
    return RelationExample(text, CharSpan(a, b), CharSpan(c, d), label, **types)


RELATIONS = [
    relation("the saw cut the wood", "saw", "wood", "Cause-Effect(e1,e2)"),
    relation("the wood was cut by a saw", "wood", "saw", "Cause-Effect(e2,e1)"),
    relation("the cat and the wood", "cat", "wood", "Other"),
    relation("the knife cut the bread", "knife", "bread", "Cause-Effect(e1,e2)"),
]


def question(name: str, place: str) -> QuestionExample:
    """A question about where somebody is."""
    context = f"the rain fell . {name} is in {place} . the sun came"
    return QuestionExample(
        f"where is {name} ?", context, [Answer(place, context.index(place))], id=name
    )


QUESTIONS = [question(n, p) for n, p in zip(NAMES, ["Paris", "Rome", "Paris", "Oslo"])]
CHOICES = [
    ChoiceExample("rain is", ["wet", "dry"], 0),
    ChoiceExample("sand is", ["wet", "dry"], 1),
    ChoiceExample("a lake is", ["wet", "dry"], 0),
]
LIKE = [
    SimilarityExample(a, b, float(kind == other))
    for kind, a in zip("gggbb", [*GOOD[:3], *BAD[:2]])
    for other, b in zip("gb", [GOOD[3], BAD[3]])
]
PAIRS = [PairExample(f"{a} {b}", f"{b} {a}") for a in "abc" for b in "xyz"]
DIALOGUES = [
    DialogueExample(
        [Message("user", f"I am {name}"), Message("assistant", f"hello {name}")],
    )
    for name in NAMES
]
PROSE = [TextExample("the sun is warm and the rain is wet . " * 12)]

# Of every task: configuration, tokenizer, examples.
TASKS = {
    "text-classification": (ENCODER, WORDPIECE, TEXTS),
    "token-classification": (ENCODER, WORDPIECE, TOKENS),
    "relation-extraction": (ENCODER, WORDPIECE, RELATIONS),
    "question-answering": (ENCODER, WORDPIECE, QUESTIONS),
    "multiple-choice": (ENCODER, WORDPIECE, CHOICES),
    "sentence-similarity": (ENCODER, WORDPIECE, LIKE),
    "translation": (SEQ2SEQ, BPE, PAIRS),
    "summarization": (DECODER, BPE, PAIRS),
    "text2text-generation": (SEQ2SEQ, BPE, PAIRS),
    "dialogue": (DECODER, BPE, DIALOGUES),
    "language-modeling": (DECODER, BPE, PROSE),
}


def tune(task: str, output_dir: Path, **options):
    """Fine-tune a tiny model on the tiny data of a task; `options` win."""
    config, tokenizer, examples = TASKS[task]
    usual = {
        "model": config,
        "tokenizer": tokenizer,
        "train": examples,
        "validation": examples,
        "max_steps": 2,
        "learning_rate": 1e-2,
        "per_device_train_batch_size": 4,
        "logging_steps": 1,
        "disable_tqdm": True,
        **({"max_target_length": 12, "num_beams": 2} if examples is PAIRS else {}),
    }
    if "model" in options:
        del usual["tokenizer"]
    for name in options.get("sweep") or ():
        usual.pop(name, None)
    return pf.finetune(task, output_dir=output_dir, **{**usual, **options})


def weights(directory: Path) -> bytes:
    """The bytes of a model."""
    return Path(directory, "model.safetensors").read_bytes()


def write_jsonl(path: Path, rows: list[dict]) -> Path:
    """A file of JSON objects, one a line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def padded(batch: dict[str, Any], extra: int = 0) -> dict[str, Any]:
    """A batch of ragged rows as arrays with a mask, and with so many more columns of padding."""
    ids = batch["input_ids"]

    def filled(name, value):
        array = np.asarray(value)
        if array.shape != ids.shape and not isinstance(value, RaggedRows):
            return array
        fill = -100 if name == "labels" else 0
        array = np.pad(array, [(0, 0), (0, extra)], constant_values=fill)
        return array if ids.group == 1 else array.reshape(-1, ids.group, array.shape[1])

    whole = {**batch, "attention_mask": ids.like(np.ones(ids.size, np.int64))}
    return {name: filled(name, value) for name, value in whole.items()}
