"""Words, sentences and special tokens of the kinds of tokenizers that there are."""

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from plainformer.data.decoding import byte_letters
from plainformer.data.objectives.vocabulary import Vocabulary
from plainformer.data.tokenizer import train_bpe
from plainformer.errors import ConfigError

from .tokenizers import ids_of, tokenizer, vocabulary


def words_of(kind, text):
    """The tokens of `text` cut where words begin."""
    vocab = vocabulary(kind, "mlm")
    ids = ids_of(kind, "mlm", text)
    cuts = np.flatnonzero(vocab.word_starts(ids))[1:]
    return [tokenizer(kind, "mlm").decode(part.tolist()) for part in np.split(ids, cuts)]


def test_words_of_byte_level_tokens_begin_with_white_space():
    text = "We proceed\nfurther,  speak\u00e0 re"
    words = words_of("bpe", text)
    assert [w.strip() for w in words if w.strip()] == [
        "We",
        "proceed",
        "further,",
        "speak\u00e0",
        "re",
    ]
    assert "".join(words) == text


def test_words_of_wordpiece():
    assert words_of("wordpiece", "we proceeded, re") == ["we", "proceeded", ",", "re"]


def test_words_of_metaspace_and_of_word_ends():
    tokens = {"\u2581we": 0, "\u2581": 1, "sp": 2, "eak": 3, "<unk>": 4}
    meta = Tokenizer(models.BPE(tokens, [], unk_token="<unk>"))
    meta.pre_tokenizer, meta.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    starts = Vocabulary.of(meta).word_starts(np.array([0, 1, 2, 3, 0]))
    assert starts.tolist() == [True, True, True, False, True]  # nothing but a space ends a word
    ends = Tokenizer(models.BPE({"w": 0, "e</w>": 1}, [], end_of_word_suffix="</w>"))
    assert Vocabulary.of(ends).word_starts(np.array([0, 1, 0, 0, 1])).tolist() == [
        True, False, True, False, False,
    ]  # fmt: skip


def test_special_tokens_are_words_of_their_own():
    vocab = vocabulary("wordpiece", "mlm")
    letters = ids_of("wordpiece", "mlm", "proceeded")
    assert len(letters) > 1
    inside = letters[1]
    sep = tokenizer("wordpiece", "mlm").token_to_id("[SEP]")
    assert vocab.word_starts(np.array([letters[0], sep, inside, inside])).tolist() == [
        True, True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
def test_sentence_ends(kind):
    vocab, text = vocabulary(kind, "denoise"), "We speak. Hear me? All! So, we"
    ids = ids_of(kind, "denoise", text)
    ends = np.flatnonzero(vocab.ends_sentence[ids])
    decoded = [tokenizer(kind, "denoise").decode([int(ids[i])]).strip()[-1] for i in ends]
    assert decoded == [".", "?", "!"]


def test_chinese_sentences_end_at_the_byte_level():
    tokenizer = train_bpe(["\u597d\u3002" * 50], 300, "denoise")
    ids = np.array(tokenizer.encode("\u597d\u3002\u597d\u3002", add_special_tokens=False).ids)
    assert Vocabulary.of(tokenizer).ends_sentence[ids].any()


@pytest.mark.parametrize(
    ("kind", "objective", "prefix", "suffix"),
    [
        ("bpe", "clm", [], []),
        ("bpe", "mlm", ["<s>"], ["</s>"]),
        ("bpe", "span", [], ["</s>"]),
        ("wordpiece", "mlm", ["[CLS]"], ["[SEP]"]),
        ("char", "clm", [], []),
    ],
)
def test_the_frame_is_what_encode_adds(kind, objective, prefix, suffix):
    vocab, known = vocabulary(kind, objective), tokenizer(kind, objective)
    assert [known.id_to_token(int(i)) for i in vocab.prefix] == prefix
    assert [known.id_to_token(int(i)) for i in vocab.suffix] == suffix
    whole = known.encode("speak").ids
    assert whole == [*vocab.prefix, *ids_of(kind, objective, "speak"), *vocab.suffix]


def test_special_and_ordinary_ids_part_the_vocabulary():
    for kind, objective in (("bpe", "mlm"), ("wordpiece", "span"), ("bpe", "span")):
        vocab = vocabulary(kind, objective)
        assert sorted([*np.flatnonzero(vocab.special), *vocab.ordinary]) == list(range(vocab.size))
        assert len(vocab.sentinels) == (100 if objective == "span" else 0)
        assert vocab.special[vocab.sentinels].all()
    span = vocabulary("bpe", "span")
    assert span.sentinels.tolist() == list(range(span.size - 1, span.size - 101, -1))


def test_byte_letters_are_the_librarys():
    assert byte_letters().keys() == set(pre_tokenizers.ByteLevel.alphabet())
    assert sorted(byte_letters().values()) == list(range(256))


def test_a_missing_mask_token_is_said():
    with pytest.raises(ConfigError, match="no mask token, which objective mlm"):
        vocabulary("char", "clm").need_mask("mlm")
