"""Pieces of text join to the whole, for every decoder of the library, in linear time."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models

from plainformer.data.decoding import Decoder, TextStream, decode_continuation, decode_text
from plainformer.data.tokenizer import train_wordpiece
from plainformer.errors import DataError

LLAMA = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
STRIP = decoders.Strip(" ", 1, 0)
# Of each kind: the decoder, and tokens that it treats in its own way.
KINDS = {
    "none": (None, ["a", "b", "北"]),
    "byte level": (decoders.ByteLevel(), ["Ġthe", "a", "Ċ", "é", "Ã", "©", "ä½", "ł", "<x y>"]),
    "byte fallback": (decoders.Sequence([*LLAMA, STRIP]), ["▁the", "▁", "a", "北", "\ufffd"]),
    "byte fallback without strip": (decoders.Sequence(LLAMA), ["▁the", "▁", "a"]),
    "byte fallback alone": (decoders.ByteFallback(), ["x", "y"]),
    "metaspace": (decoders.Metaspace(), ["▁the", "▁", "a", "北"]),
    "metaspace never": (decoders.Metaspace(prepend_scheme="never"), ["▁the", "▁", "a"]),
    "wordpiece": (decoders.WordPiece(), ["the", "##s", ".", "n't", "'", "don", "é"]),
    "fuse": (decoders.Fuse(), ["a", " ", "\n"]),
    "strip begin": (decoders.Sequence([decoders.Fuse(), decoders.Strip(" ", 3, 0)]), [" ", "a"]),
    "strip end": (decoders.Sequence([decoders.Fuse(), decoders.Strip(" ", 0, 1)]), ["b ", "a"]),
    "replace": (decoders.Replace(Regex("a+"), "b"), ["a", "aa", "b"]),
    "replace whole": (
        decoders.Sequence([decoders.Fuse(), decoders.Replace("ab", "c")]),
        ["a", "b"],
    ),
    "bpe": (decoders.BPEDecoder(), ["th", "e</w>", "a</w>", "."]),
    "ctc": (decoders.CTC("<pad>", "|", True), ["a", "b", "|", "<pad>", "'"]),
}
SPECIAL = ["<s>", "</s>"]


def tokenizer_of(kind):
    decoder, tokens = KINDS[kind]
    spelled = [f"<0x{byte:02X}>" for byte in range(256)]
    vocab = {token: i for i, token in enumerate(dict.fromkeys([*SPECIAL, *tokens, *spelled]))}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="<s>"))
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    if decoder is not None:
        tokenizer.decoder = decoder
    return tokenizer


TOKENIZERS = {kind: tokenizer_of(kind) for kind in KINDS}
# Few different tokens, so that what is special about them meets; bytes of UTF-8, whole and cut.
DRAWN = st.lists(
    st.one_of(
        st.integers(0, 10).map(lambda i: [i]),
        st.text("é北😀", min_size=1, max_size=3).map(lambda text: [*text.encode()]),
        st.binary(min_size=1, max_size=3).map(list),
        st.integers(30, 60).map(lambda n: [0] * n),
    ),
    max_size=25,
)


def ids_of(tokenizer, drawn):
    """Small numbers are tokens of the kind and special ones, what came from bytes are those."""
    first = tokenizer.token_to_id("<0x00>")
    return [i if len(part) == 1 or not any(part) else first + i for part in drawn for i in part]


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=60)
@given(drawn=DRAWN, cut=st.integers(0, 40))
@example(drawn=[[*("你" * 40).encode()]], cut=0)
@example(drawn=[[*("你" * 40).encode()]], cut=121)
@example(drawn=[[2], [*("你" * 40).encode(), 255, 66, 66], [3], [2]], cut=2)
@example(drawn=[[3]] * 300, cut=35)
@example(drawn=[[0] * 50, [4], [0] * 120, [5], [4]], cut=3)
def test_pieces_join_to_the_whole(kind, drawn, cut):
    tokenizer = TOKENIZERS[kind]
    ids = ids_of(tokenizer, drawn)
    pieces = TextStream(tokenizer)
    one_by_one = [pieces.push([i]) for i in ids] + [pieces.push([], last=True)]
    assert "".join(one_by_one) == decode_text(tokenizer, ids)
    pieces = TextStream(tokenizer)
    halves = [pieces.push(ids[:cut]), pieces.push(ids[cut:]), pieces.push([], last=True)]
    assert "".join(halves) == decode_text(tokenizer, ids)


@pytest.mark.parametrize("kind", set(KINDS) - {"replace whole"})
@settings(deadline=None, max_examples=60)
@given(drawn=DRAWN, cut=st.integers(0, 40))
@example(drawn=[[*("你" * 40).encode()]], cut=100)
@example(drawn=[[2], [*"你".encode()], [*"你".encode()], [3]], cut=5)
def test_a_prompt_and_what_follows_join_to_the_whole(kind, drawn, cut):
    tokenizer = TOKENIZERS[kind]
    ids = ids_of(tokenizer, drawn)
    whole = decode_text(tokenizer, ids)
    pieces = TextStream(tokenizer)
    before = pieces.skip(ids[:cut])
    after = [pieces.push([i]) for i in ids[cut:]] + [pieces.push([], last=True)]
    assert "".join(after) == decode_continuation(tokenizer, ids[:cut], ids[cut:])
    decoder = Decoder(tokenizer)
    last = decoder.visible(ids[:cut])[-1:]
    if last and decoder.byte_of(last[0]) is not None and "\ufffd" in whole:
        # Characters of the prompt were shown; a later byte of their run may make them U+FFFD.
        assert len(before + "".join(after)) <= len(whole)
    else:
        assert before + "".join(after) == whole


@pytest.mark.parametrize("kind", ["byte level", "byte fallback"])
def test_a_character_of_the_prompt_is_not_written_again(kind):
    """Not even U+FFFD, nor one that a run of bytes ends with; the rest of a cut one is."""
    tokenizer = TOKENIZERS[kind]
    whole = {"byte level": "ï¿½", "byte fallback": "\ufffd"}[kind]
    tokenizer.add_tokens([whole])
    lost = tokenizer.token_to_id(whole)
    assert decode_continuation(tokenizer, [lost], []) == ""
    if kind == "byte fallback":
        first = tokenizer.token_to_id("<0x00>")
        you = [first + byte for byte in "你".encode()]
        assert decode_continuation(tokenizer, you, you) == "你"
        assert decode_continuation(tokenizer, you[:2], [you[2], 3]) == "你 "
        assert TextStream(tokenizer).skip([2, *you[:2]]) == "the"


class Counted:
    """A tokenizer that counts the tokens it decodes."""

    def __init__(self, tokenizer):
        self.backend_tokenizer = tokenizer
        self.count = 0

    def decode(self, ids):
        self.count += len(ids)
        return self.backend_tokenizer.decode(ids)


@pytest.mark.parametrize(
    ("kind", "tokens"),
    [
        ("byte level", ["ä½"]),
        ("byte level", ["Ġthe", "a"]),
        ("byte fallback", ["<0xFF>"]),
        ("byte fallback", ["<0xE4>"]),
        ("byte fallback", ["<0xE4>", "<0xBD>", "<0xA0>"]),
        ("byte fallback", ["<0xE4>", "<0xBD>", "▁the"]),
        ("wordpiece", ["the", "##s"]),
        ("ctc", ["<pad>"]),
        ("replace whole", ["a", "b"]),
    ],
)
def test_work_is_linear_whatever_comes(kind, tokens):
    counted = Counted(TOKENIZERS[kind])
    ids = [counted.backend_tokenizer.token_to_id(token) for token in tokens] * 600
    pieces = TextStream(counted)
    found = "".join(pieces.push([i]) for i in ids) + pieces.push([], last=True)
    assert counted.count <= 100 * len(ids)
    assert found == decode_text(counted.backend_tokenizer, ids)


@pytest.mark.parametrize(
    ("kind", "token"),
    [("byte level", "ä½"), ("byte fallback", "<0xE4>"), ("byte fallback", "<0xFF>")],
)
def test_bytes_that_never_become_text_are_shown_as_they_come(kind, token):
    tokenizer = TOKENIZERS[kind]
    pieces = TextStream(tokenizer)
    shown = [pieces.push([tokenizer.token_to_id(token)]) for _ in range(40)]
    assert set(shown[2:]) == {"\ufffd"}


def test_characters_are_shown_when_the_bytes_behind_them_end():
    tokenizer = TOKENIZERS["byte fallback"]
    ids = [tokenizer.token_to_id(f"<0x{byte:02X}>") for byte in "你好".encode()]
    pieces = TextStream(tokenizer)
    assert [pieces.push([i]) for i in (2, *ids, 4, 4)] == ["the", *[""] * 6, "你好a", "a"]


def test_wordpiece_of_chinese_has_no_spaces_between_characters():
    text = "北京 𠀀人 在 abc 里 。 ok"
    tokenizer = train_wordpiece([text], 60)
    ids = tokenizer.encode("北京𠀀人在abc里。ok", add_special_tokens=False).ids
    assert decode_text(tokenizer, ids) == "北京𠀀人在 abc 里。 ok"
    pieces = TextStream(tokenizer)
    assert "".join(pieces.push([i]) for i in ids) == decode_text(tokenizer, ids)


def test_a_panic_of_the_library_is_our_error():
    tokenizer = tokenizer_of("fuse")
    tokenizer.decoder = decoders.Strip(" ", 1, 1)
    with pytest.raises(DataError, match="the tokenizer cannot decode 1 ids"):
        decode_text(tokenizer, [tokenizer.token_to_id(" ")])


def test_places_inside_a_character_are_known():
    tokenizer = TOKENIZERS["byte fallback"]
    ids = [2, *(tokenizer.token_to_id(f"<0x{byte:02X}>") for byte in "é😀".encode()), 3]
    decoder = Decoder(tokenizer)
    assert [decoder.whole_from(ids, i) for i in range(8)] == [0, 1, 1, 3, 3, 3, 3, 7]
    stray = [tokenizer.token_to_id("<0x80>")] * 10
    assert decoder.whole_from(stray, 7) == 7
    assert np.diff([decoder.whole_from(stray, i) for i in range(5, 10)]).min() >= 0
