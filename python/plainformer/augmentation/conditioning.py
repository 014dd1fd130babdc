"""A masked language model learns what the texts of each label are like: it sees the label first.

Without it a model fills in what fits the words around, "a bad film" as well as "a good film".
Training is that of masked language modelling, on the labelled texts, with the label before the text
like a word of it that is never hidden. Kumar, Choudhary, Cho, "Data Augmentation Using Pre-trained
Transformer Models", 2020, arXiv:2003.02245 ("prepend").
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from ..data import Encoded, TextEncoder, TextExample
from ..data._random import EVALUATION, Draws
from ..data.objectives import MaskedLanguageModeling, Vocabulary, pad_examples
from ..errors import ConfigError, DataError
from ..training import Trainer, TrainingArguments

Array = np.ndarray


class LabelledMasking:
    """Texts behind their labels, with tokens hidden anew in each epoch.

    Items are lists of one example, as `pad_examples` takes them.

    rows : of each text the objective, which knows what stands around it, and its ids
    """

    def __init__(
        self,
        rows: Sequence[tuple[MaskedLanguageModeling, Array]],
        seed: int = 0,
        epoch: int = EVALUATION,
    ):
        self.rows, self.seed, self.epoch = rows, seed, epoch

    @classmethod
    def of(
        cls, examples: Sequence[TextExample], tokenizer: Tokenizer, limit: int | None, share: float
    ) -> LabelledMasking:
        """Of labelled texts, cut to `limit` tokens. share : of their tokens that are hidden."""
        vocabulary = Vocabulary.of(tokenizer)
        objectives: dict[bytes, MaskedLanguageModeling] = {}
        rows = []
        for encoded, start in encode_shown(TextEncoder(tokenizer), examples, limit, True):
            text = text_tokens(encoded, start)
            if not text.size:
                continue
            ids = encoded.input_ids
            around = ids[: text[0]], ids[text[-1] + 1 :]
            key = around[0].tobytes()
            if key not in objectives:
                own = replace(vocabulary, prefix=around[0], suffix=around[1])
                objectives[key] = MaskedLanguageModeling(own, probability=share)
            rows.append((objectives[key], ids[text]))
        if not rows:
            raise DataError("examples: hold no words that the tokenizer knows, nothing to learn")
        return cls(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> list[Any]:
        objective, ids = self.rows[index]
        return [objective(ids, Draws(self.seed, self.epoch, index))]

    def for_epoch(self, seed: int, epoch: int) -> LabelledMasking:
        """With the choices of one training epoch."""
        return LabelledMasking(self.rows, seed, epoch)


def learn_labels(
    model: Any,
    tokenizer: Tokenizer,
    examples: Sequence[TextExample],
    *,
    epochs: int,
    learning_rate: float = 5e-5,
    mask_fraction: float = 0.15,
    batch_size: int = 8,
    seed: int = 0,
) -> float:
    """Train a masked language model on labelled texts with the label before each.

    Parameters
    ----------
    model : a masked language model; changed in place
    examples : labelled
    epochs : passes over them
    learning_rate : of the first step; it falls to 0
    mask_fraction : float in (0, 1), of the tokens of a text that are hidden, at least one
    seed : of what is hidden, the order and dropout

    Returns
    -------
    float : the mean loss of a hidden token over all of training

    Raises
    ------
    ConfigError : a value out of range, a tokenizer without a mask token
    DataError : no text with a known word
    NonFiniteError : training diverged
    """
    if epochs < 1:
        raise ConfigError(f"epochs: got {epochs}, expected at least 1")
    encoder = TextEncoder(tokenizer)
    share = min(mask_fraction, 0.9)  # something must be left to see
    limit = encoder.special.longest_input(model.config.context_length)
    dataset = LabelledMasking.of(examples, tokenizer, limit, share)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=epochs,
            learning_rate=learning_rate,
            per_device_train_batch_size=batch_size,
            seed=seed,
            save_strategy="no",
            logging_steps=max(1, epochs * -(-len(dataset) // batch_size)),
            disable_tqdm=True,
        )
        return Trainer(model, arguments, dataset, None, pad_examples).train().training_loss


def encode_shown(
    encoder: TextEncoder, examples: Sequence[TextExample], limit: int | None, show_labels: bool
) -> list[tuple[Encoded, int]]:
    """What a model reads of each example, and the character at which its text begins in it."""
    before = [f"{example.label} " if show_labels else "" for example in examples]
    encoded = encoder.encode(
        [label + example.text for label, example in zip(before, examples)],
        max_length=limit,
        truncation="only_first",
        return_offsets=True,
    )
    return list(zip(encoded, map(len, before)))


def text_tokens(encoded: Encoded, start: int) -> Array:
    """Places of the tokens of a text that begins at character `start`."""
    assert encoded.offsets is not None
    return np.flatnonzero((encoded.sequence_ids == 0) & (encoded.offsets[:, 1] > start))
