"""A unigram model that SentencePiece trained: its pieces, and the ids of transformers."""

import pytest

from plainformer.data.pretrained_tokenizer import PreTrainedTokenizer
from plainformer.data.tokenizer import read_tokenizer
from tests.data.tokenizer_files import write_config

sentencepiece = pytest.importorskip("sentencepiece")
transformers = pytest.importorskip("transformers")

TEXTS = [
    "The quick brown fox, the lazy dog; Fox's den isn't deep.",
    "  two  spaces,\ttabs and ﬁgures ½ Ⅷ ｆｕｌｌ width　space ",
    "Zürich & 東京: naïve café \u2014 ÀÉÎ 한국어 1234.5",
    "", "x", "Unknown ☃ snow ☃☃ men",
    "a <mask> in a text<mask>.",
]  # fmt: skip


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spm")
    text = folder / "text.txt"
    lines = [*TEXTS[:3], "foxes and dogs are deep in their dens", "東京は広い", "Zürich ist schön"]
    text.write_text("\n".join(lines * 20), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / "sentencepiece.bpe"), vocab_size=120,
        model_type="unigram", character_coverage=0.98, minloglevel=2,
        hard_vocab_limit=False,
    )  # fmt: skip
    write_config(folder, tokenizer_class="XLMRobertaTokenizer")
    return folder


def test_pieces_are_those_of_the_library(directory):
    own = read_tokenizer(directory)
    theirs = sentencepiece.SentencePieceProcessor(
        model_file=str(directory / "sentencepiece.bpe.model")
    )
    for text in TEXTS[:-1]:
        ids = [i + 1 if i > 2 else 3 for i in theirs.encode(text)]  # fairseq's ids; <unk> is 3
        assert own.encode(text, add_special_tokens=False).ids == ids, text


def test_ids_are_those_of_transformers(directory):
    pytest.importorskip("google.protobuf")  # which transformers reads the file with
    own = PreTrainedTokenizer.from_pretrained(directory)
    theirs = transformers.XLMRobertaTokenizer.from_pretrained(directory)
    for text in TEXTS[:-1]:
        assert own(text)["input_ids"] == theirs(text)["input_ids"], text
    pair = own(TEXTS[0], TEXTS[1])["input_ids"]
    assert pair == theirs(TEXTS[0], TEXTS[1])["input_ids"]
    assert own.decode(pair) == theirs.decode(pair)
