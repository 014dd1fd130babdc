"""Tokenizers: deterministic training, exact characters, files that transformers reads."""

import json
import os
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from plainformer.data import tokenizer as tok
from plainformer.data._library import unseen_panics
from plainformer.data.special_tokens import END_OF_TEXT, special_ids
from plainformer.data.text import Document, Documents
from plainformer.errors import CheckpointError, ConfigError, DataError
from tests.processes import run_python

from .tokenizer_files import characters_alone

TEXT = "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak, speak.\n" * 20
ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=60)


def doc(text):
    return Document(text, "a.txt", spans_lines=True)


def test_char_ids_are_in_code_point_order_and_bytes_behind_them():
    tokenizer = tok.train_char(["b\na", "\U0001f600é\r"])
    spelled = [f"<0x{byte:02X}>" for byte in range(256)]
    assert tokenizer.get_vocab() == {c: i for i, c in enumerate([*"\n\rabé\U0001f600", *spelled])}
    state = json.loads(tokenizer.to_str())
    assert (state["model"]["type"], state["model"]["merges"]) == ("BPE", [])
    assert state["pre_tokenizer"]["pattern"] == {"Regex": "[\\s\\S]"}
    assert state["pre_tokenizer"]["behavior"] == "Isolated"
    assert [part["type"] for part in state["decoder"]["decoders"]] == ["ByteFallback", "Fuse"]
    assert state["added_tokens"] == []
    assert tok.vocab_size(tokenizer) == 6 + 256
    assert special_ids(tokenizer).end_token_id is None


@settings(deadline=None)
@given(ANY_TEXT.filter(bool), ANY_TEXT)
@example("ab", "")
@example("ab", "\0Ü摊a\U0001f600b")
def test_our_character_table_is_the_librarys_encoding(known, text):
    tokenizer = tok.train_char([known])
    for each in (known, text, known + text):
        ids = tok.encode_text(tokenizer, each)
        assert ids.dtype == np.uint16
        assert ids.tolist() == tokenizer.encode(each).ids
        assert tokenizer.decode(ids.tolist()) == each
        assert len(ids) == sum(1 if c in known else len(c.encode()) for c in each)


def test_characters_of_earlier_versions_load_and_encode_as_they_did(tmp_path):
    tok.save_tokenizer(characters_alone("b\na"), tmp_path)
    tokenizer = tok.read_tokenizer(tmp_path)
    assert tok.encode_text(tokenizer, "ab\n").tolist() == [1, 2, 0]
    assert tok.vocab_size(tokenizer) == 3


def test_an_unknown_character_is_named_with_file_and_line(tmp_path):
    tokenizer = characters_alone("ab\n")
    (tmp_path / "a.txt").write_text("ab\nb\naéa", encoding="utf-8")
    with pytest.raises(DataError, match=r"'é' \(U\+00E9\) is not among the tokenizer's 3") as error:
        tok.encode_documents(tokenizer, Documents(tmp_path / "a.txt"))
    assert (error.value.file, error.value.line) == (str(tmp_path / "a.txt"), 3)
    with pytest.raises(DataError, match=r"^the character '\\u2028'"):
        tok.encode_text(tokenizer, "\u2028")


def test_characters_for_an_encoder_have_special_tokens_and_an_unknown_one():
    tokenizer = tok.make_tokenizer(tok.parse_spec("char"), [doc("b\na"), doc("酒")], "mlm")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert tokenizer.get_vocab() == {t: i for i, t in enumerate([*special, *"\nab酒"])}
    assert tokenizer.encode("a店").tokens == ["[CLS]", "a", "[UNK]", "[SEP]"]
    assert tokenizer.encode("a", "b").tokens == ["[CLS]", "a", "[SEP]", "b", "[SEP]"]
    assert tokenizer.decode([2, 6, 5, 8, 3]) == "a\n酒"
    assert tok.encode_text(tokenizer, "a店").tolist() == [6, 1]
    spans = tok.make_tokenizer(tok.parse_spec("char"), [doc("ab")], "span")
    assert spans.token_to_id("<extra_id_0>") == tok.vocab_size(spans) - 1 == 5 + 2 + 99


