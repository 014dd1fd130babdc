"""Tokenizers from vocab.txt, or vocab.json and merges.txt: transformers' ids, and bad files."""

import json

import pytest

from plainformer.data.encoding import TextEncoder
from plainformer.data.tokenizer import read_tokenizer, save_tokenizer
from plainformer.errors import CheckpointError

from .tokenizer_files import (
    GOLDEN,
    GOLDEN_CASES,
    PAIRS,
    TEXTS,
    write_bpe,
    write_config,
    write_roberta,
    write_sentencepiece,
    write_wordpiece,
)


@pytest.mark.parametrize("name", GOLDEN_CASES)
def test_ids_and_offsets_are_those_of_transformers(tmp_path, name):
    golden = json.loads(GOLDEN.read_text())[name]
    encoder = TextEncoder(read_tokenizer(GOLDEN_CASES[name](tmp_path)))
    encoded = encoder.encode(TEXTS, return_offsets=True)
    assert [e.input_ids.tolist() for e in encoded] == golden["input_ids"]
    assert [e.offsets.tolist() for e in encoded] == golden["offsets"]
    pairs = encoder.encode(TEXTS, PAIRS, max_length=12)
    assert [e.input_ids.tolist() for e in pairs] == golden["pair_ids"]


@pytest.mark.parametrize("name", GOLDEN_CASES)
def test_saved_as_tokenizer_json_they_stay_the_same(tmp_path, name):
    tokenizer = read_tokenizer(GOLDEN_CASES[name](tmp_path / "a"))
    save_tokenizer(tokenizer, tmp_path / "b")
    again = read_tokenizer(tmp_path / "b")
    assert again.to_str() == tokenizer.to_str()
    save_tokenizer(again, tmp_path / "c")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "b" / file).read_bytes() == (tmp_path / "c" / file).read_bytes()


def ids(directory, text):
    return read_tokenizer(directory).encode(text).ids


