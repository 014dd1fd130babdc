"""TextEncoder and the padding collator: cuts, windows, words, and what it never touches."""

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from plainformer.data.batches import collate
from plainformer.data.encoding import TextEncoder, share_vocabulary
from plainformer.data.tokenizer import read_tokenizer, train_bpe, train_char, train_wordpiece
from plainformer.errors import ConfigError, DataError, DTypeError, ShapeError

from .tokenizer_files import TEXTS, characters_alone, write_bpe, write_roberta

TEXT = "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak, speak.\n" * 20
BERT = TextEncoder(train_wordpiece([TEXT], 90))
GPT2 = TextEncoder(train_bpe([TEXT], 300))
CLS, SEP = 2, 3


def tokens(encoder, encoded):
    return [encoder.tokenizer.id_to_token(int(i)) for i in encoded.input_ids]


def test_a_text():
    (encoded,) = BERT.encode(["Speak, we"], return_offsets=True)
    assert tokens(BERT, encoded) == ["[CLS]", "speak", ",", "we", "[SEP]"]
    assert encoded.token_type_ids.tolist() == [0] * 5
    assert encoded.sequence_ids.tolist() == [-1, 0, 0, 0, -1]
    assert encoded.word_ids.tolist() == [-1, 0, 1, 2, -1]
    assert encoded.offsets.tolist() == [[0, 0], [0, 5], [5, 6], [7, 9], [0, 0]]
    assert (encoded.index, len(encoded)) == (0, 5)
    kinds = {f.name: getattr(encoded, f.name) for f in dataclasses.fields(encoded)}
    assert all(a.dtype == np.int32 for a in kinds.values() if isinstance(a, np.ndarray))


def test_a_pair():
    (encoded,) = BERT.encode(["we"], ["me speak"])
    assert tokens(BERT, encoded) == ["[CLS]", "we", "[SEP]", "me", "speak", "[SEP]"]
    assert encoded.token_type_ids.tolist() == [0, 0, 0, 1, 1, 1]
    assert encoded.sequence_ids.tolist() == [-1, 0, -1, 1, 1, -1]
    assert encoded.word_ids is encoded.offsets is None


def test_nothing_to_encode():
    assert BERT.encode([]) == []
    assert tokens(BERT, BERT.encode([""])[0]) == ["[CLS]", "[SEP]"]
    assert len(GPT2.encode([""])[0]) == 0
    assert tokens(BERT, BERT.encode([[]], is_split_into_words=True)[0]) == ["[CLS]", "[SEP]"]


def test_without_special_tokens():
    assert tokens(BERT, BERT.encode(["we speak"], add_special_tokens=False)[0]) == ["we", "speak"]
    assert len(BERT.encode(["we speak"], add_special_tokens=False, max_length=1)[0]) == 1


@pytest.mark.parametrize(
    ("truncation", "expected"),
    [
        ("longest_first", ["[CLS]", "we", "we", "[SEP]", "me", "me", "[SEP]"]),
        (True, ["[CLS]", "we", "we", "[SEP]", "me", "me", "[SEP]"]),
        ("only_first", ["[CLS]", "we", "[SEP]", "me", "me", "me", "[SEP]"]),
        ("only_second", ["[CLS]", "we", "we", "we", "[SEP]", "me", "[SEP]"]),
    ],
)
def test_truncation_of_pairs(truncation, expected):
    options = {"max_length": 7, "truncation": truncation}
    assert tokens(BERT, BERT.encode(["we we we"], ["me me me"], **options)[0]) == expected
    whole = BERT.encode(["we we we"], ["me me me"], max_length=7, truncation=False)
    assert len(whole[0]) == 9


