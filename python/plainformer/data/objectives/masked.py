"""Masked language modelling: predict tokens that were hidden, from both sides."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ...options import PART
from .._random import Draws
from ..baselines import Labels, masked_labels
from ..batches import IGNORE_INDEX, Example
from .vocabulary import Vocabulary

MASKED, REPLACED = 0.8, 0.1  # of the chosen tokens; the others stay as they are


class MaskedLanguageModeling:
    """`{"input_ids": (L,), "labels": (L,)}`, labels -100 where nothing was chosen.

    `mlm_probability` of the tokens that are not special are chosen, rounded, at least one; of these
    80 % become the mask token, 10 % a random ordinary one, 10 % stay. With whole words, words are
    chosen in random order while they fit into that number, and all their tokens with them; each
    token of a word becomes mask, random or itself on its own.

    Devlin and others, "BERT", arXiv:1810.04805; a new choice each epoch ("dynamic masking"): Liu
    and others, "RoBERTa", arXiv:1907.11692; whole words: BERT's repository, May 2019.

    Parameters
    ----------
    vocabulary : of a tokenizer with a mask token
    mlm_probability : float in (0, 1)
    whole_word_mask : bool

    Raises
    ------
    ConfigError : no mask token, or an mlm_probability out of range
    """

    ahead = 0

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        mlm_probability: float = 0.15,
        whole_word_mask: bool = False,
    ):
        self.mlm_probability = PART.check("mlm_probability", mlm_probability)
        self.mask = vocabulary.need_mask("mlm")
        self.vocabulary = vocabulary
        self.whole_word_mask = whole_word_mask

    def text_size(self, block_size: int) -> int:
        """What the tokenizer's prefix and suffix leave of `block_size`."""
        return self.vocabulary.room(block_size)

    def __call__(self, text: np.ndarray, draws: Draws) -> Example:
        """The example of `text` (N,), framed as the tokenizer frames one text."""
        chosen = len(self.vocabulary.prefix) + self._choose(text, draws)
        ids = self.vocabulary.framed(text)
        labels = np.full(len(ids), IGNORE_INDEX, np.int32)
        labels[chosen] = ids[chosen]
        ids[chosen] = self._hide(ids[chosen], draws)
        return {"input_ids": ids, "labels": labels}

    def labels(self, examples: Iterable[Example]) -> Labels:
        """The labels of examples, between the neighbours that are not hidden."""
        return masked_labels(examples, self.vocabulary.special)

    def counted(self, text: np.ndarray, draws: Draws) -> np.ndarray:
        """What baselines count of a training text: itself."""
        return text

    def _choose(self, text: np.ndarray, draws: Draws) -> np.ndarray:
        """Places in `text` that become labels."""
        candidates = np.flatnonzero(~self.vocabulary.special[text])
        wanted = max(1, round(self.mlm_probability * len(candidates)))
        if not self.whole_word_mask:
            return candidates[draws.order(len(candidates))[:wanted]]
        word = np.cumsum(self.vocabulary.word_starts(text))[candidates]
        return candidates[_fitting(word, wanted, draws)]

    def _hide(self, ids: np.ndarray, draws: Draws) -> np.ndarray:
        ordinary = self.vocabulary.ordinary
        action, other = draws.uniform(len(ids)), draws.uniform(len(ids))
        replaced = ordinary[(other * len(ordinary)).astype(np.int64)]
        ids = np.where(action < MASKED + REPLACED, replaced, ids)
        return np.where(action < MASKED, self.mask, ids)


def _fitting(word: np.ndarray, wanted: int, draws: Draws) -> np.ndarray:
    """Places of whole words, taken in random order while at most `wanted` are taken; the first
    word in any case. `word` (N,) ascends and tells to which word a token belongs.
    """
    _, first, sizes = np.unique(word, return_index=True, return_counts=True)
    places: list[np.ndarray] = []
    taken = 0
    for i in draws.order(len(first)):
        if taken == 0 or taken + sizes[i] <= wanted:
            places.append(np.arange(first[i], first[i] + sizes[i]))
            taken += int(sizes[i])
        if taken >= wanted:
            break
    return np.concatenate(places) if places else np.empty(0, np.int64)