OPTIONS = {
    "do_lower_case": (write_wordpiece, False, "The Zürich"),
    "strip_accents": (write_wordpiece, False, "Zürich café"),
    "tokenize_chinese_chars": (write_wordpiece, False, "東京"),
    "unk_token": (write_wordpiece, "[unused1]", "strange"),
    "cls_token": (write_wordpiece, "[unused1]", "fox"),
    "sep_token": (write_wordpiece, "[unused1]", "fox"),
    "add_prefix_space": (write_bpe, True, "fox"),
    "add_bos_token": (write_bpe, True, "fox"),
    "add_eos_token": (write_bpe, True, "fox"),
    "trim_offsets": (write_roberta, False, "the fox"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_changes_something(tmp_path, name):
    write, value, text = OPTIONS[name]
    plain, other = (
        read_tokenizer(directory).encode(text)
        for directory in (write(tmp_path / "a"), write(tmp_path / "b", **{name: value}))
    )
    assert (plain.ids, plain.offsets) != (other.ids, other.offsets)


def test_the_kind_is_decided_by_class_then_model_type_then_special_tokens(tmp_path):
    cls, sep = 0, 2
    assert ids(write_roberta(tmp_path / "tokens"), "fox")[::100] == [cls]
    assert ids(write_roberta(tmp_path / "class", tokenizer_class="GPT2Tokenizer"), "fox")[0] != cls
    by_type = write_roberta(tmp_path / "type", tokenizer_class="PreTrainedTokenizerFast")
    (by_type / "config.json").write_text('{"model_type": "gpt2"}')
    assert ids(by_type, "fox")[0] != cls
    named = write_roberta(tmp_path / "both", tokenizer_class="BartTokenizerFast")
    (named / "config.json").write_text('{"model_type": "gpt2"}')
    assert (ids(named, "fox")[0], ids(named, "fox")[-1]) == (cls, sep)


def test_added_tokens_of_both_versions(tmp_path):
    size = len((write_wordpiece(tmp_path / "a") / "vocab.txt").read_text().splitlines())
    (tmp_path / "a" / "added_tokens.json").write_text(json.dumps({"<e2>": size + 1, "<e1>": size}))
    decoder = {
        str(size + i): {"content": f"<e{i + 1}>", "lstrip": False, "special": i == 0}
        for i in range(2)
    }
    write_wordpiece(tmp_path / "b", added_tokens_decoder=decoder)
    for name in "ab":
        assert ids(tmp_path / name, "fox<e1>the<e2>dog")[2:-2] == [size, 6, size + 1]


def test_lines_are_cut_as_in_text_files(tmp_path):
    """U+2028 and U+0085 are tokens of real vocabularies, not ends of lines."""
    tokens = ["[UNK]", "[CLS]", "[SEP]", "\u2028", "\u0085", "fox"]
    for newline in ("\n", "\r\n"):
        (tmp_path / "vocab.txt").write_bytes((newline.join(tokens) + newline).encode())
        vocab = read_tokenizer(tmp_path).get_vocab()
        assert vocab == {token: i for i, token in enumerate(tokens)}


def put(name, text):
    def change(directory):
        (directory / name).write_bytes(text if isinstance(text, bytes) else text.encode())

    return change


def config(**values):
    return lambda directory: write_config(directory, **values)


BAD_WORDPIECE = {
    "no classes": (put("vocab.txt", "[UNK]\nfox\n"), "no token for .*cls_token, sep_token"),
    "empty": (put("vocab.txt", ""), "no token for unk_token"),
    "not text": (put("vocab.txt", b"a\n\xff"), r"vocab\.txt: byte 2 is not valid UTF-8"),
    "flag": (config(do_lower_case="no"), "do_lower_case: got 'no', expected true or false"),
    "no splitting": (config(do_basic_tokenize=False), "do_basic_tokenize: got False, only True"),
    "never split": (config(never_split=["x"]), r"never_split: got \['x'\], only \[\]"),
    "class": (config(tokenizer_class="BertJapaneseTokenizer"), "got 'BertJapaneseTokenizer' with"),
    "other class": (config(tokenizer_class="GPT2Tokenizer"), "no tokenizer: expected"),
    "type": (put("config.json", '{"model_type": "canine"}'), "got 'canine' without"),
    "role": (config(sep_token=3), "sep_token: got 3, expected a text"),
    "id of an added token": (
        config(added_tokens_decoder={"999": {"content": "<x>", "special": True}}),
        "'<x>' has id 999, but the vocabulary gives it",
    ),
    "added token": (config(added_tokens_decoder={"x": {"content": "<x>"}}), "added tokens: "),
    "added tokens": (config(added_tokens_decoder=[1]), "added tokens: "),
    "added text": (put("added_tokens.json", '{"<x>": "y"}'), "added tokens: "),
    "nested config": (put("tokenizer_config.json", '{"a":' * 99999), "nested too deep"),
}
BAD_BPE = {
    "no merges": (lambda directory: (directory / "merges.txt").unlink(), "no tokenizer: expected"),
    "three tokens": (
        put("merges.txt", "#version: 0.2\na b\na b c\n"),
        r"merges\.txt:3: got 'a b c'",
    ),
    "one token": (put("merges.txt", "ab\n"), r"merges\.txt:1: got 'ab', expected two tokens"),
    "unknown token": (put("merges.txt", "a \u4e00\n"), "not a tokenizer: .*vocabulary"),
    "empty": (put("vocab.json", "{}"), r"vocab\.json: expected an object of token to id"),
    "text id": (put("vocab.json", '{"a": "b"}'), r"vocab\.json: expected an object of token to id"),
    "negative id": (put("vocab.json", '{"a": -1}'), r"vocab\.json: expected an object"),
    "huge id": (put("vocab.json", '{"a": 4294967296}'), "got the id 4294967296, expected less"),
    "same id": (put("vocab.json", '{"a": 1, "b": 1}'), "two tokens have the same id"),
    "same token": (put("vocab.json", '{"a": 1, "a": 2}'), "'a' stands twice"),
    "class": (config(tokenizer_class="CLIPTokenizer"), "got 'CLIPTokenizer' without"),
    "other class": (config(tokenizer_class="BertTokenizer"), "no tokenizer: expected"),
}


@pytest.mark.parametrize("name", BAD_WORDPIECE)
def test_bad_wordpiece_files(tmp_path, name):
    change, message = BAD_WORDPIECE[name]
    change(write_wordpiece(tmp_path))
    with pytest.raises(CheckpointError, match=message) as error:
        read_tokenizer(tmp_path)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("name", BAD_BPE)
def test_bad_bpe_files(tmp_path, name):
    change, message = BAD_BPE[name]
    change(write_bpe(tmp_path))
    with pytest.raises(CheckpointError, match=message) as error:
        read_tokenizer(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_roberta_needs_its_special_tokens(tmp_path):
    with pytest.raises(CheckpointError, match="no token for cls_token, sep_token"):
        read_tokenizer(write_bpe(tmp_path, tokenizer_class="RobertaTokenizer"))


@pytest.mark.parametrize("names", [["spiece.model"], ["source.spm", "target.spm", "vocab.json"]])
def test_sentencepiece_says_to_convert(tmp_path, names):
    for name in names:
        (tmp_path / name).write_bytes(b"\x0a\x0b")
    with pytest.raises(CheckpointError, match=rf"\['{names[0]}'.* convert it to tokenizer\.json"):
        read_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": 2}, "got a BPE model, expected a unigram model as XLM-RoBERTa has"),
        ({"first": ("<unk>", "</s>")}, r"got the first pieces \['<unk>', '</s>', '▁'\], expected"),
    ],
    ids=str,
)
def test_other_sentencepiece_models_are_refused(tmp_path, options, message):
    write_sentencepiece(tmp_path, tokenizer_class="XLMRobertaTokenizer", **options)
    with pytest.raises(CheckpointError, match=message):
        read_tokenizer(tmp_path)


def test_a_sentencepiece_model_is_read_by_the_type_of_its_model(tmp_path):
    write_sentencepiece(tmp_path)
    with pytest.raises(CheckpointError, match=r"SentencePiece model only .* XLM-RoBERTa"):
        read_tokenizer(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "xlm-roberta"}')
    assert read_tokenizer(tmp_path).encode("the fox").tokens == ["<s>", "▁the", "▁fox", "</s>"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x0a\x0b", "it ends within a field"),
        (b"\x0a\x03\x0a\x01\xff", "codec can't decode"),
        (b"\x0a" + b"\xff" * 12, "more than 64 bits"),
        (b"\x0a\x05\x15\x00\x00\xc0\x7f", "the piece '' has no score"),
        (b"\x0b\x01", "a value of the kind 3"),
        (b"\x08\x01", "a number where a message belongs"),
    ],
    ids=repr,
)
def test_damaged_sentencepiece_models_are_told(tmp_path, data, message):
    write_sentencepiece(tmp_path, tokenizer_class="XLMRobertaTokenizer")
    (tmp_path / "sentencepiece.bpe.model").write_bytes(data)
    with pytest.raises(CheckpointError, match=f"not a SentencePiece model: .*{message}"):
        read_tokenizer(tmp_path)
