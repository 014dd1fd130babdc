"""Batches for the heads that families share: `inputs` of a Case."""

from __future__ import annotations

import numpy as np

from tests.peers.harness import VOCAB, Inputs, tokens

NUM_LABELS = 3


def texts(rng: np.random.Generator) -> Inputs:
    return tokens(rng)


def pairs(rng: np.random.Generator) -> Inputs:
    """Two texts in a row, told apart by token types."""
    batch = tokens(rng)
    later = np.arange(batch["input_ids"].shape[1]) >= 2
    return batch | {"token_type_ids": later * batch["attention_mask"]}


def masked_tokens(rng: np.random.Generator) -> Inputs:
    """About half of the tokens have labels."""
    batch = pairs(rng)
    chosen = (rng.random(batch["input_ids"].shape) < 0.5) & (batch["attention_mask"] == 1)
    chosen[:, 1] = True
    labels = np.where(chosen, rng.integers(0, VOCAB, chosen.shape), -100)
    return batch | {"labels": labels}


def classes(rng: np.random.Generator) -> Inputs:
    return pairs(rng) | {"labels": rng.integers(0, NUM_LABELS, 3)}


def many_classes(rng: np.random.Generator) -> Inputs:
    return pairs(rng) | {"labels": rng.integers(0, 2, (3, NUM_LABELS)).astype(np.float32)}


def scores(rng: np.random.Generator) -> Inputs:
    return pairs(rng) | {"labels": rng.standard_normal(3).astype(np.float32)}


def tags(rng: np.random.Generator) -> Inputs:
    batch = pairs(rng)
    labels = rng.integers(0, NUM_LABELS, batch["input_ids"].shape)
    return batch | {"labels": np.where(batch["attention_mask"], labels, -100)}


def answers(rng: np.random.Generator) -> Inputs:
    """Without padding, which transformers lets compete for the answer and ours does not."""
    batch = tokens(rng, (6, 6, 6))
    del batch["attention_mask"]
    return batch | {"start_positions": np.array([1, 0, 6]), "end_positions": np.array([3, 5, 2])}


def spans(rng: np.random.Generator) -> Inputs:
    """With padding, and so without a loss."""
    return tokens(rng)


def choices(rng: np.random.Generator) -> Inputs:
    flat = tokens(rng, (7, 3, 5, 4))
    batch = {name: array.reshape(2, 2, -1) for name, array in flat.items()}
    return batch | {"labels": np.array([1, 0])}


def without_types(inputs):
    """The same batches for a model that has no token types."""

    def made(rng: np.random.Generator) -> Inputs:
        return {name: array for name, array in inputs(rng).items() if name != "token_type_ids"}

    return made


def classes_by_last(rng: np.random.Generator) -> Inputs:
    """Ids are padding (1) just where the mask says so: transformers looks at the ids."""
    batch = tokens(rng)
    ids = np.where(batch["input_ids"] == 1, 3, batch["input_ids"])
    ids = np.where(batch["attention_mask"], ids, 1)
    return batch | {"input_ids": ids, "labels": rng.integers(0, NUM_LABELS, len(ids))}


def scores_by_last(rng: np.random.Generator) -> Inputs:
    return classes_by_last(rng) | {"labels": rng.standard_normal(3).astype(np.float32)}


def many_by_last(rng: np.random.Generator) -> Inputs:
    labels = rng.integers(0, 2, (3, NUM_LABELS)).astype(np.float32)
    return classes_by_last(rng) | {"labels": labels}


def tags_of_texts(rng: np.random.Generator) -> Inputs:
    batch = tokens(rng)
    labels = rng.integers(0, NUM_LABELS, batch["input_ids"].shape)
    return batch | {"labels": np.where(batch["attention_mask"], labels, -100)}


def holes(inputs):
    """The same batches, in which masks hide tokens between others, and labels nothing there."""

    def made(rng: np.random.Generator) -> Inputs:
        batch = inputs(rng)
        shape = batch["input_ids"].shape
        for name in ("attention_mask", "decoder_attention_mask"):
            if name in batch or name == "attention_mask":
                mask = batch.setdefault(name, np.ones(shape, np.int64)).copy()
                mask[0, 1] = mask[1, 1] = mask[0, 4:6] = 0
                mask[0, -1] = 1
                batch[name] = mask
        mask = batch.get("decoder_attention_mask", batch["attention_mask"])
        if np.shape(batch.get("labels")) == mask.shape:
            batch["labels"] = np.where(mask, batch["labels"], -100)
        return batch

    return made
