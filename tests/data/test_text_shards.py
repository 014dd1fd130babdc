"""Text to shards: the ids of encoding at once, in bounded memory, only when something changed."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from plainformer.data import text_shards
from plainformer.data import tokenizer as tok
from plainformer.data.records import source
from plainformer.data.shards import open_shard
from plainformer.data.text import Document, Documents
from plainformer.data.text_shards import encode_to_shard
from plainformer.errors import DataError

from .tokenizer_files import characters_alone

LINE = (
    "Before we proceed any further, hear me speak. \u00dcber 1234 things,  twice!\n\nAll: Speak.\n"
)
TEXT = LINE * 40
KINDS = {
    "bpe": lambda: tok.train_bpe([TEXT], 320),
    "wordpiece": lambda: tok.train_wordpiece([TEXT], 120),
    "char": lambda: tok.train_char([TEXT]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_parts_give_the_ids_of_the_whole(tmp_path, monkeypatch, kind):
    tokenizer = KINDS[kind]()
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
    whole = encode_to_shard(tmp_path / "whole.bin", tokenizer, [Document(TEXT, "")])
    for block in (64, 100, 1000):
        monkeypatch.setattr(source, "BLOCK", block)
        parts = list(Documents(tmp_path / "a.txt"))
        assert len(parts) > 3
        assert "".join(p.text for p in parts) == TEXT
        assert all(p.continues for p in parts[:-1])
        assert not parts[-1].continues
        for part in parts:
            assert part.line == 1 + "".join(p.text for p in parts[: parts.index(part)]).count("\n")
        shard = encode_to_shard(tmp_path / f"{block}.bin", tokenizer, Documents(tmp_path / "a.txt"))
        assert shard.tokens.tolist() == whole.tokens.tolist()
        assert shard.starts.tolist() == [0, len(shard.tokens)]
        texts = [p.text for p in parts]
        assert tok.encode_documents(tokenizer, parts).tolist() == whole.tokens.tolist(), texts


def test_documents_have_starts_and_an_end_between(tmp_path):
    tokenizer = KINDS["bpe"]()
    texts = ["we speak", "hear", "me"]
    documents = [Document(text, "") for text in texts]
    shard = encode_to_shard(tmp_path / "a.bin", tokenizer, documents)
    assert shard.tokens.tolist() == tok.encode_documents(tokenizer, documents).tolist()
    pieces = [shard.tokens[a:b].tolist() for a, b in zip(shard.starts, shard.starts[1:])]
    alone = [tok.encode_text(tokenizer, text).tolist() for text in texts]
    assert pieces == [[*alone[0], 0], [*alone[1], 0], alone[2]]
    assert shard.source is None  # documents that are in no file have no fingerprint


def test_files_come_in_their_order(tmp_path):
    tokenizer = KINDS["char"]()
    for name, letter in zip("badc", "Aetw"):
        (tmp_path / f"{name}.txt").write_text(letter * 3)
    (tmp_path / "e.jsonl").write_text('{"text": "h"}\n{"text": "er"}\n')

    def decoded(paths):
        shard = encode_to_shard(tmp_path / "out" / "a.bin", tokenizer, Documents(paths))
        ids = shard.tokens
        return [tokenizer.decode(ids[a:b].tolist()) for a, b in zip(shard.starts, shard.starts[1:])]

    assert decoded([tmp_path]) == ["eee", "AAA", "www", "ttt", "h", "er"]
    assert decoded([tmp_path / "d.txt", tmp_path / "*.txt"]) == ["ttt", "eee", "AAA", "www"]


def test_a_shard_is_made_once_and_again_after_any_change(tmp_path, monkeypatch, caplog):
    made = []
    real = text_shards._encode
    monkeypatch.setattr(text_shards, "_encode", lambda *a: (made.append(1), real(*a)))
    file, path = tmp_path / "a.jsonl", tmp_path / "out" / "a.bin"
    file.write_text('{"text": "we", "body": "me"}\n')
    tokenizer = KINDS["bpe"]()

    def encode(**options):
        before = len(made)
        shard = encode_to_shard(
            path, options.pop("tokenizer", tokenizer), Documents(file, **options)
        )
        return len(made) > before, shard.tokens.tolist()

    first = encode()
    assert first[0]
    assert encode() == (False, first[1])
    assert encode(column="body")[0]
    assert encode()[0]
    assert encode(skip_bad_lines=True)[0]
    assert encode(tokenizer=KINDS["wordpiece"]())[0]
    assert encode()[0]
    os.utime(file, ns=(1, 1))
    assert encode()[0]
    assert not encode()[0]
    path.write_bytes(b"abc")  # cut off
    with caplog.at_level("INFO", "plainformer"):
        assert encode() == (True, first[1])
    assert "encoding again" in caplog.text
    path.with_suffix(".idx").unlink()
    assert encode() == (True, first[1])


def test_a_failed_encoding_leaves_what_was_there(tmp_path):
    tokenizer, file = characters_alone(TEXT), tmp_path / "a.txt"
    file.write_text("we")
    encode_to_shard(tmp_path / "a.bin", tokenizer, Documents(file))
    names = sorted(p.name for p in tmp_path.iterdir())
    file.write_text("we\n\u4e2d")
    with pytest.raises(DataError, match="U\\+4E2D") as error:
        encode_to_shard(tmp_path / "a.bin", tokenizer, Documents(file))
    assert (error.value.file, error.value.line) == (str(file), 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    assert len(open_shard(tmp_path / "a.bin", verify=True).tokens) == 2


def test_progress_is_said(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(text_shards, "_SECONDS", -1.0)
    with caplog.at_level("INFO", "plainformer"):
        encode_to_shard(
            tmp_path / "a.bin", KINDS["char"](), [Document("we", ""), Document("e", "")]
        )
    assert "a.bin: 2 documents, 3 tokens" in caplog.text


MEMORY = """
import json, resource, sys
from plainformer.data.text_shards import encode_to_shard
from plainformer.data.text import Documents
from plainformer.data.tokenizer import read_tokenizer
tokenizer = read_tokenizer(sys.argv[1])
peaks = []
for name in sys.argv[3:]:
    shard = encode_to_shard(f"{sys.argv[2]}/{name.split('/')[-1]}.bin", tokenizer, Documents(name))
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    assert len(shard.tokens) > 0
print(json.dumps(peaks))
"""


@pytest.mark.parametrize("suffix", ["txt", "jsonl", "csv"])
def test_memory_does_not_grow_with_the_file(tmp_path, suffix):
    """24 MB of text after 2 MB of it take less than 10 MB more; ids alone would take that."""
    tok.save_tokenizer(KINDS["char"](), tmp_path / "tokenizer")
    row = LINE * 8
    line = {"txt": row, "jsonl": json.dumps({"text": row}) + "\n", "csv": f'"{row}"\n'}[suffix]
    head = "text\n" if suffix == "csv" else ""
    names = []
    for size in (2 << 20, 24 << 20):
        names.append(str(tmp_path / f"{size}.{suffix}"))
        with open(names[-1], "w", encoding="utf-8") as file:
            file.write(head)
            for _ in range(size // len(line.encode()) // 64):
                file.write(line * 64)
    command = [sys.executable, "-c", MEMORY, tmp_path / "tokenizer", tmp_path, *names]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    small, large = json.loads(output)
    assert large - small < 10 << 10  # ru_maxrss is in KiB
    assert np.memmap(f"{names[1]}.bin", np.uint16, "r").size > 10 << 20
