"""Tokenizers from the files that came before `tokenizer.json`.

    vocab.txt                    WordPiece, as BERT and DistilBERT: a token a line
    vocab.json and merges.txt    byte-level BPE, as GPT-2, RoBERTa, BART and Qwen2
    sentencepiece.bpe.model      pieces of a unigram model, as XLM-RoBERTa, see `sentencepiece.py`

The files do not say how text is split before; the class in `tokenizer_config.json` does, or the
model's type in `config.json`, or, without both, the special tokens in the vocabulary. A class that
we do not know is an error: guessed splitting would give wrong ids without a word.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from ..checkpoints.files import read_json, read_text
from ..errors import CheckpointError, listed, shown
from ._library import library_errors
from .sentencepiece import SENTENCEPIECE, xlm_roberta
from .special_tokens import ROLES, role_tokens, token_text

VOCAB_TXT = "vocab.txt"
VOCAB_JSON = "vocab.json"
MERGES = "merges.txt"
ADDED_TOKENS = "added_tokens.json"
MAX_VOCAB = 1 << 24  # ids; the largest vocabularies have 2**18
_FLAGS = {  # with their defaults
    "do_lower_case": True,
    "strip_accents": None,
    "tokenize_chinese_chars": True,
    "add_prefix_space": False,
    "trim_offsets": True,
    "add_bos_token": False,
    "add_eos_token": False,
}
_SENTENCEPIECE = (".model", ".spm")
_KINDS = {  # by the class of the tokenizer, and by the type of the model
    "BertTokenizer": "wordpiece", "DistilBertTokenizer": "wordpiece",
    "ElectraTokenizer": "wordpiece", "GPT2Tokenizer": "gpt2", "RobertaTokenizer": "roberta",
    "BartTokenizer": "roberta", "Qwen2Tokenizer": "qwen2",
    "bert": "wordpiece", "distilbert": "wordpiece", "electra": "wordpiece", "gpt2": "gpt2",
    "roberta": "roberta", "bart": "roberta", "qwen2": "qwen2",
    "XLMRobertaTokenizer": "xlm-roberta", "xlm-roberta": "xlm-roberta",
}  # fmt: skip
_ANY_CLASS = {"PreTrainedTokenizer", "PreTrainedTokenizerFast", "TokenizersBackend"}
# How Qwen2 cuts text before the merges, from its tokenizer.json.
_QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def from_vocab_files(
    directory: Path, options: Mapping[str, Any], config: Mapping[str, Any] | None = None
) -> Tokenizer:
    """Build the tokenizer of a directory without `tokenizer.json`; `options`: `read_options`.

    config : the contents of `config.json`, where they have been read

    Raises
    ------
    CheckpointError : no such files, a damaged one, a SentencePiece model, or an unknown class
    """
    kind = _kind(directory, options, config)
    _check_flags(directory, options)
    with library_errors(lambda text: CheckpointError(f"{directory}: not a tokenizer: {text}")):
        if kind == "wordpiece":
            return _wordpiece_from(directory / VOCAB_TXT, options)
        if kind == "xlm-roberta":
            return _xlm_roberta_from(directory / SENTENCEPIECE, options)
        return _byte_level_from(directory, kind, options)


def wordpiece(
    vocab: dict[str, int],
    unk_token: str = "[UNK]",
    *,
    lowercase: bool = True,
    strip_accents: bool | None = None,
    handle_chinese_chars: bool = True,
) -> Tokenizer:
    """BERT's splitting and WordPiece, without special tokens; the defaults are BERT uncased's."""
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token=unk_token))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=handle_chinese_chars,
        strip_accents=strip_accents,
        lowercase=lowercase,
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def enclose(tokenizer: Tokenizer, cls_token: str, sep_token: str) -> None:
    """Put BERT's `[CLS] A [SEP] B [SEP]` around texts; B and what follows are of type 1."""
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls_token} $A {sep_token}",
        pair=f"{cls_token} $A {sep_token} $B:1 {sep_token}:1",
        special_tokens=_with_ids(tokenizer, cls_token, sep_token),
    )


def _kind(directory: Path, options: Mapping[str, Any], config: Mapping[str, Any] | None) -> str:
    """wordpiece, gpt2, roberta, qwen2 or xlm-roberta."""
    files = (VOCAB_TXT, VOCAB_JSON, MERGES)
    present = {name for name in files if os.path.lexists(directory / name)}
    named = _named_kind(directory, options, config)
    if named is not None and named not in _KINDS and present:
        raise CheckpointError(
            f"{directory}: tokenizer: got {shown(named)} without tokenizer.json, expected one of "
            f"{', '.join(_KINDS)}; save it with transformers as tokenizer.json"
        )
    kind = None if named is None else _KINDS.get(named)
    if VOCAB_TXT in present and kind in (None, "wordpiece"):
        return "wordpiece"
    if kind == "xlm-roberta" and os.path.lexists(directory / SENTENCEPIECE):
        return kind
    if {VOCAB_JSON, MERGES} <= present and kind not in ("wordpiece", "xlm-roberta"):
        return kind or "byte-level"
    raise CheckpointError(f"{directory}: {_why_none(directory)}")


