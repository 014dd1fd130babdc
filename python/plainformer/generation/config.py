"""`GenerationConfig`: every option of `generate`, and `generation_config.json`.

Words and meanings are those of transformers. An option that we do not have is never ignored: a
value that would change the output is an error when text is generated, which names it.
"""

from __future__ import annotations

import dataclasses
import difflib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..checkpoints.files import read_json
from ..checkpoints.huggingface import GENERATION_CONFIG
from ..errors import CheckpointError, ConfigError, PlainformerWarning, short, shown
from ..kinds import check_kinds

# transformers' options that we lack, with the values that ask for nothing (None always does).
UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "assistant_early_exit": (),
    "constraints": (),
    "diversity_penalty": (0.0,),
    "dola_layers": (),
    "epsilon_cutoff": (0.0,),
    "eta_cutoff": (0.0,),
    "guidance_scale": (1.0,),
    "low_memory": (False,),
    "num_beam_groups": (1,),
    "output_attentions": (False,),
    "output_hidden_states": (False,),
    "penalty_alpha": (0.0,),
    "prompt_lookup_num_tokens": (),
    "remove_invalid_values": (False,),
    "speculation_type": (),
    "token_healing": (False,),
    "top_h": (),
    "typical_p": (1.0,),
    "use_mtp": (False,),
    "watermarking_config": (),
}
_METHODS = {  # what people call these
    "diversity_penalty": "group beam search",
    "num_beam_groups": "group beam search",
    "penalty_alpha": "contrastive search",
    "constraints": "constraint objects; use force_words_ids",
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


@dataclass
class GenerationConfig:
    """How a model writes. None means not said; what then holds stands in brackets.

    Length
        max_new_tokens : int, most tokens after the prompt [20]
        max_length : int, the same with the prompt (or the target's first tokens) counted
        min_new_tokens, min_length : int, no end before so many tokens
        max_time : float, seconds after which no further token is begun
        stop_strings : str or list, a row ends with the token that completes one of them in what
            is written; needs `tokenizer`
    Strategy
        do_sample : bool, draw tokens instead of taking the most probable one [False]
        num_beams : int, continuations kept a prompt; above 1 is beam search [1]
        num_return_sequences : int, texts a prompt: drawn ones, or the best beams [1]
        length_penalty : float, beam scores are divided by (new tokens) ** length_penalty [1.0]
        early_stopping : True ends a prompt with num_beams finished texts, False when a better one
            is unlikely, "never" when there can be none [False]
        use_cache : bool, keep keys and values instead of reading the text again [True]
    Sampling (with do_sample; see `Sampling`)
        temperature [1.0], top_k [all], top_p [1.0], min_p [0.0]
    Scores (see `plainformer.generation.processors`)
        repetition_penalty : float, above 1 disfavors tokens that the row has
        encoder_repetition_penalty : float, above 1 favors tokens of the source or prompt
        no_repeat_ngram_size, encoder_no_repeat_ngram_size : int, n-grams (of the source or
            prompt) that do not occur (again)
        bad_words_ids : list of lists of ids that never occur
        force_words_ids : list of lists of ids that occur before the end
        sequence_bias : list of [ids, float], added where the last id would complete the ids
        forced_bos_token_id, forced_eos_token_id : id at position 1, and at max_length
        suppress_tokens, begin_suppress_tokens : ids that never occur, or not as the first one
        exponential_decay_length_penalty : (new tokens, factor), favors the end from there on
        renormalize_logits : bool, log-softmax after all of these
    Output
        return_dict_in_generate : bool, return a `GenerateOutput`
        output_scores, output_logits : bool, with it, keep each step's scores, and raw logits
    Ids [those of the model's configuration]
        bos_token_id, eos_token_id (one or several), pad_token_id, decoder_start_token_id

    `extra` keeps the other fields of a file, to write them back.
    """

    max_new_tokens: int | None = None
    max_length: int | None = None
    min_new_tokens: int | None = None
    min_length: int | None = None
    max_time: float | None = None
    stop_strings: str | list[str] | None = None
    do_sample: bool | None = None
    num_beams: int | None = None
    num_return_sequences: int | None = None
    length_penalty: float | None = None
    early_stopping: bool | str | None = None
    use_cache: bool | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    encoder_repetition_penalty: float | None = None
    no_repeat_ngram_size: int | None = None
    encoder_no_repeat_ngram_size: int | None = None
    bad_words_ids: list[list[int]] | None = None
    force_words_ids: list[list[int]] | None = None
    sequence_bias: Any = None
    forced_bos_token_id: int | None = None
    forced_eos_token_id: int | list[int] | None = None
    suppress_tokens: list[int] | None = None
    begin_suppress_tokens: list[int] | None = None
    exponential_decay_length_penalty: Any = None
    renormalize_logits: bool | None = None
    return_dict_in_generate: bool | None = None
    output_scores: bool | None = None
    output_logits: bool | None = None
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    pad_token_id: int | None = None
    decoder_start_token_id: int | None = None
    extra: dict[str, Any] = field(default_factory=dict, repr=False)

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
            check_supported(name, value)


FIELDS = tuple(f.name for f in dataclasses.fields(GenerationConfig) if f.name != "extra")


def check_supported(name: str, value: Any) -> None:
    """Raise if this option of transformers is one that we lack, and asks for something."""
    if name in UNSUPPORTED and not _asks_nothing(value, UNSUPPORTED[name]):
        method = f" ({_METHODS[name]})" if name in _METHODS else ""
        raise ConfigError(
            f"{name}: got {shown(value)}, which is not supported{method}; leave it out"
        )


def _asks_nothing(value: Any, neutral: tuple[Any, ...]) -> bool:
    """Whether this is None or one of the values that change nothing; arrays never are."""
    is_plain = isinstance(value, (bool, int, float, str))
    return value is None or (is_plain and value in neutral)


def check_names(options: Mapping[str, Any]) -> dict[str, Any]:
    """The given options without those that are None or ask for nothing.

    Raises
    ------
    ConfigError : an unknown name, with the likely one meant, or an unsupported option
    """
    for name, value in options.items():
        if name not in FIELDS and name not in UNSUPPORTED:
            close = difflib.get_close_matches(name, FIELDS, n=1)
            hint = f"did you mean {close[0]}?" if close else "see GenerationConfig for all"
            raise ConfigError(f"{short(name)}: unknown argument of generate; {hint}")
        check_supported(name, value)
    return {n: v for n, v in options.items() if n in FIELDS and v is not None}