def test_the_models_limit_is_the_default():
    short = TextEncoder(BERT.tokenizer, dataclasses.replace(BERT.special, model_max_length=4))
    assert len(short.encode(["we we we we"])[0]) == 4
    assert len(short.encode(["we we we we"], max_length=5)[0]) == 5
    assert len(short.encode(["we we we we"], truncation=False)[0]) == 6
    assert len(BERT.encode(["we " * 5000])[0]) == 5002


def test_truncation_side():
    left = TextEncoder(BERT.tokenizer, dataclasses.replace(BERT.special, truncation_side="left"))
    assert tokens(left, left.encode(["we me speak"], max_length=3)[0]) == [
        "[CLS]",
        "speak",
        "[SEP]",
    ]


@settings(deadline=None)
@given(st.integers(3, 12), st.integers(0, 11), st.integers(0, 30))
def test_windows_cover_every_token_and_overlap_by_the_stride(max_length, stride, count):
    text = " ".join(f"{'we' if i % 2 else 'me'} speak" for i in range(count))
    if stride >= max_length - 2:
        with pytest.raises(ConfigError, match=f"stride: got {stride}, .* less than the"):
            BERT.encode([text], max_length=max_length, stride=stride)
        return
    windows = BERT.encode(["we", text], max_length=max_length, stride=stride, return_offsets=True)
    assert [w.index for w in windows] == [0] + [1] * (len(windows) - 1)
    whole = BERT.encode([text])[0].input_ids[1:-1].tolist()
    joined = windows[1].input_ids[1:-1].tolist()
    for before, window in pairwise(windows[1:]):
        assert len(before) == max_length
        overlap = window.input_ids[1 : 1 + stride].tolist()
        assert before.input_ids[1:-1].tolist()[len(before) - 2 - stride :] == overlap
        joined += window.input_ids[1 + stride : -1].tolist()
    assert joined == whole
    for window in windows[1:]:
        spans = window.offsets[1:-1].tolist()
        assert [text[a:b] for a, b in spans] == tokens(BERT, window)[1:-1]


def test_windows_of_a_pair():
    windows = BERT.encode(
        ["we", "me"], ["speak " * 6, "we"], max_length=7, truncation="only_second", stride=1
    )
    assert [w.index for w in windows] == [0, 0, 0, 1]
    assert all(tokens(BERT, w)[:3] == ["[CLS]", "we", "[SEP]"] for w in windows[:3])
    assert [int((w.sequence_ids == 1).sum()) for w in windows] == [3, 3, 2, 1]


