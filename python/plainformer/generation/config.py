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
from ..options import Lacking, above, at_least, documented, named, option, options_of, that
from ..reprs import brief
from .rules import (
    BIASES,
    COUNT,
    DECAY,
    FINITE,
    IDS,
    PENALTY,
    ROWS,
    SIZE,
    STRINGS,
    WORDS,
)

# transformers' options that we lack.
UNSUPPORTED: dict[str, Lacking] = {
    "assistant_early_exit": Lacking(),
    "constraints": Lacking(instead="did you mean force_words_ids?"),
    "diversity_penalty": Lacking((0.0,), "that is group beam search; leave it out"),
    "dola_layers": Lacking(),
    "epsilon_cutoff": Lacking((0.0,)),
    "eta_cutoff": Lacking((0.0,)),
    "guidance_scale": Lacking((1.0,)),
    "low_memory": Lacking((False,)),
    "num_beam_groups": Lacking((1,), "that is group beam search; leave it out"),
    "output_attentions": Lacking((False,)),
    "output_hidden_states": Lacking((False,)),
    "penalty_alpha": Lacking((0.0,), "that is contrastive search; leave it out"),
    "prompt_lookup_num_tokens": Lacking(),
    "remove_invalid_values": Lacking((False,)),
    "speculation_type": Lacking(),
    "token_healing": Lacking((False,)),
    "top_h": Lacking(),
    "typical_p": Lacking((1.0,)),
    "use_mtp": Lacking((False,)),
    "watermarking_config": Lacking(),
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


@documented()
@dataclass
class GenerationConfig:
    """How a model writes. None means not said; what then holds stands in brackets.

    `extra` keeps the other fields of a file, to write them back.
    """

    # Length
    max_new_tokens: int | None = option(
        None,
        "At most so many tokens after the prompt [20].",
        COUNT,
        words=("max_tokens", "n_predict", "num_predict"),
    )
    max_length: int | None = option(
        None, "At most so many tokens, the prompt's or the target's first ones counted.", COUNT
    )
    min_new_tokens: int | None = option(None, "No end before so many new tokens.", SIZE)
    min_length: int | None = option(
        None, "No end before so many tokens, the prompt's counted.", SIZE
    )
    max_time: float | None = option(None, "Begin no token after so many seconds.", above(0))
    stop_strings: str | list[str] | None = option(
        None,
        "A row ends with the token that completes one of these in what is written; needs "
        "`tokenizer`.",
        STRINGS,
    )

    # Strategy
    do_sample: bool | None = option(None, "Draw tokens instead of taking the most probable ones.")
    num_beams: int | None = option(
        None,
        "Continuations kept side by side; 1 takes the best token [1].",
        ROWS,
        words=("beams", "beam_size"),
    )
    num_return_sequences: int | None = option(
        None, "Texts a prompt: drawn ones, or the best beams [1].", ROWS, words=("num_samples",)
    )
    length_penalty: float | None = option(
        None,
        "Beam scores are divided by length to this power; above 0 favors longer texts [1.0].",
        FINITE,
    )
    early_stopping: bool | Literal["never"] | None = option(
        None,
        "Beam search ends: true with num_beams finished texts, false when a better one is "
        "unlikely, never when there can be none [false].",
    )
    use_cache: bool | None = option(
        None, "Keep keys and values instead of reading the text again [true]."
    )

    # Sampling
    temperature: float | None = option(
        None,
        "Below 1 draws probable tokens more often [1.0].",
        that(lambda v: v > 0, "above 0 (do_sample=False always takes the most probable token)"),
        words=("temp",),
    )
    top_k: int | None = option(
        None,
        "Draw from so many of the most probable tokens [all].",
        at_least(1),
        words=("topk",),
    )
    top_p: float | None = option(
        None,
        "Draw from the fewest tokens that reach this probability [1.0].",
        above(0, 1),
        words=("topp",),
    )
    min_p: float | None = option(
        None,
        "Draw from tokens with at least this part of the best one's probability [0.0].",
        at_least(0, 1),
    )

    # Scores
    repetition_penalty: float | None = option(
        None, "Above 1 disfavors tokens that the text has already.", PENALTY
    )
    encoder_repetition_penalty: float | None = option(
        None, "Above 1 favors tokens of the source or prompt.", PENALTY
    )
    no_repeat_ngram_size: int | None = option(
        None, "No so many tokens occur twice in a text.", SIZE
    )
    encoder_no_repeat_ngram_size: int | None = option(
        None, "No so many tokens of the source or prompt occur again.", SIZE
    )
    bad_words_ids: list[list[int]] | None = option(None, "Ids that never occur in a row.", WORDS)
    force_words_ids: list[list[int]] | None = option(
        None, "Ids that occur in a row before the end.", WORDS
    )
    sequence_bias: Any = option(
        None, "[[ids, number], ...], added where the last id would complete the ids.", BIASES
    )
    forced_bos_token_id: int | None = option(
        None, "The first token that an encoder-decoder writes.", SIZE
    )
    forced_eos_token_id: int | list[int] | None = option(
        None, "The last token where a text reaches its full length.", IDS
    )
    suppress_tokens: list[int] | None = option(None, "Ids that never occur.", IDS)
    begin_suppress_tokens: list[int] | None = option(None, "Ids that do not come first.", IDS)
    exponential_decay_length_penalty: Any = option(
        None, "[N, factor]: favor the end more and more after N new tokens.", DECAY
    )
    renormalize_logits: bool | None = option(
        None, "Make probabilities of what the other options leave."
    )

    # Output
    return_dict_in_generate: bool | None = option(None, "Return a `GenerateOutput`.")
    output_scores: bool | None = option(None, "Keep each step's scores in it.")
    output_logits: bool | None = option(None, "Keep each step's raw logits in it.")

    # Ids [those of the model's configuration]
    bos_token_id: int | None = option(
        None, "Where texts begin without a prompt, and targets without a start id.", SIZE
    )
    eos_token_id: int | list[int] | None = option(
        None, "Stop at these ids instead of the model's own.", IDS
    )
    pad_token_id: int | None = option(None, "Fills texts that end early.", SIZE)
    decoder_start_token_id: int | None = option(
        None, "What targets of an encoder-decoder begin with.", SIZE
    )
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
        return {name: getattr(self, name) for name in FIELDS if getattr(self, name) is not None}

    def to_dict(self) -> dict[str, Any]:
        """The contents of `generation_config.json`: what is said, and what was read beside it."""
        return {**self.extra, **self.said()}

    def check_supported(self) -> None:
        """Raise for an option in `extra` that would change the output and that we lack."""
        for name, value in self.extra.items():
            if name in UNSUPPORTED:
                UNSUPPORTED[name].check(name, value)


OPTIONS = options_of(GenerationConfig)
FIELDS = tuple(OPTIONS)


def check_names(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are given, without those that are None or ask for nothing.

    Raises
    ------
    ConfigError : an unknown name, with the likely one meant, or an unsupported option
    """
    own = named(given, GenerationConfig, owner="an argument of generate", lacking=UNSUPPORTED)
    return {name: value for name, value in own.items() if value is not None}
