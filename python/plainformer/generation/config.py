"""`GenerationConfig`: every option of `generate`, and `generation_config.json`.

Words and meanings are those of transformers. An option that we do not have is never ignored: a
value that would change the output is an error when text is generated, which names it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..checkpoints.files import read_json
from ..checkpoints.huggingface import GENERATION_CONFIG
from ..errors import CheckpointError, PlainformerWarning, short
from ..kinds import check_kinds
from ..options import COUNT, Rule, above, at_least, documented, lacking, named, option, options_of
from ..reprs import brief
from .rules import BIASES, DECAY, FINITE, IDS, LENGTH, PENALTY, ROWS, SIZE, STRINGS, WARMTH, WORDS

# transformers' options that we lack.
UNSUPPORTED = {
    **lacking("assistant_early_exit dola_layers prompt_lookup_num_tokens speculation_type top_h"),
    **lacking("constraints", instead="did you mean force_words_ids?"),
    **lacking("diversity_penalty", 0.0, instead="that is group beam search; leave it out"),
    **lacking("epsilon_cutoff eta_cutoff", 0.0),
    **lacking("guidance_scale typical_p", 1.0),
    **lacking("low_memory output_attentions output_hidden_states remove_invalid_values", False),
    **lacking("num_beam_groups", 1, instead="that is group beam search; leave it out"),
    **lacking("penalty_alpha", 0.0, instead="that is contrastive search; leave it out"),
    **lacking("token_healing use_mtp", False),
    **lacking("watermarking_config"),
}

# Fields of files that say nothing about which tokens come out.
INERT = frozenset(
    """_commit_hash _from_model_config assistant_confidence_threshold assistant_ensemble_weight
    assistant_lookbehind cache_config cache_implementation compile_config
    continuous_batching_config disable_compile is_assistant max_cache_len
    max_matching_ngram_size num_assistant_tokens num_assistant_tokens_schedule prefill_chunk_size
    return_legacy_cache target_lookbehind transformers_version""".split()  # noqa: SIM905
)
SPECIAL_IDS = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")


def _said(text: str, rule: Rule | None = None, words: str = "") -> Any:
    return option(None, text, rule, words=words)


@documented()
@dataclass
class GenerationConfig:
    """How a model writes. None means not said: then the model's files hold, and after them 20 new
    tokens, the most probable ones, one text, a cache, and what changes nothing for all the rest.

    `extra` keeps the other fields of a file, to write them back.
    """

    # Length
    max_new_tokens: int | None = _said(
        "At most so many tokens after the prompt.",
        LENGTH, words="max_tokens n_predict num_predict",
    )  # fmt: skip
    max_length: int | None = _said(
        "At most so many tokens, the prompt's or the target's first ones counted.", LENGTH
    )
    min_new_tokens: int | None = _said("No end before so many new tokens.", SIZE)
    min_length: int | None = _said("No end before so many tokens, the prompt's counted.", SIZE)
    max_time: float | None = _said("Begin no token after so many seconds.", above(0))
    stop_strings: str | list[str] | None = _said(
        "A row ends with the token that completes one of these in what is written.", STRINGS
    )

    # Strategy
    do_sample: bool | None = _said("Draw tokens instead of taking the most probable ones.")
    num_beams: int | None = _said(
        "Continuations kept side by side; 1 takes the best token.", ROWS, "beams beam_size"
    )
    num_return_sequences: int | None = _said(
        "Texts a prompt: drawn ones, or the best beams.", ROWS, "num_samples"
    )
    length_penalty: float | None = _said(
        "Divide beam scores by length to this power; above 0 favors longer texts.", FINITE
    )
    early_stopping: bool | Literal["never"] | None = _said(
        "Beam search ends: true with num_beams finished texts, false when a better one is "
        "unlikely, never when there can be none."
    )
    use_cache: bool | None = _said("Keep keys and values instead of reading again.")

    # Sampling
    temperature: float | None = _said("Below 1 draws probable tokens more often.", WARMTH, "temp")
    top_k: int | None = _said("Draw from so many of the most probable tokens.", COUNT, "topk")
    top_p: float | None = _said(
        "Draw from the fewest tokens that reach this probability.", above(0, 1), "topp"
    )
    min_p: float | None = _said(
        "Draw from tokens with at least this part of the best one's probability.", at_least(0, 1)
    )

    # Scores
    repetition_penalty: float | None = _said(
        "Above 1 disfavors tokens that the text has already.", PENALTY
    )
    encoder_repetition_penalty: float | None = _said(
        "Above 1 favors tokens of the source or prompt.", PENALTY
    )
    no_repeat_ngram_size: int | None = _said("No so many tokens occur twice in a text.", SIZE)
    encoder_no_repeat_ngram_size: int | None = _said(
        "No so many tokens of the source or prompt occur again.", SIZE
    )
    bad_words_ids: list[list[int]] | None = _said("Ids that never occur in a row.", WORDS)
    force_words_ids: list[list[int]] | None = _said("Ids that occur before the end.", WORDS)
    sequence_bias: Any = _said(
        "[[ids, number], ...], added where the last id would complete the ids.", BIASES
    )
    forced_bos_token_id: int | None = _said("The first token that a target has.", SIZE)
    forced_eos_token_id: int | list[int] | None = _said(
        "The last token where a text reaches its full length.", IDS
    )
    suppress_tokens: list[int] | None = _said("Ids that never occur.", IDS)
    begin_suppress_tokens: list[int] | None = _said("Ids that do not come first.", IDS)
    exponential_decay_length_penalty: Any = _said(
        "[N, factor]: favor the end more and more after N new tokens.", DECAY
    )
    renormalize_logits: bool | None = _said("Make probabilities of what other options leave.")

    # Output
    return_dict_in_generate: bool | None = _said("Return a `GenerateOutput`.")
    output_scores: bool | None = _said("Keep each step's scores in it.")
    output_logits: bool | None = _said("Keep each step's raw logits in it.")

    # Ids [those of the model's configuration]
    bos_token_id: int | None = _said("Where texts without a prompt or a start id begin.", SIZE)
    eos_token_id: int | list[int] | None = _said("Stop at these ids.", IDS)
    pad_token_id: int | None = _said("Fills texts that end early.", SIZE)
    decoder_start_token_id: int | None = _said("What targets begin with.", SIZE)
    extra: dict[str, Any] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        return brief(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GenerationConfig:
        """Build from the contents of a `generation_config.json`; warns of unknown fields by name.

        What is unsupported is kept, and refused by `check_supported` when text is generated:
        a model can be loaded to be trained or evaluated all the same.
        """
        own = {name: value for name, value in values.items() if name in FIELDS}
        extra = {name: value for name, value in values.items() if name not in FIELDS}
        for name in extra.keys() - UNSUPPORTED.keys() - INERT:
            message = f"{GENERATION_CONFIG}: {short(name)}: unknown field, not used"
            warnings.warn(message, PlainformerWarning, stacklevel=2)  # of each file
        return cls(**own, extra=extra)

    @classmethod
    def from_pretrained(cls, path: str | Path) -> GenerationConfig:
        """Read `generation_config.json` in the directory `path`.

        Raises
        ------
        CheckpointError : no such file, no JSON object, or an option of another kind
        """
        file = Path(path, GENERATION_CONFIG)
        config = cls.from_dict(read_json(file))
        check_kinds(config, where=f"{file}: ", error=CheckpointError)
        return config

    @classmethod
    def from_model_config(cls, config: Any) -> GenerationConfig:
        """What old files say in `config.json`, or a family's configuration as a field.

        Special ids are left out: they stay those of the configuration.

        Raises
        ------
        ConfigError : an option of another kind
        """
        names = [name for name in FIELDS if name not in (*SPECIAL_IDS, "use_cache")]
        values = {name: getattr(config, name, config.extra.get(name)) for name in names}
        extra = {n: config.extra[n] for n in UNSUPPORTED if config.extra.get(n) is not None}
        if config.extra.get("force_bos_token_to_be_generated"):  # BART's word before version 4
            values["forced_bos_token_id"] = config.bos_token_id
        result = cls(**values, extra=extra)
        check_kinds(result, where="config.json: ")
        return result

    def said(self) -> dict[str, Any]:
        """The options that are not None."""
        return {n: v for n, v in vars(self).items() if v is not None and n in OPTIONS}

    def to_dict(self) -> dict[str, Any]:
        """The contents of `generation_config.json`: what is said, and what was read beside it."""
        return {**self.extra, **self.said()}


OPTIONS = options_of(GenerationConfig)
FIELDS = tuple(OPTIONS)


def check_supported(extra: Mapping[str, Any]) -> None:
    """Raise for an option of a file that would change the output and that we lack."""
    for name, value in extra.items():
        if name in UNSUPPORTED:
            UNSUPPORTED[name].check(name, value)


def check_names(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are given, without those that are None or ask for nothing.

    Raises
    ------
    ConfigError : an unknown name, with the likely one meant, or an unsupported option
    """
    own = named(given, GenerationConfig, owner="an argument of generate", lacking=UNSUPPORTED)
    return {name: value for name, value in own.items() if value is not None}