def test_a_question_that_leaves_no_room_is_named():
    options = {"max_length": 8, "truncation": "only_second", "stride": 2}
    message = (
        r"texts\[1\]: got 4 tokens, which leave 1 of max_length 8 for pairs\[1\], "
        "expected more than the stride, 2; cut it first"
    )
    with pytest.raises(DataError, match=message):
        BERT.encode(["we", "we we we we"], ["me", "me me me"], **options)
    assert len(BERT.encode(["we we we we"], ["me"], **options)) == 1  # there is room for all of it
    message = r"pairs\[0\]: got 9 tokens, which leave 0 of max_length 8 for texts\[0\]"
    with pytest.raises(DataError, match=message):
        BERT.encode(["me"], ["we " * 9], max_length=8, truncation="only_first")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 2}, "max_length: got 2, expected more than the 2 special tokens"),
        ({"max_length": -1}, "max_length: got -1"),
        ({"truncation": "longest"}, "truncation: got 'longest', expected one of 'longest_first'"),
        ({"truncation": None}, "truncation: got None"),
        ({"truncation": "only_second"}, "'only_second' needs pairs"),
        ({"stride": 1}, "stride: got 1, but nothing is cut; give max_length"),
        ({"stride": 1, "max_length": 9, "truncation": False}, "but nothing is cut"),
        ({"stride": -1, "max_length": 9}, "stride: got -1, expected at least 0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ConfigError, match=message):
        BERT.encode(["we"], **options)


def test_windows_of_both_texts_at_once_are_refused():
    with pytest.raises(ConfigError, match="stride: pairs need truncation='only_first' or"):
        BERT.encode(["we"], ["me"], max_length=9, stride=1)


@pytest.mark.parametrize(
    ("texts", "pairs", "words", "error", "message"),
    [
        ("we", None, False, DTypeError, "texts: got str, expected a list of strings"),
        (["we", 3], None, False, DTypeError, r"texts\[1\]: got int, expected strings"),
        (["we"], "me", False, DTypeError, "pairs: got str, expected a list"),
        (["we"], [], False, ShapeError, "pairs: got 0, expected 1"),
        (["we me"], None, True, DTypeError, r"texts\[0\]: got str, expected lists of words"),
        ([["we", 3]], None, True, DTypeError, r"texts\[0\]: got list, expected lists of words"),
        ([["we"]], None, False, DTypeError, r"texts\[0\]: got list, expected strings"),
    ],
)
def test_bad_texts(texts, pairs, words, error, message):
    with pytest.raises(error, match=message):
        BERT.encode(texts, pairs, is_split_into_words=words)


def test_what_the_tokenizer_cannot_write_is_a_data_error():
    message = r"texts\[1\]: 'aé' cannot be encoded: the vocabulary has no 'é', and no token for"
    encoder = TextEncoder(characters_alone("ab"))
    with pytest.raises(DataError, match=message):
        encoder.encode(["ab", "aé"])
    with pytest.raises(DataError, match=message):
        encoder.encode([["a", "b"], ["a", "é"]], is_split_into_words=True)
    with pytest.raises(DataError, match=r"texts\[0\]: 'aéb' cannot be encoded"):
        encoder.encode(["aé"], ["b"])


def test_ids_that_no_model_has_are_a_data_error():
    state = json.loads(BERT.tokenizer.to_str())
    state["post_processor"]["special_tokens"]["[CLS]"]["ids"] = [2**32 - 1]
    with pytest.raises(
        DataError, match="texts: the tokenizer gives the id 4294967295, beyond int32"
    ):
        TextEncoder(Tokenizer.from_str(json.dumps(state))).encode(["we"])


def test_words():
    (encoded,) = BERT.encode([["Speak,", "we"]], is_split_into_words=True)
    assert tokens(BERT, encoded) == ["[CLS]", "speak", ",", "we", "[SEP]"]
    assert encoded.word_ids.tolist() == [-1, 0, 0, 1, -1]
    assert encoded.offsets.tolist()[1:-1] == [[0, 5], [5, 6], [0, 2]]
    (pair,) = BERT.encode([["we"]], [("me", "me")], is_split_into_words=True)
    assert pair.word_ids.tolist() == [-1, 0, -1, 0, 1, -1]
    assert pair.sequence_ids.tolist() == [-1, 0, -1, 1, 1, -1]


@pytest.mark.parametrize("write", [write_bpe, write_roberta])
@pytest.mark.parametrize("prefix", [False, True])
def test_words_of_byte_level_tokenizers_are_those_of_running_text(tmp_path, write, prefix):
    encoder = TextEncoder(read_tokenizer(write(tmp_path, add_prefix_space=prefix)))
    words = TEXTS[0].split()
    (split,) = encoder.encode([words], is_split_into_words=True)
    (running,) = encoder.encode([("" if prefix else " ") + " ".join(words)])
    assert split.input_ids.tolist() == running.input_ids.tolist()
    if not prefix:  # the library gives the space that it adds the place of the first letter
        places = zip(split.word_ids[split.word_ids >= 0], split.offsets[split.word_ids >= 0])
        assert "".join(words[word][begin:end] for word, (begin, end) in places) == "".join(words)


def test_an_empty_word_has_no_tokens():
    (encoded,) = GPT2.encode([["speak", "", "we"]], is_split_into_words=True)
    assert set(encoded.word_ids.tolist()) == {0, 2}


def test_the_tokenizer_stays_as_it_is():
    tokenizer = train_wordpiece([TEXT], 90)
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=9)
    before = tokenizer.to_str()
    encoder = TextEncoder(tokenizer)
    assert len(encoder.encode(["we " * 20])[0]) == 22
    assert len(encoder.encode(["we " * 20], max_length=7)[0]) == 7
    assert tokenizer.to_str() == before


