"""Filling masks: the tokens that a masked language model puts where a text has a mask.

The model is one as `pretrain --objective mlm` writes it, or a Hugging Face directory of BERT,
RoBERTa and others with their head for hidden tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .. import kernels
from ..data import Document, encode_documents
from ..data.chunks import Windows
from ..data.decoding import decode_text
from ..data.objectives.examples import ObjectiveExamples
from ..data.objectives.masked import MaskedLanguageModeling
from ..data.objectives.vocabulary import Vocabulary
from ..data.tokenizer import tell_unknown
from ..errors import ConfigError, DataError, shown, warn_once
from ..metrics import perplexity
from ..nn import evaluating
from ..options import COUNT, option
from ..training.losses import LossSum
from .features import Feature
from .registry import register
from .task import Array, Task, TaskSettings, float_array, probabilities

_USUAL_COUNT = 5
_USUAL_LENGTH = 512


@dataclass(frozen=True)
class FillMaskSettings(TaskSettings):
    """Options of filling masks."""

    top_k: int | None = option(None, "So many tokens for each mask, best first; default 5.", COUNT)
    targets: str | Sequence[str] | None = option(
        None, "Choose among these tokens alone; scores stay those among all."
    )


class Filling(NamedTuple):
    """The tokens (L,) of a text, where its masks are, and of each mask the best (id, probability)
    in order."""

    ids: Array
    places: Array
    best: list[list[tuple[int, float]]]


@register
class FillMask(Task):
    """Tokens for masks. A prediction is a `Filling`."""

    name = "fill-mask"
    learns = False  # from texts without a label: that is `pretrain --objective mlm`
    metric = "perplexity"
    settings_class = FillMaskSettings
    answer_fields = ("sequence", "token_str", "score")

    def __init__(self, tokenizer: Any, model: Any, settings: Any = None):
        super().__init__(tokenizer, model, settings)
        self.vocabulary = Vocabulary.of(tokenizer)
        self.mask = self.vocabulary.need_mask(self.name)
        self._targets = self._target_ids(self.settings.targets)

    def encode(self, examples: Sequence[Any], *, labelled: bool) -> list[list[Feature]]:
        encoded = self.encode_texts([example.text for example in examples])
        return [[self._feature(e, *one)] for e, one in zip(examples, encoded)]

    def _feature(self, example: Any, encoded: Any, cut: bool) -> Feature:
        places = np.flatnonzero(encoded.input_ids == self.mask)
        if not places.size:
            name = self.tokenizer.id_to_token(self.mask)
            where = f"in its first {self.max_length} tokens" if cut else "in it"
            raise DataError(
                f"a text without {name} {where}, expected one or several",
                example.file or None,
                example.line,
            )
        return Feature(self.inputs(encoded), (encoded.input_ids, places), cut)

    def _forward(self, features: list[Feature], loss: LossSum | None) -> list[Array]:
        """The probability of each token for each mask of a feature, (M, V)."""
        starts = np.cumsum([0, *(len(feature.place[0]) for feature in features)])
        places = [start + feature.place[1] for start, feature in zip(starts, features)]
        batch = self.collate([feature.inputs for feature in features])
        with evaluating(self.model):
            logits = self.model.logits_at(np.concatenate(places), **batch)
        found = probabilities(float_array("logits", kernels.asnumpy(logits.data)))
        return np.split(found, np.cumsum([len(own) for own in places])[:-1])

    def outputs(self, output: Any, features: Sequence[Feature]) -> list[Any]:
        return list(output)

    def decode(
        self, example: Any, features: Sequence[Feature], outputs: Sequence[Array]
    ) -> Filling:
        count = self.settings.top_k or _USUAL_COUNT
        ids, places = features[0].place
        return Filling(ids, places, [self._best(scores, count) for scores in outputs[0]])

    def _best(self, scores: Array, count: int) -> list[tuple[int, float]]:
        ids = np.arange(len(scores)) if self._targets is None else self._targets
        order = ids[np.argsort(-scores[ids], kind="stable")[:count]]
        return [(int(i), float(scores[i])) for i in order]

    def answer(self, example: Any, prediction: Filling) -> list[Any]:
        """Of the one mask its tokens, best first, with probability and the text that each makes;
        of several masks a list of such, the other masks left as they are."""
        ids, places, best = prediction
        whole = [
            [self._filled(ids, place, *one, alone=len(places) == 1) for one in own]
            for place, own in zip(places, best)
        ]
        return whole[0] if len(whole) == 1 else whole

    def _filled(
        self, ids: Array, place: int, token: int, score: float, *, alone: bool
    ) -> dict[str, Any]:
        text = ids.copy()
        text[place] = token
        whole = text.tolist()
        return {
            "score": score,
            "token": token,
            "token_str": self.tokenizer.decode([token]),
            "sequence": decode_text(self.tokenizer, whole)
            if alone
            else self.tokenizer.decode(whole, skip_special_tokens=False),
        }

    def record(self, example: Any, prediction: Filling) -> dict[str, Any]:
        """The text with the best token for each mask, these tokens and their probabilities, and
        the answer with all others."""
        filled = prediction.ids.copy()
        filled[prediction.places] = [own[0][0] for own in prediction.best]
        answer = self.answer(example, prediction)
        firsts = [answer[0]] if len(prediction.places) == 1 else [own[0] for own in answer]
        words, scores = ([one[name] for one in firsts] for name in ("token_str", "score"))
        return {
            "text": example.text,
            "sequence": decode_text(self.tokenizer, filled.tolist()),
            "token_str": words if len(words) > 1 else words[0],
            "score": scores if len(scores) > 1 else scores[0],
            "top_k": answer,
        }

    def evaluate(self, examples: Iterable[Any], batch_size: int = 32) -> dict[str, float]:
        """Loss and perplexity of hidden tokens, 15 % of a text and always the same ones."""
        documents = (Document(e.text, e.file, e.line or 1) for e in examples)
        tokens = encode_documents(self.tokenizer, documents)
        tell_unknown(self.name, self.tokenizer, tokens)
        objective = MaskedLanguageModeling(self.vocabulary)
        size = objective.text_size(self.max_length or _USUAL_LENGTH)
        held = ObjectiveExamples(Windows(tokens, size, ahead=objective.ahead), objective)
        loss = LossSum()
        rows = (row for i in range(len(held)) for row in held[i])
        self._add_losses(rows, batch_size, loss)
        return {"loss": loss.mean, "perplexity": perplexity(loss.total, loss.count)}

    def _target_ids(self, targets: str | Sequence[str] | None) -> Array | None:
        """Ids of words; of one that is no token its first token, as transformers does."""
        if targets is None:
            return None
        words = [targets] if isinstance(targets, str) else list(targets)
        if not words:
            raise ConfigError("targets: got none, expected words")
        return np.unique([self._target_id(word) for word in words])

    def _target_id(self, word: str) -> int:
        found = self.tokenizer.token_to_id(word)
        if found is not None:
            return int(found)
        [encoded] = self.encoder.encode([word], truncation=False, add_special_tokens=False)
        if not len(encoded):
            raise ConfigError(f"targets: got {shown(word)}, of which the tokenizer makes no token")
        first = int(encoded.input_ids[0])
        warn_once(
            f"targets: {shown(word)} is no token; taken is its first one, "
            f"{shown(self.tokenizer.id_to_token(first))}"
        )
        return first

    def plain(self, record: Mapping[str, Any]) -> str:
        """The text with its masks filled."""
        return record["sequence"] or ""
