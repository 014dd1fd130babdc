"""Hide words of a text, and let a masked language model write others in their places.

What is not hidden stays as it was, character by character: the text is changed at the hidden words
alone, not decoded from tokens. A hidden word becomes one mask, however many tokens it had, and one
token that is a whole word takes its place. Masks are filled one after another, in random order, so
that later words fit earlier ones.

References
----------
Wu and others, "Conditional BERT Contextual Augmentation", 2018, arXiv:1812.06705. Kumar, Choudhary,
Cho, "Data Augmentation Using Pre-trained Transformer Models", 2020, arXiv:2003.02245 (the label
before the text).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from .. import functional
from ..characters import is_alphanumeric
from ..data import CharSpan, Encoded, TextEncoder, TextExample
from ..data._random import Draws
from ..data.objectives import Vocabulary
from ..errors import ConfigError
from ..generation.sampling import Sampling
from ..tasks.task import chunks, evaluating
from .conditioning import encode_shown, text_tokens

Array = np.ndarray
_REWRITING = 1  # the part of an example's random numbers; masks of training are part 0
_APOSTROPHES = "'\u2019"


@dataclass
class _Draft:
    """A text with words hidden.

    ids : with a mask for each hidden word
    places : of the masks in `ids`, in the order in which they are filled
    spans : the hidden words in the text, in the same order
    uniform : a random number for each
    words : what was filled in so far
    """

    text: str
    ids: list[int]
    places: Array
    spans: list[CharSpan]
    uniform: Array
    words: list[str] = field(default_factory=list)

    def written(self) -> str:
        """The text with the new words in it."""
        parts, end = [], len(self.text)
        for span, word in sorted(zip(self.spans, self.words), reverse=True):
            parts += [self.text[span.end : end], word]
            end = span.start
        return self.text[:end] + "".join(reversed(parts))


class Rewriter:
    """Writes variants of texts: a pure function of (text, label, seed, number, copy).

    Parameters
    ----------
    model : a masked language model, such as `BertForMaskedLM`
    tokenizer : its tokenizer, with a mask token
    mask_fraction : float in (0, 1], of the words of a text that are hidden, at least one. Words are
        what the tokenizer splits a text into before it cuts tokens (in Chinese, characters);
        punctuation and what stands at an apostrophe stay
    temperature, top_k : of drawing the new words; top_k None means all words
    show_labels : bool, whether the label stands before the text, as `learn_labels` trains it

    Raises
    ------
    ConfigError : a value out of range, a tokenizer without a mask token or whole words
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Tokenizer,
        *,
        mask_fraction: float = 0.15,
        temperature: float = 1.0,
        top_k: int | None = 50,
        show_labels: bool = False,
    ):
        if not 0 < mask_fraction <= 1:
            raise ConfigError(
                f"mask_fraction: got {mask_fraction}, expected more than 0 and at most 1"
            )
        self.model, self.tokenizer = model, tokenizer
        self.mask_fraction, self.show_labels = mask_fraction, show_labels
        self.sampling = Sampling(temperature, top_k)
        self.vocabulary = Vocabulary.of(tokenizer)
        self.mask = self.vocabulary.need_mask("mlm")
        self._encoder = TextEncoder(tokenizer)
        self._limit = self._encoder.special.longest_input(model.config.context_length)
        self._lower_cases = _lower_cases(tokenizer)
        self._ids, self._words = self._whole_words()

    def variants(
        self, examples: Iterable[TextExample], copies: int, *, seed: int = 0, batch_size: int = 32
    ) -> Iterator[tuple[TextExample, str | None]]:
        """Each example `copies` times with a new text, in order; None where no word can be hidden.

        Nothing depends on the batch: an example alone gives the same texts if it has the same
        place. No more than a batch is held.
        """
        jobs = (
            (example, index, copy)
            for index, example in enumerate(examples)
            for copy in range(copies)
        )
        for batch in chunks(jobs, batch_size):
            drafts = self._drafts(batch, seed)
            self._fill([draft for draft in drafts if draft is not None])
            for (example, _, _), draft in zip(batch, drafts):
                yield example, None if draft is None else draft.written()

    def _whole_words(self) -> tuple[Array, list[str]]:
        """Ids (n,) of the tokens that may be filled in, and what they write."""
        whole, _ = self.vocabulary.word_borders
        if isinstance(self.tokenizer.model, WordLevel):  # of characters, say: no token goes on
            whole = ~self.vocabulary.special
        ids = [int(i) for i in self.vocabulary.ordinary if whole[i]]
        words = self.tokenizer.decode_batch([[i] for i in ids], skip_special_tokens=False)
        found = [(i, word.strip()) for i, word in zip(ids, words) if is_alphanumeric(word.strip())]
        if not found:
            raise ConfigError("tokenizer: has no tokens that are whole words, nothing can be drawn")
        return np.array([i for i, _ in found]), [word for _, word in found]

    def _drafts(
        self, jobs: Sequence[tuple[TextExample, int, int]], seed: int
    ) -> list[_Draft | None]:
        examples = [example for example, _, _ in jobs]
        encoded = encode_shown(self._encoder, examples, self._limit, self.show_labels)
        return [
            self._draft(example.text, one, start, Draws(seed, copy, index, _REWRITING))
            for (example, index, copy), (one, start) in zip(jobs, encoded)
        ]

    def _draft(self, text: str, encoded: Encoded, start: int, draws: Draws) -> _Draft | None:
        """A text, which begins at character `start` of what was encoded, with words hidden.

        None without a word.
        """
        words = _words(text, encoded, start)
        if not words:
            return None
        count = max(1, round(self.mask_fraction * len(words)))
        chosen = [words[int(i)] for i in draws.order(len(words))[:count]]
        ids, kept = encoded.input_ids.copy(), np.ones(len(encoded), bool)
        for tokens, _ in chosen:
            ids[tokens[0]] = self.mask
            kept[tokens[1:]] = False
        places = np.cumsum(kept)[[tokens[0] for tokens, _ in chosen]] - 1
        spans = [span for _, span in chosen]
        return _Draft(text, ids[kept].tolist(), places, spans, draws.uniform(count))

    def _fill(self, drafts: list[_Draft]) -> None:
        """Fill in every mask: the first one of each draft, then the second, ..."""
        with evaluating(self.model):
            for step in range(max((len(draft.places) for draft in drafts), default=0)):
                now = [draft for draft in drafts if step < len(draft.places)]
                logits = self._logits(now, [int(draft.places[step]) for draft in now])
                drawn = self.sampling.draw_at(
                    logits, np.array([draft.uniform[step] for draft in now])
                )
                for draft, i in zip(now, drawn):
                    draft.ids[int(draft.places[step])] = int(self._ids[i])
                    draft.words.append(self._spelled(self._words[i], draft, step))

    def _logits(self, drafts: Sequence[_Draft], places: Sequence[int]) -> Array:
        """Float32 (B, n), how well each word fits a place of each draft.

        The head is computed at these places alone; all drafts are one row of the batch, without
        padding.
        """
        borders = np.cumsum([0, *(len(draft.ids) for draft in drafts)])
        ids = np.concatenate([draft.ids for draft in drafts])[None].astype(np.int32)
        rows = self.model.rows(ids, cu_seqlens=borders.astype(np.int32))
        x = functional.take_rows(self.model.hidden_rows(rows), borders[:-1] + np.array(places))
        logits = np.asarray(self.model.projection()(self.model.transformed(x)))
        return np.ascontiguousarray(logits[:, self._ids]).astype(np.float32, copy=False)

    def _spelled(self, word: str, draft: _Draft, step: int) -> str:
        """The word as the hidden one was: with a capital letter, or in capitals.

        Only for tokenizers that lower-case; others know words of both kinds.
        """
        old = draft.text[slice(*draft.spans[step])]
        if not self._lower_cases or not old[0].isupper():
            return word
        return word.upper() if len(old) > 1 and old.isupper() else word[0].upper() + word[1:]


def _words(text: str, encoded: Encoded, start: int) -> list[tuple[Array, CharSpan]]:
    """The words of a text that may be hidden: the places of their tokens, and where they stand."""
    assert encoded.word_ids is not None
    assert encoded.offsets is not None
    inside = text_tokens(encoded, start)
    borders = np.flatnonzero(np.diff(encoded.word_ids[inside])) + 1
    found = []
    for tokens in np.split(inside, borders) if inside.size else ():
        first = max(0, int(encoded.offsets[tokens[0], 0]) - start)
        last = int(encoded.offsets[tokens[-1], 1]) - start
        word = text[first:last].strip()
        first = text.index(word, first)  # some tokenizers count the space before a word
        span = CharSpan(first, first + len(word))
        around = text[max(0, span.start - 1) : span.start] + text[span.end : span.end + 1]
        if is_alphanumeric(word) and not set(around) & set(_APOSTROPHES):
            found.append((tokens, span))
    return found


def _lower_cases(tokenizer: Tokenizer) -> bool:
    return tokenizer.normalizer is not None and tokenizer.normalizer.normalize_str("A") == "a"