def test_threads_with_different_limits_do_not_disturb_each_other():
    texts = [TEXT[i : i + 400] for i in range(40)]
    encoder = TextEncoder(train_wordpiece([TEXT], 90))
    limits = [3 + i % 13 for i in range(400)]  # more than are kept

    def longest(limit):
        return {len(e) for e in encoder.encode(texts, max_length=limit)}

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(longest, limits)) == [{limit} for limit in limits]


def test_sharing_copies_ids_with_gaps(tmp_path):
    """Added tokens whose ids do not follow the vocabulary cannot be made by adding them."""
    state = json.loads(train_wordpiece([TEXT], 90).to_str())
    state["added_tokens"].append({**state["added_tokens"][0], "id": 500, "content": "<far>"})
    tokenizer = Tokenizer.from_str(json.dumps(state))
    for each in (tokenizer, train_bpe([TEXT], 300), train_char("ab")):
        copy = share_vocabulary(each)
        assert copy.to_str() == each.to_str()
        assert copy is not each
    assert (
        tokens(TextEncoder(tokenizer), TextEncoder(tokenizer).encode(["we<far>"])[0])[2] == "<far>"
    )


class TestPadding:
    def test_fills_go_by_name(self):
        examples = [
            {"input_ids": [1, 2, 3], "labels": [4, 5, 6], "word_ids": [0, 1, 2]},
            {"input_ids": [1], "labels": [4], "word_ids": [9]},
        ]
        batch = collate(examples, pad_token_id=7)
        assert batch["input_ids"].tolist() == [[1, 2, 3], [1, 7, 7]]
        assert batch["labels"].tolist() == [[4, 5, 6], [4, -100, -100]]
        assert batch["word_ids"].tolist() == [[0, 1, 2], [9, 0, 0]]
        assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]

    def test_left(self):
        batch = collate([{"input_ids": [1, 2]}, {"input_ids": [3]}], pad_token_id=7, side="left")
        assert batch["input_ids"].tolist() == [[1, 2], [7, 3]]
        assert batch["attention_mask"].tolist() == [[1, 1], [0, 1]]

    def test_without_a_padding_token(self):
        batch = collate([{"input_ids": [1, 2]}, {"input_ids": [3]}])
        assert batch["input_ids"].tolist() == [[1, 2], [3, 0]]

    def test_multiples(self):
        batch = collate([{"input_ids": [1] * 5}], multiple=4)
        assert batch["input_ids"].shape == batch["attention_mask"].shape == (1, 8)

    def test_a_mask_of_the_examples_is_kept(self):
        examples = [{"input_ids": [1, 2], "attention_mask": [0, 1]}]
        assert collate(examples)["attention_mask"].tolist() == [[0, 1]]

    def test_scalars_and_vectors(self):
        examples = [{"input_ids": [1], "labels": i, "box": np.ones((i, 2))} for i in (1, 3)]
        batch = collate(examples, pad_token_id=7)
        assert batch["labels"].tolist() == [1, 3]
        assert batch["box"].shape == (2, 3, 2)

    @pytest.mark.parametrize(
        ("examples", "message"),
        [
            ([], "examples: expected at least one"),
            ([{"input_ids": [1]}, {"input_ids": [1], "labels": 1}], "all with the same keys"),
            ([{"input_ids": [1]}, {"input_ids": [[1]]}], "input_ids: got shapes"),
        ],
    )
    def test_bad_examples(self, examples, message):
        with pytest.raises(ShapeError, match=message):
            collate(examples)
