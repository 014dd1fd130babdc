"""Token shards: ours, nanoGPT's and llm.c's; files that do not fit their description."""

import json

import numpy as np
import pytest

from plainformer.data.shards import open_shard, shard_writer, write_shard
from plainformer.errors import DataError, ShapeError


@pytest.fixture
def shard(tmp_path):
    write_shard(tmp_path / "a.bin", np.arange(100), vocab_size=100)
    return tmp_path / "a.bin"


def edit_sidecar(path, **changes):
    sidecar = path.with_suffix(".json")
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), **changes}))


@pytest.mark.parametrize(
    ("vocab_size", "dtype"), [(100, np.uint16), (1 << 16, np.uint16), ((1 << 16) + 1, np.uint32)]
)
def test_round_trip(tmp_path, vocab_size, dtype):
    tokens = np.array([0, 5, vocab_size - 1])
    write_shard(tmp_path / "a.bin", tokens, vocab_size=vocab_size)
    shard = open_shard(tmp_path / "a.bin", verify=True)
    assert isinstance(shard.tokens, np.memmap)
    assert shard.tokens.dtype == dtype
    assert shard.tokens.tolist() == tokens.tolist()
    assert shard.vocab_size == vocab_size
    assert not shard.tokens.flags.writeable


def test_the_file_is_nanogpts(tmp_path):
    tokens = np.arange(7, dtype=np.uint16)
    write_shard(tmp_path / "a.bin", tokens, vocab_size=7)
    assert (tmp_path / "a.bin").read_bytes() == tokens.tobytes()
    tokens.tofile(tmp_path / "theirs.bin")
    assert open_shard(tmp_path / "theirs.bin").tokens.tolist() == tokens.tolist()
    assert open_shard(tmp_path / "theirs.bin").vocab_size is None


@pytest.mark.parametrize(
    ("magic", "version", "dtype"), [(20240520, 1, np.uint16), (20240801, 7, np.uint32)]
)
def test_llmc(tmp_path, magic, version, dtype):
    header = np.zeros(256, np.int32)
    header[:3] = magic, version, 5
    tokens = np.arange(5, dtype=dtype)
    path = tmp_path / "a.bin"
    path.write_bytes(header.tobytes() + tokens.tobytes())
    assert open_shard(path).tokens.tolist() == tokens.tolist()
    path.write_bytes(header.tobytes() + tokens[:4].tobytes())
    with pytest.raises(DataError, match="expected 5 ids"):
        open_shard(path)
    header[1] = 9
    path.write_bytes(header.tobytes() + tokens.tobytes())
    with pytest.raises(DataError, match=f"version 9, expected {version}"):
        open_shard(path)


def test_empty(tmp_path):
    write_shard(tmp_path / "a.bin", np.empty(0, np.int64), vocab_size=3)
    assert open_shard(tmp_path / "a.bin").tokens.shape == (0,)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (np.array([0, 10]), "ids from 0 to 10, expected 0 to 9"),
        (np.array([-1, 3]), "ids from -1"),
        (np.zeros(3), "float64"),
        (np.zeros((3, 3), int), "an axis of integers"),
    ],
)
def test_bad_tokens_are_refused_before_writing(tmp_path, tokens, message):
    with pytest.raises(ShapeError, match=message):
        write_shard(tmp_path / "a.bin", tokens, vocab_size=10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens": 99}, "expected 99 ids"),
        ({"dtype": "uint32"}, "expected 100 ids"),
        ({"dtype": "object"}, "dtype: got 'object'"),
        ({"dtype": ["uint16"]}, "dtype"),
        ({"tokens": "100"}, "tokens: got '100'"),
        ({"vocab_size": True}, "vocab_size"),
        ({"format": "other"}, "format"),
        ({"documents": -1}, "documents: got -1"),
        ({"source": 5}, "source: got 5"),
    ],
)
def test_sidecar_that_does_not_fit(shard, changes, message):
    edit_sidecar(shard, **changes)
    with pytest.raises(DataError, match=message) as error:
        open_shard(shard)
    assert error.value.file == str(shard)


