"""Model directories: shards, hostile indexes, and one error for every key that does not fit."""

import json
import os

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
    "weight_map", [{"x": "a", "y": "a"}, {"x": "none"}, [], {"z": "b", "x": "a", "y": "b"}]
)
def test_index_that_does_not_fit_its_files(tmp_path, weight_map):
    save_file({"x": np.zeros(2)}, tmp_path / "a")
    save_file({"x": np.zeros(2), "y": np.zeros(1)}, tmp_path / "b")
    (tmp_path / hf.INDEX).write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(CheckpointError):
        hf.load_state(tmp_path)


@pytest.mark.parametrize(
    ("file", "message"), [("pytorch_model.bin", "pickle"), ("README.md", "no weights")]
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


EXPECTED = {
    "transformer.wte.weight": (7, 4),
    "transformer.ln_f.bias": (4,),
    "lm_head.weight": (7, 4),
}


@pytest.mark.parametrize("prefix", ["transformer.", ""], ids=["present", "absent"])
def test_prefix_may_be_present_or_absent(prefix):
    state = {
        f"{prefix}wte.weight": np.zeros((7, 4)),
        f"{prefix}ln_f.bias": np.ones(4),
        "lm_head.weight": np.zeros((7, 4)),
        f"{prefix}h.0.attn.bias": np.zeros(1),
    }
    matched = hf.match_keys(state, EXPECTED, prefix="transformer.", ignore=["*h.?.attn.bias"])
    assert list(matched) == list(EXPECTED)
    assert matched["transformer.ln_f.bias"].sum() == 4


def test_model_without_prefix_reads_a_file_with_it():
    state = {"bert.a": np.zeros(2)}
    assert hf.match_keys(state, {"a": (2,)}, prefix="bert.").keys() == {"a"}


def test_everything_that_does_not_fit_is_one_error():
    state = {"wte.weight": np.zeros((9, 4)), "ln_f.bias": np.zeros(4), "extra": np.zeros(1)}
    with pytest.raises(CheckpointError) as error:
        hf.match_keys(state, EXPECTED, prefix="transformer.", source="some/dir")
    assert str(error.value) == (
        "some/dir: does not fit the model: missing keys (1): lm_head.weight; "
        "unexpected keys (1): extra; mismatched shapes (1): "
        "transformer.wte.weight: got (9, 4), expected (7, 4)"
    )


def test_the_same_tensor_twice_is_unexpected():
    state = {"transformer.wte.weight": np.zeros(1), "wte.weight": np.zeros(1)}
    with pytest.raises(CheckpointError, match=r"unexpected keys \(1\): wte\.weight"):
        hf.match_keys(state, {"transformer.wte.weight": (1,)}, prefix="transformer.")


def test_long_lists_are_cut():
    expected = {f"w{i}": (1,) for i in range(20)}
    with pytest.raises(CheckpointError, match=r"missing keys \(20\): w0, .*w7, and 12 more"):
        hf.match_keys({}, expected)
