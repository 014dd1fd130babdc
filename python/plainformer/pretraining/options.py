"""What is said of text and objective, beside data, model and training arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..data.records.opening import ENCODING
from ..errors import ConfigError
from ..options import COUNT, check, named, names_of, one_of, option, refuse_idle
from ..training import TrainingArguments
from ..training.words import LACKING

# What a model must be for, in the words of `models.registry.MODELS`.
MODEL_TASK_OF = {
    "clm": "causal-lm",
    "mlm": "masked-lm",
    "span": "seq2seq-lm",
    "denoise": "seq2seq-lm",
}

# Options of one objective or two, which its class takes.
OWN: dict[str, tuple[str, ...]] = {
    "clm": (),
    "mlm": ("mlm_probability", "whole_word_mask"),
    "span": ("noise_density", "mean_span_length"),
    "denoise": ("noise_density", "mean_span_length", "permute_sentences"),
}


@dataclass(frozen=True)
class PretrainingOptions:
    """How text is read and what is hidden of it. What is None is as the objective has it."""

    text_column: str = option("text", "JSONL field or table column with the text.")
    skip_bad_lines: bool = option(False, "Count bad lines and leave them out.")
    encoding: str | None = option(
        None, "What text is in, such as cp1252, gb18030 or utf-16; default UTF-8.", ENCODING
    )
    packing: bool = option(
        False,
        "Documents that do not see each other, several in an example; without, examples are cut "
        "from all text in a row.",
    )
    mlm_probability: float | None = option(None, "mlm: share of hidden tokens; default 0.15.")
    whole_word_mask: bool | None = option(
        None, "mlm: hide all tokens of a word or none; default each by itself."
    )
    noise_density: float | None = option(
        None, "span, denoise: share of tokens cut out; default span 0.15, denoise 0.3."
    )
    mean_span_length: float | None = option(
        None, "span, denoise: tokens of a span on average; default 3."
    )
    permute_sentences: bool | None = option(
        None, "denoise: shuffle sentences too; default in order."
    )

    sample_prompt: str | Sequence[str] | None = option(
        None,
        "clm: continue this text at each evaluation (without one, at each checkpoint) and in the "
        "end, drawn with the run's seed at temperature 0.8; shown, and kept in samples.jsonl. "
        "Changes no byte of the training.",
    )
    sample_tokens: int | None = option(
        None, "Most tokens written behind each sample_prompt; default 64.", COUNT
    )

    def __post_init__(self) -> None:
        check(self)
        refuse_idle(self, ("sample_tokens", self.sample_prompt is None, "without sample_prompt"))

    @property
    def prompts(self) -> list[str]:
        """Those of `sample_prompt`."""
        given = self.sample_prompt
        return [] if given is None else [given] if isinstance(given, str) else list(given)

    @property
    def reading(self) -> dict[str, Any]:
        """The arguments of `Documents`."""
        return {
            "column": self.text_column,
            "skip_bad_lines": self.skip_bad_lines,
            "encoding": self.encoding,
        }

    def check_effects(self, objective: str, training: Mapping[str, Any]) -> None:
        """Raise ConfigError for an option that would do nothing, or no such objective.

        training : the training arguments that were given
        """
        one_of(*OWN).check("objective", objective)
        users = {
            n: [other for other in OWN if n in OWN[other]] for own in OWN.values() for n in own
        }
        for name, able in users.items():
            why = f"with objective {objective}, only with {', '.join(able)}"
            refuse_idle(self, (name, objective not in able, why))
        if objective != "clm":
            refuse_idle(self, ("sample_prompt", True, f"with objective {objective}, only with clm"))
        if "max_length" in training and (objective != "clm" or self.packing):
            raise ConfigError("max_length: has no effect here; set block_size")

    def of_objective(self, objective: str) -> dict[str, Any]:
        """The options that the objective has; None where none was given."""
        return {name: getattr(self, name) for name in OWN[objective]}


def split(options: Mapping[str, Any]) -> tuple[PretrainingOptions, dict[str, Any]]:
    """The options of pre-training, and those that are for `TrainingArguments`.

    Raises
    ------
    ConfigError : an unknown word, with what was probably meant
    """
    kinds = (PretrainingOptions, TrainingArguments)
    found = named(options, *kinds, owner="an option of pre-training", lacking=LACKING)
    own = {name: found.pop(name) for name in names_of(PretrainingOptions) if name in found}
    return PretrainingOptions(**own), found
