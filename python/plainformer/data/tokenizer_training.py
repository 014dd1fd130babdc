"""Tokenizers trained on text, with the special tokens that an objective needs.

    objective       bpe:SIZE                              wordpiece:SIZE
    clm             <|endoftext|> (GPT-2)                 [PAD] [UNK] [CLS] [SEP] [MASK] (BERT)
    mlm, denoise    <s> <pad> </s> <unk> <mask> (RoBERTa) as clm
    span            <pad> </s> <unk>, sentinels (T5)      as clm, and sentinels

Characters have bytes for clm, of which every other character is made (byte fallback, as Llama 2's),
and BERT's special tokens, [UNK] among them, for the others. Special tokens take the first ids, the
sentinels `<extra_id_99>` to `<extra_id_0>` the last ones. SIZE counts them. Training is
deterministic: the same texts give the same file. WordPiece puts `[CLS]` and `[SEP]` around a text,
but not for clm, whose texts go on.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    pre_tokenizers,
    processors,
    trainers,
)

from ..errors import ConfigError, DataError
from .special_tokens import BERT_TOKENS, END_OF_TEXT, remember_options
from .vocab_files import enclose, wordpiece

ROBERTA_TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
T5_TOKENS = ["<pad>", "</s>", "<unk>"]
SENTINELS = [f"<extra_id_{i}>" for i in range(100)]
ALPHABET = 256  # byte-level BPE starts from every byte
BYTES = [f"<0x{byte:02X}>" for byte in range(ALPHABET)]  # byte fallback's names
_log = logging.getLogger("plainformer")

_BPE_TOKENS = {
    "clm": [END_OF_TEXT],
    "mlm": ROBERTA_TOKENS,
    "denoise": ROBERTA_TOKENS,
    "span": T5_TOKENS,
}


def train_char(
    texts: Iterable[str], vocab_size: int | None = None, objective: str = "clm"
) -> Tokenizer:
    """One token a character that occurs, in code-point order; with `vocab_size` of the most
    frequent ones.

    For clm 256 tokens for bytes, `<0x00>` to `<0xFF>`, stand behind the characters, and another
    character is its UTF-8: any text can be read and written, and what it costs is what it costs to
    write it. The other objectives have BERT's special tokens before the characters, and another
    character is `[UNK]`.

    Raises
    ------
    ConfigError : vocab_size too small for these and a character
    DataError : no text
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    if not counts:
        raise DataError("tokenizer: got no text to train on")
    if objective == "clm":
        vocab = _numbered([*_kept(counts, vocab_size, len(BYTES), "bytes"), *BYTES])
        tokenizer = _characters(Tokenizer(models.BPE(vocab, [], byte_fallback=True)))
        tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
        return _finish(tokenizer, [], vocab_size or len(vocab))
    sentinels = _sentinels(objective)
    kept = _kept(counts, vocab_size, len(BERT_TOKENS) + len(sentinels), "special tokens")
    vocab = _numbered([*BERT_TOKENS, *kept])
    tokenizer = _characters(Tokenizer(models.WordLevel(vocab, unk_token="[UNK]")))
    tokenizer.add_special_tokens(BERT_TOKENS)
    enclose(tokenizer, "[CLS]", "[SEP]")
    return _finish(tokenizer, sentinels, vocab_size or len(vocab) + len(sentinels))


def _kept(counts: Counter[str], vocab_size: int | None, others: int, what: str) -> list[str]:
    """The characters in code-point order: of a vocabulary with `others` the most frequent ones."""
    if vocab_size is None:
        return sorted(counts)
    if vocab_size <= others:
        raise ConfigError(
            f"tokenizer: got char:{vocab_size}, expected at least {others + 1} for the {what} and "
            "a character"
        )
    return sorted(sorted(counts, key=lambda c: (-counts[c], c))[: vocab_size - others])


def _characters(tokenizer: Tokenizer) -> Tokenizer:
    """Let every character be a word, and texts be their characters again."""
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return tokenizer


def _numbered(tokens: Iterable[str]) -> dict[str, int]:
    return {token: i for i, token in enumerate(tokens)}