def test_documents_have_starts(tmp_path):
    path = tmp_path / "a.bin"
    write_shard(path, np.arange(9), vocab_size=9, starts=[0, 4, 4])
    shard = open_shard(path, verify=True)
    assert shard.starts.tolist() == [0, 4, 4, 9]
    assert isinstance(shard.starts, np.memmap)
    write_shard(path, np.arange(9), vocab_size=9)
    assert open_shard(path).starts.tolist() == [0, 9]
    for starts in ([1, 4], [0, 5, 4], [0, 10], []):
        with pytest.raises(ShapeError, match="starts: got"):
            write_shard(path, np.arange(9), vocab_size=9, starts=starts)


def test_a_shard_without_starts_is_read(shard):
    """Those of earlier versions."""
    sidecar = json.loads(shard.with_suffix(".json").read_text())
    for name in ("documents", "index_sha256"):
        del sidecar[name]
    shard.with_suffix(".json").write_text(json.dumps(sidecar))
    shard.with_suffix(".idx").unlink()
    assert open_shard(shard, verify=True).starts is None


@pytest.mark.parametrize("starts", [[0, 5, 3, 100], [1, 5, 7, 100], [0, 5, 7, 99], [0, 100]])
def test_starts_that_do_not_fit(shard, starts):
    edit_sidecar(shard, documents=3)
    np.array(starts, np.int64).tofile(shard.with_suffix(".idx"))
    with pytest.raises(DataError, match=r"document starts that ascend|expected 4 ids") as error:
        open_shard(shard)
    assert error.value.file == str(shard.with_suffix(".idx"))


def test_writing_in_parts_is_writing_at_once(tmp_path):
    write_shard(tmp_path / "a.bin", np.arange(50), vocab_size=50, starts=[0, 20])
    with shard_writer(tmp_path / "b.bin", vocab_size=50, source="them") as writer:
        for ids in np.split(np.arange(50), 10):
            if ids[0] in (0, 20):
                writer.begin_document()
            writer.append(ids)
    for suffix in (".bin", ".idx"):
        a, b = ((tmp_path / name).with_suffix(suffix).read_bytes() for name in ("a.bin", "b.bin"))
        assert a == b
    described = [json.loads((tmp_path / f"{name}.json").read_text()) for name in "ab"]
    assert {**described[0], "source": "them"} == described[1]
    assert open_shard(tmp_path / "b.bin", verify=True).source == "them"


def test_a_failed_write_leaves_the_shard_that_was_there(shard):
    names = sorted(p.name for p in shard.parent.iterdir())
    with pytest.raises(ShapeError), shard_writer(shard, vocab_size=5) as writer:  # noqa: PT012
        writer.begin_document()
        writer.append(np.arange(5))
        writer.append(np.arange(6))
    assert sorted(p.name for p in shard.parent.iterdir()) == names
    assert open_shard(shard, verify=True).tokens.tolist() == list(range(100))


def test_damage_is_found_on_request(shard):
    data = bytearray(shard.read_bytes())
    data[0] ^= 1
    shard.write_bytes(data)
    open_shard(shard)
    with pytest.raises(DataError, match="damaged"):
        open_shard(shard, verify=True)


def test_other_bad_files(tmp_path, shard):
    (tmp_path / "odd.bin").write_bytes(b"abc")
    with pytest.raises(DataError, match="whole number of ids"):
        open_shard(tmp_path / "odd.bin")
    with pytest.raises(DataError, match="No such file"):
        open_shard(tmp_path / "none.bin")
    with pytest.raises(DataError, match=r"ends in \.bin"):
        write_shard(tmp_path / "a.json", np.arange(3), vocab_size=3)
    shard.with_suffix(".json").write_text("{")
    with pytest.raises(DataError, match=r"a\.json: JSON"):
        open_shard(shard)