def test_a_size_keeps_the_most_frequent_characters():
    documents = [doc("bbb"), doc("cca"), doc("d")]
    tokenizer = tok.make_tokenizer(tok.parse_spec("char:8"), documents, "denoise")
    assert set(tokenizer.get_vocab()) - set("abc") == {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    assert tok.vocab_size(tokenizer) == 8
    tokenizer = tok.make_tokenizer(tok.parse_spec("char:258"), documents, "clm")
    assert tokenizer.get_vocab().keys() - tok.BYTES == {"b", "c"}
    assert tokenizer.decode(tok.encode_text(tokenizer, "abcd摊").tolist()) == "abcd摊"
    with pytest.raises(ConfigError, match="got char:256, expected at least 257 for the bytes and"):
        tok.make_tokenizer(tok.parse_spec("char:256"), documents, "clm")
    spans = tok.make_tokenizer(tok.parse_spec("char:107"), documents, "span")
    assert tok.vocab_size(spans) == 107
    with pytest.raises(ConfigError, match="got 'char:5', expected char:SIZE with SIZE >= 6"):
        tok.parse_spec("char:5")


@pytest.mark.parametrize(
    "spec", ["bpe:300", "bpe:400 span", "wordpiece:120", "char", "char:30 mlm"]
)
def test_training_is_deterministic(tmp_path, spec):
    """Other hash seeds and thread counts, in other processes: the same file."""
    (tmp_path / "a.txt").write_text(TEXT + "Zürich, naïve; 1234 <x>\n", encoding="utf-8")
    script = (
        "import sys; from plainformer.data import text, tokenizer as t;"
        "spec, *objective = sys.argv[1].split();"
        "spec = t.parse_spec(spec);"
        "print(t.make_tokenizer(spec, text.Documents(sys.argv[2]), *objective).to_str())"
    )
    results = set()
    for seed in "123":
        env = {**os.environ, "PYTHONHASHSEED": seed, "RAYON_NUM_THREADS": seed}
        command = [sys.executable, "-c", script, spec, str(tmp_path / "a.txt")]
        results.add(subprocess.run(command, env=env, capture_output=True, check=True).stdout)
    assert len(results) == 1


@settings(deadline=None)
@given(ANY_TEXT.filter(lambda text: END_OF_TEXT not in text))
def test_bpe_writes_any_text(text):
    ids = tok.encode_text(BPE, text)
    assert BPE.decode(ids.tolist()) == text


BPE = tok.train_bpe([TEXT], 300)


def test_bpe_vocabulary():
    assert tok.vocab_size(BPE) == 300
    assert BPE.token_to_id(END_OF_TEXT) == special_ids(BPE).end_token_id == 0
    assert len(tok.encode_text(BPE, TEXT)) < len(TEXT) / 2


def test_a_text_too_small_for_the_size_is_said(caplog):
    with caplog.at_level("INFO", "plainformer"):
        assert tok.vocab_size(tok.train_bpe(["ab"], 400)) == 258
    assert "258 tokens of the 400" in caplog.text


def test_wordpiece():
    tokenizer = tok.train_wordpiece([TEXT], 80)
    assert [tokenizer.token_to_id(t) for t in ("[PAD]", "[UNK]", "[CLS]", "[SEP]")] == [0, 1, 2, 3]
    assert tokenizer.encode("Speak").ids[0] == 2
    assert tok.encode_text(tokenizer, "Speak")[0] != 2
    assert tokenizer.decode(tok.encode_text(tokenizer, "HEAR me").tolist()) == "hear me"


@pytest.mark.parametrize("objective", ["mlm", "denoise"])
def test_bpe_for_masks_is_robertas(objective):
    tokenizer = tok.train_bpe([TEXT], 300, objective)
    assert [tokenizer.id_to_token(i) for i in range(5)] == [
        "<s>",
        "<pad>",
        "</s>",
        "<unk>",
        "<mask>",
    ]
    assert tok.vocab_size(tokenizer) == 300
    assert tokenizer.encode("hear me").ids[0] == 0
    assert tokenizer.encode("hear me").ids[-1] == special_ids(tokenizer).end_token_id == 2
    # What a mask hides includes the space before the word.
    assert "\u0120" not in tokenizer.encode("hear <mask> me").tokens
    assert tokenizer.encode("hear", "me").tokens.count("</s>") == 3
    assert not any(tokenizer.encode("hear", "me").type_ids)


@pytest.mark.parametrize(
    ("kind", "first"), [("bpe", ["<pad>", "</s>", "<unk>"]), ("wordpiece", None)]
)
def test_sentinels_are_the_end_of_the_vocabulary(kind, first):
    train = tok.train_bpe if kind == "bpe" else tok.train_wordpiece
    tokenizer = train([TEXT], 400, "span")
    size = tok.vocab_size(tokenizer)
    assert size == 400 if kind == "bpe" else size < 400
    assert [tokenizer.token_to_id(f"<extra_id_{i}>") for i in (0, 99)] == [size - 1, size - 100]
    if kind == "bpe":
        assert [tokenizer.id_to_token(i) for i in range(3)] == ["<pad>", "</s>", "<unk>"]
        assert tokenizer.encode("hear").ids[-1] == 1


def test_a_size_without_room_for_the_special_tokens_is_said():
    with pytest.raises(ConfigError, match="got bpe:300, expected at least 359"):
        tok.train_bpe([TEXT], 300, "span")
    with pytest.raises(ConfigError, match="got wordpiece:100, expected at least"):
        tok.train_wordpiece([TEXT], 100, "span")


def test_a_generator_of_texts_is_enough_for_wordpiece():
    texts = [TEXT, "Zz"]
    assert tok.train_wordpiece(iter(texts), 90).to_str() == tok.train_wordpiece(texts, 90).to_str()


def test_documents_are_joined_by_end_of_text_where_there_is_one():
    parts = [tok.encode_text(BPE, text).tolist() for text in ("we speak", "hear")]
    joined = tok.encode_documents(BPE, [doc("we speak"), doc("hear")])
    assert joined.tolist() == [*parts[0], 0, *parts[1]]
    tokenizer = tok.train_char("ab")
    assert tok.encode_documents(tokenizer, [doc("ab"), doc("ba")]).tolist() == [0, 1, 1, 0]
    assert tok.encode_documents(BPE, []).tolist() == []


def test_large_vocabularies_take_uint32():
    tokenizer = tok.train_char([chr(c) for c in range(0x10000, 0x10000 + 70_000)])
    ids = tok.encode_text(tokenizer, chr(0x10000 + 69_999))
    assert ids.dtype == np.uint32
    assert ids.tolist() == [69_999]


@pytest.mark.parametrize(
    ("make", "specials"),
    [
        (lambda: BPE, {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}),
        (lambda: tok.train_char(["ab"]), {}),
        (
            lambda: tok.train_wordpiece([TEXT], 80),
            {f"{t}_token": f"[{t.upper()}]" for t in ("pad", "unk", "cls", "sep", "mask")},
        ),
        (
            lambda: tok.train_bpe([TEXT], 300, "mlm"),
            {
                **dict.fromkeys(("bos_token", "cls_token"), "<s>"),
                **dict.fromkeys(("eos_token", "sep_token"), "</s>"),
                **{f"{t}_token": f"<{t}>" for t in ("pad", "unk", "mask")},
            },
        ),
        (
            lambda: tok.train_bpe([TEXT], 400, "span"),
            {
                "eos_token": "</s>",
                "pad_token": "<pad>",
                "unk_token": "<unk>",
                "additional_special_tokens": [f"<extra_id_{i}>" for i in range(100)],
            },
        ),
    ],
    ids=["bpe", "char", "wordpiece", "bpe for mlm", "bpe for span"],
)
def test_saved_tokenizers_load_the_same(tmp_path, make, specials):
    tokenizer = make()
    types = ["token_type_ids"] if specials.get("cls_token") == "[CLS]" else []
    tok.save_tokenizer(tokenizer, tmp_path / "t", model_max_length=64)
    assert tok.read_tokenizer(tmp_path / "t").to_str() == tokenizer.to_str()
    assert json.loads((tmp_path / "t" / tok.TOKENIZER_CONFIG).read_text()) == {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_max_length": 64,
        "model_input_names": ["input_ids", *types, "attention_mask"],
        **specials,
    }


def test_padding_that_would_fill_the_memory_is_harmless(tmp_path):
    tokenizer = tok.train_char(["ab"])
    tokenizer.enable_padding(length=1 << 50)
    tok.save_tokenizer(tokenizer, tmp_path)
    assert tok.read_tokenizer(tmp_path).encode("ab").ids == [0, 1]


def test_truncation_and_padding_of_a_file_are_switched_off(tmp_path):
    tokenizer = tok.train_char(["ab"])
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=8)
    tok.save_tokenizer(tokenizer, tmp_path)
    assert tok.read_tokenizer(tmp_path).encode("abab").ids == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a tokenizer"),
        (b"{}", "not a tokenizer"),
        (b"\xff", "byte 0 is not valid UTF-8"),
        (b'{"model": {"type": "BPE"}}', "not a tokenizer"),
        (b"[" * 10_000, "not a tokenizer"),
        (b'{"model": {"type": "WordLevel", "vocab": {}, "unk_token": ""}}', "id None"),
        (
            b'{"model": {"type": "WordLevel", "vocab": {"a": 16777216}, "unk_token": ""}}',
            "16777216",
        ),
    ],
)
def test_bad_tokenizer_file(tmp_path, data, message):
    (tmp_path / tok.TOKENIZER).write_bytes(data)
    with pytest.raises(CheckpointError, match=rf"tokenizer\.json: .*{message}"):
        tok.read_tokenizer(tmp_path)


