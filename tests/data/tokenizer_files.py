"""Small vocabularies in the files that came before tokenizer.json, written by tests."""

import json
import struct
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from plainformer.data.tokenizer import train_bpe

GOLDEN = Path(__file__).parent / "golden_tokenizers.json"  # ids of transformers 5.23
TEXTS = [
    "The quick brown fox, the lazy dog; Fox's den isn't deep.",
    "  Zürich & 東京: naïve café\u2014ÀÉÎ\t\r\n x\u00a0y 1234.5 \U0001f600",
    "fox",
    "",
    "UNKNOWNWORD quickly<mask> [MASK] <|endoftext|> dogs",
]
PAIRS = ["a deep den", "", "The dog", "quick", "lazy lazy"]
# As roberta-base has it: version 5 forgets that the mask takes the space before it.
MASK = {"__type": "AddedToken", "content": "<mask>", "lstrip": True, "special": True}
_WORDS = (
    "[PAD] [unused1] [UNK] [CLS] [SEP] [MASK] the quick brown fox lazy dog den is deep ' , . ; & : "
    "##s ##ly ##n ##t isn t s zurich zürich naive naïve cafe café 東 京 — aei àéî ÀÉÎ The "
    "Fox Zürich x y 1234 5 a ##234"
)


def characters_alone(text):
    """A tokenizer of characters as version 0.1.0's first ones were: others are an error."""
    vocab = {character: i for i, character in enumerate(sorted(set(text)))}
    tokenizer = Tokenizer(models.WordLevel(vocab))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return tokenizer


def write_wordpiece(directory, newline="\n", **config):
    """BERT's: ids are line numbers."""
    directory.mkdir(exist_ok=True, parents=True)
    data = newline.join([*_WORDS.split(), ""]).encode()
    (directory / "vocab.txt").write_bytes(data)
    write_config(directory, **config)
    return directory


def write_bpe(directory, first=(), last=("<|endoftext|>",), size=330, **config):
    """GPT-2's: `first` tokens, 256 bytes, merges learnt from `TEXTS`, `last` tokens."""
    directory.mkdir(exist_ok=True, parents=True)
    state = json.loads(train_bpe(TEXTS[:2] * 3, size).to_str())["model"]
    learnt = sorted(state["vocab"], key=state["vocab"].get)[1:]  # without <|endoftext|>
    vocab = {token: i for i, token in enumerate([*first, *learnt, *last])}
    (directory / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    merges = "".join(f"{left} {right}\n" for left, right in state["merges"])
    (directory / "merges.txt").write_text("#version: 0.2\n" + merges, encoding="utf-8")
    write_config(directory, **config)
    return directory


def write_roberta(directory, **config):
    """RoBERTa's: special tokens first, the mask last."""
    return write_bpe(directory, ["<s>", "<pad>", "</s>", "<unk>"], ["<mask>"], **config)


# Pieces and scores of a unigram model, most of them letters.
_PIECES = (
    "\u2581 \u2581the \u2581The \u2581quick \u2581brown \u2581fox \u2581Fox \u2581lazy \u2581dog "
    "qu ick own \u2581a \u2581deep \u2581den ' , . ; & : \u2014 ly s 1234 é ï ü \u6771 \u4eac"
)


def write_sentencepiece(directory, kind=1, first=("<unk>", "<s>", "</s>"), **config):
    """XLM-RoBERTa's: SentencePiece's three first pieces, those above, letters and digits."""
    directory.mkdir(exist_ok=True, parents=True)
    pieces = dict.fromkeys([*first, *_PIECES.split(), *map(chr, (*range(48, 58), *range(65, 123)))])
    types = dict(zip(first, (2, 3, 3)))  # unknown and control ones
    data = b"".join(
        field(1, field(1, piece.encode()) + b"\x15" + struct.pack("<f", score)
              + bytes([0x18, types.get(piece, 1)]))
        for piece, score in zip(pieces, range(0, -len(pieces), -1))
    )  # fmt: skip
    data += field(2, b"\x18" + bytes([kind]))
    (directory / "sentencepiece.bpe.model").write_bytes(data)
    write_config(directory, **config)
    return directory


def field(number, data):
    """A field of bytes of a protocol buffer."""
    size, length = len(data), b""
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + data


def write_config(directory, **config):
    if config:
        (directory / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


GOLDEN_CASES = {
    "bert": write_wordpiece,
    "bert cased": lambda directory: write_wordpiece(directory, do_lower_case=False),
    "gpt2": lambda directory: write_bpe(directory, tokenizer_class="GPT2Tokenizer"),
    "roberta": lambda directory: write_roberta(
        directory, tokenizer_class="RobertaTokenizer", mask_token=MASK
    ),
    "qwen2": lambda directory: write_bpe(directory, tokenizer_class="Qwen2Tokenizer"),
    "xlm-roberta": lambda directory: write_sentencepiece(
        directory, tokenizer_class="XLMRobertaTokenizer", mask_token=MASK
    ),
}
