"""Model directories: one file or shards, opened without reading them, and hostile indexes."""

import json
import os
import time
import tracemalloc

import ml_dtypes
import numpy as np
import pytest

from plainformer.checkpoints import huggingface as hf
from plainformer.checkpoints.files import read_json
from plainformer.checkpoints.safetensors import save_file
from plainformer.errors import CheckpointError, ConfigError

CONFIG = {"model_type": "gpt2", "n_layer": 2}


def make_state(count=5, size=100):
    return {f"h.{i}.weight": np.full(size, i, np.float32) for i in range(count)}


def assert_same(state, expected):
    assert state.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(state[name], array)


def test_one_file(tmp_path):
    state = make_state()
    hf.save_model(tmp_path / "m", state, CONFIG, generation_config={"eos_token_id": 3})
    assert sorted(os.listdir(tmp_path / "m")) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
    ]
    assert hf.read_config(tmp_path / "m") == CONFIG
    assert read_json(tmp_path / "m" / hf.GENERATION_CONFIG) == {"eos_token_id": 3}
    assert_same(hf.load_state(tmp_path / "m"), state)


@pytest.mark.parametrize(
    ("size", "files"), [(2000, 1), (1999, 2), (800, 3), ("400", 5), (1, 5), ("1KB", 3)]
)
def test_shards_hold_at_most_the_size(tmp_path, size, files):
    state = make_state()  # 5 tensors of 400 bytes
    hf.save_model(tmp_path, state, CONFIG, max_shard_size=size)
    weights = sorted(name for name in os.listdir(tmp_path) if name.endswith(".safetensors"))
    assert len(weights) == files
    assert_same(hf.load_state(tmp_path), state)
    if files > 1:
        assert weights[0] == f"model-00001-of-{files:05d}.safetensors"
        index = json.loads((tmp_path / hf.INDEX).read_text())
        assert index["metadata"] == {"total_size": 2000, "total_parameters": 500}
        assert index["weight_map"].keys() == state.keys()


def test_saving_again_leaves_no_weights_of_before(tmp_path):
    (tmp_path / "notes.txt").write_text("kept")
    for size in (2000, 400, 800, 2000):
        state = make_state(size=100)
        hf.save_model(tmp_path, state, CONFIG, max_shard_size=size)
        assert_same(hf.load_state(tmp_path), state)
    assert sorted(os.listdir(tmp_path)) == ["config.json", "model.safetensors", "notes.txt"]


@pytest.mark.parametrize("size", ["", "5XB", "-1", 0, "GB", "1.5GB"])
def test_bad_shard_size(tmp_path, size):
    with pytest.raises(ConfigError, match="max_shard_size"):
        hf.save_model(tmp_path, make_state(), CONFIG, max_shard_size=size)


def test_sizes():
    assert hf.parse_size(7) == 7
    assert hf.parse_size("5GB") == 5 * 10**9
    assert hf.parse_size("2 MiB") == 2 * 2**20


@pytest.mark.parametrize("name", ["../secret.safetensors", "/secret", "a/b", "..", "", 3, None, []])
def test_index_cannot_point_outside(tmp_path, name):
    save_file({"x": np.zeros(2)}, tmp_path / "secret.safetensors")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / hf.INDEX).write_text(json.dumps({"weight_map": {"x": name}}))
    with pytest.raises(CheckpointError, match="weight_map"):
        hf.load_state(tmp_path / "m")


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        ({"x": "a", "y": "a"}, "'y': the index and a do not agree"),
        ({"z": "b", "x": "a", "y": "b"}, "'x': the index and b do not agree"),
        ({"x": "a", "y": "none", "z": "nor"}, r"2 of 3 files are missing: \['none', 'nor'\]"),
        ([], "expected an object"),
        ({}, "expected an object"),
        (None, "expected an object"),
    ],
)
def test_index_that_does_not_fit_its_files(tmp_path, weight_map, message):
    save_file({"x": np.zeros(2)}, tmp_path / "a")
    save_file({"x": np.zeros(2), "y": np.zeros(1)}, tmp_path / "b")
    (tmp_path / hf.INDEX).write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(CheckpointError, match=message):
        hf.load_state(tmp_path)


