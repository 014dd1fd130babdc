"""Our safetensors reader and writer: agreement with the safetensors library both ways, and hostile
files, which must give CheckpointError and never anything else."""

import contextlib
import json
import math
import os
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from plainformer.checkpoints.safetensors import DTYPES, SafetensorsFile, load_file, save_file
from plainformer.errors import CheckpointError, DTypeError

SHAPES = [(), (0,), (1,), (3, 5), (2, 0, 4), (7, 1, 2)]


def make(dtype, shape):
    count = math.prod(shape)
    return (
        (np.arange(count) % 2 if np.dtype(dtype) == np.bool_ else np.arange(count))
        .astype(dtype)
        .reshape(shape)
    )


def every_dtype():
    return {
        f"{name}.{i}": make(dtype, shape)
        for name, dtype in DTYPES.items()
        for i, shape in enumerate(SHAPES)
    }


def raw_file(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def entry(dtype="F32", shape=(2,), begin=0, end=8):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def test_round_trip_of_every_dtype_and_shape(tmp_path):
    tensors = every_dtype()
    save_file(tensors, tmp_path / "a.safetensors", {"note": "ünïcode"})
    loaded = SafetensorsFile(tmp_path / "a.safetensors")
    assert loaded.metadata == {"format": "pt", "note": "ünïcode"}
    assert loaded.keys() == tensors.keys()
    for name, array in tensors.items():
        expected = array.astype(np.float32) if array.dtype == np.float16 else array
        assert loaded[name].dtype == expected.dtype
        assert loaded[name].shape == expected.shape
        assert loaded[name].tobytes() == expected.tobytes()
        assert not loaded[name].flags.writeable


def test_bytes_equal_the_librarys(tmp_path):
    tensors = {name: a for name, a in every_dtype().items() if not name.startswith("BF16")}
    save_file(tensors, tmp_path / "ours")
    safetensors.numpy.save_file(tensors, tmp_path / "theirs", {"format": "pt"})
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_library_reads_ours(tmp_path):
    tensors = {"x": make(ml_dtypes.bfloat16, (3, 5)), "y": make(np.float32, (4,))}
    save_file(tensors, tmp_path / "a")
    with safe_open(tmp_path / "a", framework="np") as file:
        assert file.metadata() == {"format": "pt"}
        assert file.get_tensor("x").tobytes() == tensors["x"].tobytes()
        assert file.get_tensor("y").tobytes() == tensors["y"].tobytes()


def test_strided_arrays_are_written_in_order(tmp_path):
    x = make(np.float32, (4, 6))
    save_file({"t": x.T, "s": x[::-1, ::2]}, tmp_path / "a")
    loaded = load_file(tmp_path / "a")
    np.testing.assert_array_equal(loaded["t"], x.T)
    np.testing.assert_array_equal(loaded["s"], x[::-1, ::2])


def test_unaligned_data_is_copied(tmp_path):
    header = json.dumps({"x": entry()}).encode()
    header += b" " * (3 - len(header) % 4)  # 8 + length is odd
    path = raw_file(tmp_path / "a", header, np.float32([1, 2]).tobytes())
    x = load_file(path)["x"]
    assert x.flags.aligned
    assert x.tolist() == [1, 2]


def test_reading_does_not_load_the_file(tmp_path):
    save_file({"x": np.zeros(1 << 22, np.float32)}, tmp_path / "a")
    tracemalloc.start()
    loaded = load_file(tmp_path / "a")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert loaded["x"].nbytes == 1 << 24
    assert peak < 1 << 18


@pytest.mark.parametrize(
    "array", [np.zeros(2, np.complex64), np.zeros(2, ">f4"), [1.0]], ids=["c64", "big", "list"]
)
def test_other_dtypes_are_refused_before_writing(tmp_path, array):
    with pytest.raises(DTypeError, match=r"tensors\['x'\]"):
        save_file({"x": array}, tmp_path / "a")
    assert os.listdir(tmp_path) == []


HOSTILE = {
    "overlap": ({"a": entry(), "b": entry(begin=4, end=12)}, 12, "overlaps"),
    "same bytes twice": ({"a": entry(), "b": entry()}, 8, "overlaps"),
    "hole": ({"a": entry(), "b": entry(begin=12, end=20)}, 20, "hole"),
    "hole at the start": ({"a": entry(begin=4, end=12)}, 12, "hole"),
    "bytes behind": ({"a": entry()}, 12, "got 12 bytes, expected 8"),
    "cut off": ({"a": entry()}, 4, "got 4 bytes, expected 8"),
    "wrong size": ({"a": entry(shape=(3,))}, 8, "got 8 bytes, expected 12"),
    "end before begin": ({"a": entry(begin=8, end=0)}, 8, "got -8 bytes"),
    "negative shape": ({"a": entry(shape=(-1, -2))}, 8, "shape"),
    "negative offset": ({"a": entry(begin=-8, end=0)}, 8, "data_offsets"),
    "huge shape": ({"a": entry(shape=(2**62, 2**62, 0), end=0)}, 0, "shape"),
    "float offset": ({"a": entry(begin=0.0)}, 8, "data_offsets"),
    "bool shape": ({"a": entry(shape=(True, 2))}, 8, "shape"),
    "many axes": ({"a": entry(shape=(1,) * 99, end=4)}, 4, "shape"),
    "unknown dtype": ({"a": entry(dtype="F128")}, 8, "dtype: got 'F128'"),
    "dtype a list": ({"a": entry(dtype=["F32"])}, 8, "dtype"),
    "missing field": ({"a": {"dtype": "F32", "shape": [2]}}, 8, "expected an object of"),
    "extra field": ({"a": {**entry(), "x": 1}}, 8, "expected an object of"),
    "entry a list": ({"a": [1]}, 8, "expected an object of"),
    "metadata not text": ({"__metadata__": {"a": 1}}, 0, "__metadata__"),
    "metadata a list": ({"__metadata__": []}, 0, "__metadata__"),
    "duplicate": (b'{"a": 1, "a": 2}', 0, "stands twice"),
    "duplicate field": (b'{"a": {"dtype": "F32", "dtype": "U8"}}', 0, "stands twice"),
    "deep": (b'{"a":' + b"[" * 100_000, 0, "nested too deep"),
    "not json": (b"{not json", 0, "JSON"),
    "not utf-8": (b'{"\xff": 1}', 0, "not valid UTF-8"),
    "surrogate": (b'{"\\ud800": 1}', 0, "surrogate"),
    "nan": (b'{"a": NaN}', 0, "not a number"),
    "long integer": (b'{"a": ' + b"9" * 5000 + b"}", 0, "digits"),
    "array": (b"[]", 0, "expected a JSON object"),
    "empty": (b"", 0, "expected a JSON object"),
    "space first": (b" {}", 0, "expected a JSON object"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_header(tmp_path, name):
    header, size, message = HOSTILE[name]
    with pytest.raises(CheckpointError, match=message) as error:
        load_file(raw_file(tmp_path / "a", header, bytes(size)))
    assert str(tmp_path / "a") in str(error.value)


@pytest.mark.parametrize(
    "data",
    [b"", b"1234567", (2**64 - 1).to_bytes(8, "little"), (9).to_bytes(8, "little") + b"{}"],
    ids=["empty", "short", "huge length", "length past the end"],
)
def test_bad_header_length(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(CheckpointError):
        load_file(tmp_path / "a")


def test_bool_bytes_are_checked(tmp_path):
    header = {"a": entry(dtype="BOOL", end=2)}
    with pytest.raises(CheckpointError, match="neither 0 nor 1"):
        load_file(raw_file(tmp_path / "a", header, b"\x01\x02"))


def test_only_regular_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    for path in (tmp_path / "pipe", tmp_path, "/dev/zero", tmp_path / "none", "a\0b"):
        with pytest.raises(CheckpointError):
            load_file(path)


HEADERS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
SIZES = st.lists(st.integers(-1, 2**70) | st.integers(0, 4), max_size=4)
ENTRIES = st.fixed_dictionaries(
    {"dtype": st.sampled_from(list(DTYPES)), "shape": SIZES, "data_offsets": SIZES}
)
FUZZ = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200
)


def read_all(path):
    """Sum every byte of every tensor: reading out of bounds would crash."""
    return sum(int(a.view(np.uint8).sum()) for a in load_file(path).values() if a.ndim and a.size)


@FUZZ
@given(
    header=st.dictionaries(st.text(max_size=3), ENTRIES | HEADERS, max_size=4),
    size=st.integers(0, 64),
)
def test_random_headers_load_or_are_refused(tmp_path, header, size):
    with contextlib.suppress(CheckpointError):
        read_all(raw_file(tmp_path / "a", header, bytes(size)))


@FUZZ
@given(data=st.data())
def test_damaged_files_load_or_are_refused(tmp_path, data):
    good = tmp_path / "good"
    save_file({"w": make(np.float32, (3, 4)), "b": make(bool, (5,)), "e": make("i8", (0, 2))}, good)
    raw = bytearray(good.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    (tmp_path / "bad").write_bytes(raw[: data.draw(st.sampled_from([cut, len(raw)]))])
    with contextlib.suppress(CheckpointError):
        read_all(tmp_path / "bad")


@FUZZ
@given(
    tensors=st.dictionaries(
        st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__"),
        st.tuples(st.sampled_from(list(DTYPES)), st.sampled_from(SHAPES)),
        max_size=6,
    )
)
def test_any_names_round_trip_and_agree_with_the_library(tmp_path, tensors):
    arrays = {name: make(DTYPES[dtype], shape) for name, (dtype, shape) in tensors.items()}
    save_file(arrays, tmp_path / "a")
    assert load_file(tmp_path / "a").keys() == arrays.keys()
    with safe_open(tmp_path / "a", framework="np") as theirs:
        for name, array in arrays.items():
            assert theirs.get_tensor(name).tobytes() == array.tobytes()