def train_bpe(texts: Iterable[str], vocab_size: int, objective: str = "clm") -> Tokenizer:
    """Byte-level BPE of at most `vocab_size` tokens: special tokens, 256 bytes and merges.

    Sennrich, Haddow, Birch, "Neural Machine Translation of Rare Words with Subword Units",
    arXiv:1508.07909; on bytes: Radford and others, "Language Models are Unsupervised Multitask
    Learners", 2019.

    Raises
    ------
    ConfigError : vocab_size has no room for the special tokens and the bytes
    """
    special, sentinels = _BPE_TOKENS[objective], _sentinels(objective)
    _check_size("bpe", vocab_size, len(special) + ALPHABET + len(sentinels), "bytes")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(sentinels),
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if special is ROBERTA_TOKENS:
        _frame(tokenizer, "<s> $A </s>", "<s> $A </s> </s> $B </s>", {"<s>": 0, "</s>": 2})
        # The space before a mask belongs to the word that it hides.
        tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    elif special is T5_TOKENS:
        _frame(tokenizer, "$A </s>", "$A </s> $B </s>", {"</s>": 1})
    return _finish(tokenizer, sentinels, vocab_size)


def train_wordpiece(texts: Iterable[str], vocab_size: int, objective: str = "mlm") -> Tokenizer:
    """WordPiece of at most `vocab_size` tokens on lower-cased words, as BERT's uncased models.

    Devlin and others, "BERT", arXiv:1810.04805.

    Raises
    ------
    ConfigError : vocab_size has no room for the special tokens and the letters of the texts
    """
    if iter(texts) is texts:  # a generator gives its texts once; they are needed twice
        texts = list(texts)
    sentinels = _sentinels(objective)
    tokenizer = wordpiece({})
    # The library numbers letters in the order of a hash table, anew in each process; naming them
    # as special tokens fixes their ids, and with them every tie between merges.
    letters = _letters(tokenizer, texts)
    fixed = [*BERT_TOKENS, *letters]
    _check_size("wordpiece", vocab_size, len(fixed) + len(sentinels), "letters of this text")
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size - len(sentinels), special_tokens=fixed, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer = wordpiece(tokenizer.get_vocab())  # its letters are no special tokens
    tokenizer.add_special_tokens(BERT_TOKENS)
    if objective != "clm":  # a prompt goes on, so nothing may end it
        enclose(tokenizer, "[CLS]", "[SEP]")
    return _finish(tokenizer, sentinels, vocab_size)


def _sentinels(objective: str) -> list[str]:
    """In the order of their ids: T5 counts down to `<extra_id_0>`, the last of the vocabulary."""
    return SENTINELS[::-1] if objective == "span" else []


def _check_size(kind: str, got: int, least: int, what: str) -> None:
    if got < least:
        raise ConfigError(
            f"tokenizer: got {kind}:{got}, expected at least {least} for the special tokens and "
            f"the {what}"
        )


def _frame(tokenizer: Tokenizer, single: str, pair: str, ids: dict[str, int]) -> None:
    """The special tokens that `encode` puts around one text and around two."""
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=list(ids.items())
    )


def _finish(tokenizer: Tokenizer, sentinels: list[str], wanted: int) -> Tokenizer:
    if sentinels:
        tokenizer.add_special_tokens(sentinels)
        remember_options(tokenizer, {"additional_special_tokens": SENTINELS})
    got = tokenizer.get_vocab_size()
    if got < wanted:
        _log.info("tokenizer: the text gave %d tokens of the %d asked for", got, wanted)
    return tokenizer


def _letters(tokenizer: Any, texts: Iterable[str]) -> list[str]:
    """Sorted: letters that begin a word, then those inside one, as `##x`."""
    first, inside = set(), set()
    for text in texts:
        plain = tokenizer.normalizer.normalize_str(text)
        for word in {word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(plain)}:
            first.add(word[0])
            inside.update(word[1:])
    return [*sorted(first), *(f"##{letter}" for letter in sorted(inside))]