def _named_kind(
    directory: Path, options: Mapping[str, Any], config: Mapping[str, Any] | None
) -> str | None:
    """The class or the model's type that the files name, if they do."""
    path = directory / "config.json"
    if config is None:
        config = read_json(path) if os.path.lexists(path) else {}
    for name in (options.get("tokenizer_class"), config.get("tokenizer_class")):
        if name is not None and str(name) not in _ANY_CLASS:
            return str(name).removesuffix("Fast")
    kind = config.get("model_type")
    return None if kind is None else str(kind)


def _why_none(directory: Path) -> str:
    try:
        names = sorted(os.listdir(directory))
    except OSError as error:
        return f"no tokenizer: cannot be read: {error.strerror}"
    pieces = [name for name in names if name.endswith(_SENTENCEPIECE)]
    if pieces:
        return (
            f"holds a SentencePiece model only ({shown(pieces)}), which is read of XLM-RoBERTa "
            f"alone, as {SENTENCEPIECE}; convert it to tokenizer.json: transformers' AutoTokenizer "
            "reads it, save_pretrained writes that"
        )
    return (
        f"no tokenizer: expected tokenizer.json, or {VOCAB_TXT} (WordPiece), or {VOCAB_JSON} and "
        f"{MERGES} (BPE)"
    )


def _wordpiece_from(path: Path, options: Mapping[str, Any]) -> Tokenizer:
    for name, harmless in (("do_basic_tokenize", True), ("never_split", [])):
        value = options.get(name)
        if value is not None and value != harmless:
            raise CheckpointError(
                f"{path}: {name}: got {shown(value)}, only {shown(harmless)} is supported"
            )
    lines = _lines(path)
    _check_size(path, len(lines) - 1)
    tokenizer = wordpiece(
        {token: i for i, token in enumerate(lines)},
        token_text(options.get("unk_token")) or "[UNK]",
        lowercase=_flag(options, "do_lower_case"),
        strip_accents=_flag(options, "strip_accents"),
        handle_chinese_chars=_flag(options, "tokenize_chinese_chars"),
    )
    roles = _add_tokens(tokenizer, path.parent, options)
    _require(path, roles, "unk_token", "cls_token", "sep_token")
    enclose(tokenizer, roles["cls_token"], roles["sep_token"])
    return tokenizer


def _xlm_roberta_from(path: Path, options: Mapping[str, Any]) -> Tokenizer:
    tokenizer = xlm_roberta(path)
    _check_size(path, tokenizer.get_vocab_size() - 1)
    roles = _add_tokens(tokenizer, path.parent, options)
    _require(path, roles, "cls_token", "sep_token")
    cls, sep = roles["cls_token"], roles["sep_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {sep} {sep} $B {sep}",
        special_tokens=_with_ids(tokenizer, *dict.fromkeys((cls, sep))),
    )
    return tokenizer


def _byte_level_from(directory: Path, kind: str, options: Mapping[str, Any]) -> Tokenizer:
    model = models.BPE(
        vocab=_read_vocab_json(directory / VOCAB_JSON),
        merges=_read_merges(directory / MERGES),
        continuing_subword_prefix="",
        end_of_word_suffix="",
        fuse_unk=False,
    )
    tokenizer = Tokenizer(model)
    prefix = _flag(options, "add_prefix_space")
    tokenizer.decoder = decoders.ByteLevel()
    if kind == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(_QWEN2), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=False),
            ]
        )
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    roles = _add_tokens(tokenizer, directory, options)
    if kind == "roberta" or (kind == "byte-level" and {"cls_token", "sep_token"} <= roles.keys()):
        _require(directory / VOCAB_JSON, roles, "cls_token", "sep_token")
        sep, cls = _with_ids(tokenizer, roles["sep_token"], roles["cls_token"])
        trim = _flag(options, "trim_offsets")
        tokenizer.post_processor = processors.RobertaProcessing(sep, cls, trim, prefix)
    else:
        _add_ends(tokenizer, roles, options)
    return tokenizer


