"""Small tokenizers of each kind, trained once, and a text for them."""

from __future__ import annotations

import functools

import numpy as np

from plainformer.data import tokenizer as tok
from plainformer.data._random import Draws
from plainformer.data.objectives.vocabulary import Vocabulary

TEXT = (
    "First Citizen: Before we proceed any further, hear me speak. All: Speak, speak!\n"
    "You are all resolved rather to die than to famish? Resolved. Resolved.\n" * 10
)


@functools.cache
def tokenizer(kind, objective):
    if kind == "char":
        return tok.train_char([TEXT])
    train = tok.train_bpe if kind == "bpe" else tok.train_wordpiece
    return train([TEXT], 420, objective)


@functools.cache
def vocabulary(kind, objective):
    return Vocabulary.of(tokenizer(kind, objective))


def ids_of(kind, objective, text=TEXT):
    return tok.encode_text(tokenizer(kind, objective), text).astype(np.int32)


def draws(example=0, part=0, seed=1, epoch=0):
    return Draws(seed, epoch, example, part)