def test_a_panic_in_the_library_is_a_checkpoint_error(tmp_path, capfd):
    state = tok.train_wordpiece([TEXT], 80).to_str().replace('"id":"[SEP]"', '"id":"[SEQ]"')
    (tmp_path / tok.TOKENIZER).write_text(state)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: not a tokenizer"):
        tok.read_tokenizer(tmp_path)
    assert capfd.readouterr() == ("", "")  # Rust reports it on the screen by itself


def test_what_else_is_said_while_a_tokenizer_is_read_is_passed_on(capfd):
    with unseen_panics():
        os.write(2, b"by another thread\n")
    with suppress(ZeroDivisionError), unseen_panics():
        os.write(2, b"again\n")
        raise ZeroDivisionError
    assert capfd.readouterr().err == "by another thread\nagain\n"


def test_a_closed_standard_error_is_left_alone(tmp_path):
    tok.save_tokenizer(tok.train_char([TEXT]), tmp_path)
    code = f"import os; os.close(2); from plainformer.data import tokenizer; print(len(\
tokenizer.read_tokenizer({str(tmp_path)!r}).get_vocab()))"
    assert int(run_python(code)) == len(set(TEXT)) + 256


def test_a_version_with_a_line_feed_stays_one_line(tmp_path):
    state = tok.train_char([TEXT]).to_str().replace('"version":"1.0"', '"version":"1\\n0"')
    (tmp_path / tok.TOKENIZER).write_text(state)
    with pytest.raises(CheckpointError, match="not a tokenizer") as error:
        tok.read_tokenizer(tmp_path)
    assert "\n" not in str(error.value)


