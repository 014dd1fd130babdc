"""Special tokens by role: which ids begin, end, separate, pad, mask and stand for unknown text.

Hugging Face keeps them in `tokenizer_config.json` and, before version 5, in
`special_tokens_map.json`. What neither names is found by the strings of the well-known families.
A tokenizer that was loaded remembers what its files said, so that saving writes it again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from ..checkpoints.files import read_json, read_text
from ..errors import CheckpointError, shown, warn_once

TOKENIZER_CONFIG = "tokenizer_config.json"
SPECIAL_TOKENS_MAP = "special_tokens_map.json"
CHAT_TEMPLATE = "chat_template.jinja"
END_OF_TEXT = "<|endoftext|>"
BERT_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")

# Which strings play which role in a vocabulary that has the first tokens; the first match wins.
_FAMILIES: tuple[tuple[set[str], dict[str, str]], ...] = (
    ({"[CLS]", "[SEP]"}, {f"{token[1:-1].lower()}_token": token for token in BERT_TOKENS}),
    (  # RoBERTa, BART
        {"<s>", "</s>", "<mask>"},
        {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "</s>",
         "pad_token": "<pad>", "cls_token": "<s>", "mask_token": "<mask>"},
    ),
    (  # SentencePiece: T5, Marian, Llama 2
        {"</s>"},
        {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"},
    ),
    (  # Llama 3
        {"<|end_of_text|>"},
        {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"},
    ),
    ({END_OF_TEXT}, {"bos_token": END_OF_TEXT, "eos_token": END_OF_TEXT}),  # GPT-2
)  # fmt: skip
# Roles that a class has where its files do not mention them, other than by the families.
_CLASS_ROLES: dict[str, dict[str, str | None]] = {
    "Qwen2Tokenizer": {"bos_token": None, "pad_token": END_OF_TEXT},
}
# What else of a configuration is kept. Others name files or code, or say how a vocabulary was read.
_KEPT = (
    "model_max_length",
    "padding_side",
    "truncation_side",
    "chat_template",
    "clean_up_tokenization_spaces",
)
_UNLIMITED = 10**9  # transformers writes 1e30 for "no limit"
_INPUTS = ("input_ids", "attention_mask")
_NO_TOKEN_TYPES = {"DistilBertTokenizer"}  # whose template still has them
_ATTRIBUTE = "plainformer_options"


@dataclass(frozen=True)
class SpecialIds:
    """The ids of a tokenizer's special tokens, None where it has none, and how it is to be used.

    model_max_length : most tokens that its model takes; None when not known
    model_input_names : what the model takes; "token_type_ids" is among it or not
    padding_side, truncation_side : "right" or "left"
    """

    bos_token_id: int | None = None
    eos_token_id: int | None = None
    unk_token_id: int | None = None
    sep_token_id: int | None = None
    pad_token_id: int | None = None
    cls_token_id: int | None = None
    mask_token_id: int | None = None
    additional_special_token_ids: tuple[int, ...] = ()
    model_max_length: int | None = None
    model_input_names: tuple[str, ...] = _INPUTS
    padding_side: str = "right"
    truncation_side: str = "right"

    @property
    def end_token_id(self) -> int | None:
        """What ends a text: the end of text, or else the separator (BERT); None without either."""
        return self.sep_token_id if self.eos_token_id is None else self.eos_token_id

    def longest_input(self, context_length: int | None) -> int | None:
        """Most tokens of an input to a model of this context; None without a limit."""
        known = (context_length, self.model_max_length)
        return min((limit for limit in known if limit is not None), default=None)

    @property
    def all_special_ids(self) -> tuple[int, ...]:
        """Every id above once, in increasing order."""
        named = (getattr(self, f"{role}_id") for role in ROLES)
        ids = {i for i in named if i is not None}
        return tuple(sorted(ids.union(self.additional_special_token_ids)))


def special_ids(tokenizer: Tokenizer) -> SpecialIds:
    """The special tokens of `tokenizer` by role.

    Roles come from the files that the tokenizer was loaded with; a role that they do not mention
    goes by the well-known families.
    """
    options = tokenizer_options(tokenizer)
    tokens = role_tokens(tokenizer, options)
    ids = {f"{role}_id": _id_of(tokenizer, token, role) for role, token in tokens.items()}
    extra = (
        _id_of(tokenizer, token, "additional_special_tokens")
        for token in options.get("additional_special_tokens", [])
    )
    return SpecialIds(
        **ids,
        additional_special_token_ids=tuple(i for i in extra if i is not None),
        model_max_length=options.get("model_max_length"),
        model_input_names=tuple(input_names(tokenizer, options)),
        padding_side=options.get("padding_side", "right"),
        truncation_side=options.get("truncation_side", "right"),
    )


def read_options(directory: Path) -> dict[str, Any]:
    """What the files beside a tokenizer say, checked, under version 4 names.

    Roles are as files have them (`token_text`), None included. The map of special tokens wins over
    the configuration, unless that lists its added tokens: then, as in transformers, the map is
    a left-over.
    """
    config = _read_if_there(directory / TOKENIZER_CONFIG)
    special = _read_if_there(directory / SPECIAL_TOKENS_MAP)
    raw = config if "added_tokens_decoder" in config else {**config, **special}
    options = _checked(raw, directory)
    if os.path.lexists(directory / CHAT_TEMPLATE):
        options["chat_template"] = read_text(directory / CHAT_TEMPLATE)
    return options


def remember_options(tokenizer: Tokenizer, options: Mapping[str, Any]) -> None:
    """Let `save_tokenizer` and `special_ids` find what the files of `tokenizer` said, or would
    say; what was remembered of others stays."""
    setattr(tokenizer, _ATTRIBUTE, {**tokenizer_options(tokenizer), **options})


def add_marks(tokenizer: Tokenizer, marks: Iterable[str]) -> None:
    """Add special tokens, spelled exactly so, where a tokenizer lacks them."""
    lacking = [mark for mark in marks if tokenizer.token_to_id(mark) is None]
    tokenizer.add_special_tokens([AddedToken(mark, normalized=False) for mark in lacking])


def tokenizer_options(tokenizer: Tokenizer) -> dict[str, Any]:
    """What was remembered; nothing for a tokenizer made here."""
    return getattr(tokenizer, _ATTRIBUTE, {})


def role_tokens(tokenizer: Tokenizer, options: Mapping[str, Any]) -> dict[str, str]:
    """Role to token: as the options say, else by the first well-known family that fits."""
    named = {role: token_text(options[role]) for role in ROLES if role in options}
    roles = {**_known_roles(tokenizer), **_CLASS_ROLES.get(_class_of(options), {}), **named}
    return {role: token for role, token in roles.items() if token is not None}


def input_names(tokenizer: Tokenizer, options: Mapping[str, Any]) -> list[str]:
    """The model's inputs: as the options say, else with token types if the template is BERT's."""
    if "model_input_names" in options:
        return list(options["model_input_names"])
    processor = tokenizer.post_processor
    state = "" if processor is None else processor.__getstate__().decode()
    typed = '"type_id":1' in state or '"type":"BertProcessing"' in state
    enclosed = {"cls_token", "sep_token"} <= role_tokens(tokenizer, options).keys()
    if typed and enclosed and _class_of(options) not in _NO_TOKEN_TYPES:
        return ["input_ids", "token_type_ids", "attention_mask"]
    return list(_INPUTS)


def kept_options(tokenizer: Tokenizer, *, token_types: bool = True) -> dict[str, Any]:
    """What to write into `tokenizer_config.json`, beside the class.

    token_types : False for a model that has none
    """
    options = tokenizer_options(tokenizer)
    kept = {name: options[name] for name in _KEPT if name in options}
    if options.get("additional_special_tokens"):
        kept["additional_special_tokens"] = options["additional_special_tokens"]
    names = input_names(tokenizer, options)
    kept["model_input_names"] = [n for n in names if token_types or n != "token_type_ids"]
    refused = dict.fromkeys(_known_roles(tokenizer))  # None: a reader would take the family's
    roles = role_tokens(tokenizer, options).items()
    return {**kept, **refused, **{role: token for role, token in roles if _has(tokenizer)(token)}}


def _known_roles(tokenizer: Tokenizer) -> dict[str, str | None]:
    """The roles of the first family that fits the vocabulary."""
    for needed, roles in _FAMILIES:
        if all(map(_has(tokenizer), needed)):
            return {role: token for role, token in roles.items() if _has(tokenizer)(token)}
    return {}


def _class_of(options: Mapping[str, Any]) -> str:
    return str(options.get("tokenizer_class", "")).removesuffix("Fast")


def _has(tokenizer: Tokenizer) -> Callable[[str], bool]:
    return lambda token: tokenizer.token_to_id(token) is not None


def _id_of(tokenizer: Tokenizer, token: str, role: str) -> int | None:
    found = tokenizer.token_to_id(token)
    if found is None:
        warn_once(f"{role}: {shown(token)} is not in the tokenizer's vocabulary; left out")
    return found


def token_text(entry: Any) -> str | None:
    """The text of a token as files spell it: a text, or an object with its `content`."""
    text = entry.get("content") if isinstance(entry, dict) else entry
    return text if isinstance(text, str) else None


def _read_if_there(path: Path) -> dict[str, Any]:
    return read_json(path) if os.path.lexists(path) else {}


def _checked(raw: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """`raw` under version 4 names, or CheckpointError for a value of the wrong kind."""

    def check(name: str, fits: bool, wanted: str) -> None:
        if not fits:
            got = shown(raw[name])
            raise CheckpointError(f"{directory}: tokenizer: {name}: got {got}, expected {wanted}")

    options = dict(raw)
    for role in ROLES:
        check(role, raw.get(role) is None or token_text(raw[role]) is not None, "a text")
    for name in ("extra_special_tokens", "additional_special_tokens"):  # version 5, version 4
        tokens = options.pop(name, None) or []
        tokens = list(tokens.values()) if isinstance(tokens, dict) else tokens
        check(name, isinstance(tokens, list), "a list of texts")
        check(name, all(token_text(token) is not None for token in tokens), "a list of texts")
        if tokens:
            options["additional_special_tokens"] = [token_text(token) for token in tokens]
    limit = options.pop("model_max_length", None)
    check("model_max_length", limit is None or _is_positive(limit), "a positive number")
    if limit is not None and limit < _UNLIMITED:
        options["model_max_length"] = int(limit)
    for name in ("padding_side", "truncation_side"):
        check(name, options.get(name, "right") in ("right", "left"), "'right' or 'left'")
    names = options.get("model_input_names", ["input_ids"])
    texts = isinstance(names, list) and all(isinstance(name, str) for name in names)
    check("model_input_names", texts and "input_ids" in names, "a list with 'input_ids'")
    template = raw.get("chat_template")
    check("chat_template", _is_template(template), "a text, or a list of named ones")
    kind = options.get("tokenizer_class")
    check("tokenizer_class", kind is None or isinstance(kind, str), "a text")
    return options


def _is_template(given: Any) -> bool:
    """Whether this is a chat template: none, a text, or a list of objects with name and template.

    `data.chat_template.source_of` finds the one to use.
    """
    if not isinstance(given, list):
        return given is None or isinstance(given, str)
    named = [entry for entry in given if isinstance(entry, dict)]
    texts = [entry.get(key) for entry in named for key in ("name", "template")]
    return len(named) == len(given) and all(isinstance(text, str) for text in texts)


def _is_positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 1