def _add_ends(tokenizer: Tokenizer, roles: Mapping[str, str], options: Mapping[str, Any]) -> None:
    """Begin and end texts with the tokens for it where the options ask for that."""
    ends = [("add_bos_token", "bos_token"), ("add_eos_token", "eos_token")]
    bos, eos = (roles.get(role) if _flag(options, flag) else None for flag, role in ends)
    used = {token for token in (bos, eos) if token}
    if not used:
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
        return
    single, second = (" ".join(t for t in (bos, text, eos) if t) for text in ("$A", "$B"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=f"{single} {second}", special_tokens=_with_ids(tokenizer, *sorted(used))
    )


def _add_tokens(
    tokenizer: Tokenizer, directory: Path, options: Mapping[str, Any]
) -> dict[str, str]:
    """Add the tokens that files list beside the vocabulary, and the special ones by role."""
    for wanted, token in sorted(_listed_tokens(directory, options).items()):
        (tokenizer.add_special_tokens if token.special else tokenizer.add_tokens)([token])
        got = tokenizer.token_to_id(token.content)
        if got != wanted:
            raise CheckpointError(
                f"{directory}: the added token {shown(token.content)} has id {wanted}, but the "
                f"vocabulary gives it {got}"
            )
    known = tokenizer.get_vocab(with_added_tokens=True)
    roles = {role: t for role, t in role_tokens(tokenizer, options).items() if t in known}
    special = [_special(options.get(role), role, token) for role, token in roles.items()]
    extra = [t for t in options.get("additional_special_tokens", []) if t in known]
    tokenizer.add_special_tokens([*special, *(AddedToken(t, special=True) for t in extra)])
    return roles


def _with_ids(tokenizer: Tokenizer, *tokens: str) -> list[tuple[str, Any]]:
    return [(token, tokenizer.token_to_id(token)) for token in tokens]


def _special(entry: Any, role: str, token: str) -> AddedToken:
    """A special token with the options of its entry, if that has any."""
    if isinstance(entry, dict):
        return _added_token({**entry, "special": True})
    # RoBERTa learnt `<mask>` as the space before a word too.
    return AddedToken(token, lstrip=token == "<mask>" and role == "mask_token", special=True)


def _listed_tokens(directory: Path, options: Mapping[str, Any]) -> dict[int, AddedToken]:
    """Id to token: of `added_tokens_decoder` (since 4.34), else of `added_tokens.json`."""
    listed = options.get("added_tokens_decoder")
    if listed is None:
        path = directory / ADDED_TOKENS
        before = read_json(path) if os.path.lexists(path) else {}
        roles = {token_text(options.get(role)) for role in ROLES}
        roles |= set(options.get("additional_special_tokens", []))
        listed = {i: {"content": t, "special": t in roles} for t, i in before.items()}
    try:
        return {int(i): _added_token(entry) for i, entry in listed.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{directory}: added tokens: {error}") from error


def _added_token(entry: Mapping[str, Any]) -> AddedToken:
    content, special = entry["content"], bool(entry.get("special", False))
    if not isinstance(content, str) or not content:
        raise ValueError(f"got {shown(content)}, expected a text")
    flags = {k: bool(entry.get(k, False)) for k in ("lstrip", "rstrip", "single_word")}
    normalized = bool(entry.get("normalized", not special))
    return AddedToken(content, **flags, normalized=normalized, special=special)


def _require(path: Path, roles: Mapping[str, str], *needed: str) -> None:
    missing = [role for role in needed if role not in roles]
    if missing:
        raise CheckpointError(f"{path}: the vocabulary has no token for {listed(missing)}")


def _check_flags(directory: Path, options: Mapping[str, Any]) -> None:
    for name in _FLAGS:
        if not isinstance(options.get(name), (bool, type(None))):
            got = shown(options[name])
            raise CheckpointError(f"{directory}: {name}: got {got}, expected true or false")


def _flag(options: Mapping[str, Any], name: str) -> Any:
    value = options.get(name)
    return _FLAGS[name] if value is None else value


def _lines(path: Path) -> list[str]:
    """Lines as Python's text mode cuts them; other line separators may be tokens."""
    text = read_text(path).replace("\r\n", "\n").replace("\r", "\n")
    return text.removesuffix("\n").split("\n")


def _read_vocab_json(path: Path) -> dict[str, int]:
    vocab = read_json(path)
    if not vocab or not all(type(i) is int and i >= 0 for i in vocab.values()):
        raise CheckpointError(f"{path}: expected an object of token to id, at least one")
    _check_size(path, max(vocab.values()))
    if len(set(vocab.values())) < len(vocab):
        raise CheckpointError(f"{path}: two tokens have the same id")
    return vocab


def _check_size(path: Path, largest: int) -> None:
    if largest >= MAX_VOCAB:
        raise CheckpointError(f"{path}: got the id {largest}, expected less than {MAX_VOCAB}")


def _read_merges(path: Path) -> list[tuple[str, str]]:
    merges = []
    for number, line in enumerate(_lines(path), 1):
        if not line or line.startswith("#version"):
            continue
        left, _, right = line.partition(" ")
        if not left or not right or " " in right:
            raise CheckpointError(f"{path}:{number}: got {shown(line)}, expected two tokens")
        merges.append((left, right))
    return merges
