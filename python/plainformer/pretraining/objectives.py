"""An objective's name to its class and its examples: what a model is trained and evaluated on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..data.baselines import Baselines
from ..data.batches import EvaluationWindows, TokenBlocks
from ..data.chunks import Blocks, PackedDocuments, Windows
from ..data.objectives.causal import CausalLanguageModeling
from ..data.objectives.denoising import Denoising
from ..data.objectives.examples import Objective, ObjectiveExamples, baselines_of, flat_examples
from ..data.objectives.masked import MaskedLanguageModeling
from ..data.objectives.spans import SpanCorruption
from ..data.objectives.vocabulary import Vocabulary
from ..data.shards import Shard
from ..errors import ConfigError
from ..training.batches import collate_rows
from .options import PretrainingOptions


def make_objective(
    name: str, vocabulary: Vocabulary, block_size: int, options: PretrainingOptions
) -> Objective:
    """The objective with the options that were given.

    Raises
    ------
    ConfigError : a value out of range, a tokenizer without what is needed, too small a block
    """
    own = options.of_objective(name).items()
    given = {option: value for option, value in own if value is not None}
    make: dict[str, Callable[[], Objective]] = {
        "clm": CausalLanguageModeling,
        "mlm": lambda: MaskedLanguageModeling(vocabulary, **given),
        "span": lambda: SpanCorruption(vocabulary, block_size, **given),
        "denoise": lambda: Denoising(vocabulary, **given),
    }
    objective = make[name]()
    if objective.text_size(block_size) < 1:
        least = next(n for n in range(block_size, block_size + 9) if objective.text_size(n) > 0)
        raise ConfigError(f"block_size: got {block_size}, expected at least {least} for {name}")
    return objective


@dataclass(frozen=True)
class LanguageData:
    """What a language model is trained and evaluated on.

    train, evaluation : data sets for a Trainer, and `collate` for both (None: the usual one)
    baselines : what the evaluation would cost without a model; None without evaluation
    """

    train: Any
    evaluation: Any = None
    collate: Callable[[list[Any]], dict[str, Any]] | None = None
    baselines: Callable[[], Baselines] | None = None


def objective_data(
    objective: Objective,
    vocabulary: Vocabulary,
    shard: Shard,
    validation: Shard | None,
    block_size: int,
    *,
    packing: bool,
) -> LanguageData:
    """Examples of an objective: of documents with `packing`, else of all tokens in a row.

    Raises ConfigError where `packing` is asked for tokens that do not tell their documents.
    """
    size, ahead = objective.text_size(block_size), objective.ahead

    def examples(shard: Shard, cut: type[Blocks] | type[Windows]) -> ObjectiveExamples:
        if not packing:
            return ObjectiveExamples(cut(shard.tokens, size, ahead=ahead), objective)
        if shard.starts is None:
            raise ConfigError(
                "packing: got tokens without an .idx file beside them, which says where documents "
                "begin; give text, or leave packing out"
            )
        end = None if ahead else vocabulary.end  # the objectives without labels ahead add theirs
        rows = PackedDocuments(shard.tokens, shard.starts, size, ahead=ahead, end=end)
        return ObjectiveExamples(rows, objective)

    train = examples(shard, Blocks)
    held = None if validation is None else examples(validation, Windows)
    baselines = None if held is None else lambda: baselines_of(train, held, vocabulary.size)
    if isinstance(objective, CausalLanguageModeling) and not packing:
        # Rows of one length need no mask.
        windows = None if validation is None else EvaluationWindows(validation.tokens, block_size)
        return LanguageData(TokenBlocks(shard.tokens, block_size), windows, None, baselines)
    return LanguageData(train, held, _rows, baselines)


def _rows(items: list[Any]) -> dict[str, Any]:
    return collate_rows(flat_examples(items))