def test_no_tokenizer_file(tmp_path):
    with pytest.raises(CheckpointError, match=r"no tokenizer: expected tokenizer\.json, or vocab"):
        tok.read_tokenizer(tmp_path)
    with pytest.raises(CheckpointError, match=r"none: no such directory; expected one with"):
        tok.read_tokenizer(tmp_path / "none")


def test_specs(tmp_path):
    assert tok.parse_spec("char") == tok.TokenizerSpec("char")
    assert tok.parse_spec("bpe:8000") == tok.TokenizerSpec("bpe", vocab_size=8000)
    assert tok.parse_spec("wordpiece:99") == tok.TokenizerSpec("wordpiece", vocab_size=99)
    assert tok.parse_spec(str(tmp_path)) == tok.TokenizerSpec("directory", path=str(tmp_path))


@pytest.mark.parametrize(
    "spec", ["", "bpe", "bpe:", "bpe:x", "bpe:-5", "bpe:256", "bpe:²", "char:5", "words:9", "none/"]
)
def test_bad_specs(spec):
    with pytest.raises(ConfigError, match="tokenizer: got"):
        tok.parse_spec(spec)


def test_wordpiece_smaller_than_the_alphabet():
    with pytest.raises(ConfigError, match="got wordpiece:9, expected at least"):
        tok.train_wordpiece([TEXT], 9)


def test_no_text_to_train_on():
    with pytest.raises(DataError, match="no text"):
        tok.train_char([])