def test_half_precision_is_converted_when_asked_for(tmp_path):
    half = np.float16([-3, 1e-7, 0, 65504, np.inf, np.nan, -0.0])
    bfloat = np.linspace(-3, 3, 7).astype(ml_dtypes.bfloat16)
    hf.save_model(tmp_path, {"h": half, "b": bfloat}, CONFIG, max_shard_size=1)
    state = hf.load_state(tmp_path)
    assert state.shapes == {"h": (7,), "b": (7,)}
    assert state["h"].dtype == np.float32
    assert state["h"].tobytes() == half.astype(np.float32).tobytes()
    assert state["b"].dtype == ml_dtypes.bfloat16
    assert state["b"].tobytes() == bfloat.tobytes()


@pytest.mark.parametrize("size", ["8GB", "200MB"], ids=["one file", "shards"])
def test_half_a_gigabyte_opens_in_milliseconds(tmp_path, size):
    """Sparse files: opening reads headers, not data. A full read takes ten times longer."""
    state = {f"h.{i}.weight": np.zeros(1, np.float32) for i in range(5)}
    hf.save_model(tmp_path, state, CONFIG)
    widen(tmp_path, columns=25_000_000, shards=1 if size == "8GB" else 5)
    times = []
    for _ in range(5):  # the best of five: the machine may be busy with something else
        start = time.perf_counter()
        opened = hf.load_state(tmp_path)
        arrays = [opened[name] for name in opened]
        times.append(time.perf_counter() - start)
    tracemalloc.start()
    hf.load_state(tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(array.nbytes for array in arrays) == 5 * 10**8
    assert not any(array.flags.writeable or array.flags.owndata for array in arrays)
    assert min(times) < 0.02
    assert peak < 1 << 18


def widen(directory, columns, shards):
    """Replace the weights in `directory` by files of zeros that take no room on the disk."""
    os.unlink(directory / hf.WEIGHTS)
    weight_map = {}
    for shard in range(shards):
        name = hf.WEIGHTS if shards == 1 else f"part-{shard}"
        names = [f"h.{i}.weight" for i in (range(5) if shards == 1 else [shard])]
        header = {
            key: {
                "dtype": "F32",
                "shape": [columns],
                "data_offsets": [4 * columns * i, 4 * columns * (i + 1)],
            }
            for i, key in enumerate(names)
        }
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with open(directory / name, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.truncate(8 + len(text) + 4 * columns * len(names))
        weight_map |= dict.fromkeys(names, name)
    if shards > 1:
        (directory / hf.INDEX).write_text(json.dumps({"weight_map": weight_map}))


def test_weights_may_be_links_as_in_hugging_faces_cache(tmp_path):
    save_file(make_state(), tmp_path / "blob")
    (tmp_path / "m").mkdir()
    os.symlink("../blob", tmp_path / "m" / hf.WEIGHTS)
    assert_same(hf.load_state(tmp_path / "m"), make_state())
    os.unlink(tmp_path / "blob")
    with pytest.raises(CheckpointError, match=r"model\.safetensors: cannot be read: No such file"):
        hf.load_state(tmp_path / "m")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("pytorch_model.bin", r"pickle files only \(\['pytorch_model.bin'\]\)"),
        ("model.pth", "pickle"),
        ("README.md", "no weights"),
    ],
)
def test_directory_without_weights(tmp_path, file, message):
    (tmp_path / file).write_text("")
    with pytest.raises(CheckpointError, match=message):
        hf.load_state(tmp_path)


def test_no_such_directory(tmp_path):
    for read in (hf.load_state, hf.read_config):
        with pytest.raises(CheckpointError, match="no such directory"):
            read(tmp_path / "openai-community" / "gpt2")


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1, "a": 2}', "{" * 100_000, '{"a": NaN}'])
def test_bad_config(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json: JSON"):
        hf.read_config(tmp_path)
