"""What `pretrain --objective` stands for: a kind of model, an objective and its examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from ..data.baselines import Baselines
from ..data.batches import EvaluationWindows, TokenBlocks
from ..data.chunks import Blocks, PackedDocuments, Windows
from ..data.objectives import (
    CausalLM,
    Denoising,
    MaskedLM,
    Objective,
    ObjectiveExamples,
    SpanCorruption,
    Vocabulary,
    baselines_of,
    pack_examples,
    pad_examples,
)
from ..data.shards import Shard
from ..errors import ConfigError, shown
from ..models.registry import MODELS

# What a model must be for, in the words of MODELS.
TASKS = {"clm": "causal-lm", "mlm": "masked-lm", "span": "seq2seq-lm", "denoise": "seq2seq-lm"}

# Flags of one objective or two, and what its class calls them.
FLAGS: dict[str, dict[str, str]] = {
    "clm": {},
    "mlm": {"mlm_probability": "probability", "whole_word_mask": "whole_words"},
    "span": {"noise_density": "noise_density", "mean_span_length": "mean_span_length"},
    "denoise": {
        "noise_density": "noise_density",
        "mean_span_length": "mean_span_length",
        "permute_sentences": "permute_sentences",
    },
}


def objective_flags(command: Any) -> Any:
    """Decorate a command with `--objective` and the flags of the objectives."""
    for option in reversed(
        [
            click.option(
                "--objective",
                type=click.Choice(list(TASKS)),
                help="clm: the next token (default); mlm: hidden tokens (BERT); span: spans cut "
                "out (T5); denoise: the text behind a damaged one (BART).",
            ),
            click.option(
                "--packing/--no-packing",
                default=None,
                help="Documents that do not see each other, several in an example; without, "
                "examples are cut from all text in a row  [default: no-packing]",
            ),
            click.option(
                "--mlm-probability", type=float, help="mlm: share of hidden tokens  [default: 0.15]"
            ),
            click.option(
                "--whole-word-mask/--no-whole-word-mask",
                default=None,
                help="mlm: hide all tokens of a word or none  [default: no-whole-word-mask]",
            ),
            click.option(
                "--noise-density",
                type=float,
                help="span, denoise: share of tokens cut out  [default: span 0.15, denoise 0.3]",
            ),
            click.option(
                "--mean-span-length",
                type=float,
                help="span, denoise: tokens of a span on average  [default: 3]",
            ),
            click.option(
                "--permute-sentences/--no-permute-sentences",
                default=None,
                help="denoise: shuffle sentences too  [default: no-permute-sentences]",
            ),
        ]
    ):
        command = option(command)
    return command


def check_flags(name: str, values: Mapping[str, Any]) -> None:
    """Raise ConfigError for a flag that has no effect with this objective, or no such objective."""
    if name not in FLAGS:  # from a run file
        raise ConfigError(f"objective: got {shown(name)}, expected one of {', '.join(FLAGS)}")
    every = {flag for flags in FLAGS.values() for flag in flags}
    for flag in sorted(every & values.keys() - FLAGS[name].keys()):
        users = ", ".join(objective for objective, flags in FLAGS.items() if flag in flags)
        raise ConfigError(f"{flag}: has no effect with objective {name}, only with {users}")
    if "max_length" in values and (name != "clm" or values.get("packing")):
        raise ConfigError("max_length: has no effect here; set block_size")


def objective_inputs(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The objective with the values of its flags, given or not, for `Trainer(inputs=)`."""
    flags = {flag: values.get(flag) for flag in FLAGS[name]}
    return {"objective": name, "packing": bool(values.get("packing")), **flags}


def check_family(name: str, config: Mapping[str, Any]) -> None:
    """Raise ConfigError unless the model of a configuration can learn the objective."""
    family = MODELS.get(str(config.get("model_type")))
    if family is not None and TASKS[name] not in family.models:
        fitting = [kind for kind, other in MODELS.items() if TASKS[name] in other.models]
        raise ConfigError(
            f"objective: {name} trains a {TASKS[name]} model, which {config['model_type']} has "
            f"not; expected one of {', '.join(sorted(fitting)) or 'none yet'}"
        )


def make_objective(
    name: str, vocabulary: Vocabulary, block_size: int, values: Mapping[str, Any]
) -> Objective:
    """The objective with the flags that were given.

    Raises
    ------
    ConfigError : a value out of range, a tokenizer without what is needed, too small a block
    """
    options = {argument: values[flag] for flag, argument in FLAGS[name].items() if flag in values}
    make: dict[str, Callable[[], Objective]] = {
        "clm": CausalLM,
        "mlm": lambda: MaskedLM(vocabulary, **options),
        "span": lambda: SpanCorruption(vocabulary, block_size, **options),
        "denoise": lambda: Denoising(vocabulary, **options),
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
    if isinstance(objective, CausalLM) and not packing:  # rows of one length need no mask
        windows = None if validation is None else EvaluationWindows(validation.tokens, block_size)
        return LanguageData(TokenBlocks(shard.tokens, block_size), windows, None, baselines)
    # A source and its target are two rows: only models with one kind of row take packed ones.
    one_row = packing and not isinstance(objective, (SpanCorruption, Denoising))
    return LanguageData(train, held, pack_examples if one_row else pad_examples, baselines)
