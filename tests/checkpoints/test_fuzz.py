"""Files that are nearly valid: a correct load or CheckpointError, never anything else.

The library's own reader is the judge of correct: what ours accepts, it must accept, with the same
bytes. The longer runs and the largest files are under the slow marker.
"""

import json
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from plainformer.checkpoints import huggingface as hf
from plainformer.checkpoints.files import MAX_JSON_BYTES
from plainformer.checkpoints.safetensors import load_file, save_file
from plainformer.errors import CheckpointError

from .mutations import damaged, edited

FUZZ = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=150,
)
LONG = settings(FUZZ, max_examples=5000)

TENSORS = {
    "wte": np.arange(12, dtype=np.float32).reshape(3, 4),
    "bias": np.arange(5, dtype=ml_dtypes.bfloat16),
    "half": np.arange(6, dtype=np.float16).reshape(2, 3),
    "mask": np.array([True, False, True]),
    "empty": np.zeros((0, 2), np.int64),
}


def valid_file(directory):
    """The header of a valid file, and its data."""
    if not (directory / "valid").exists():
        save_file(TENSORS, directory / "valid")
    raw = (directory / "valid").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def attempt(read, path):
    """What `read(path)` returns; None where it gives a CheckpointError, which must be short."""
    try:
        return read(path)
    except CheckpointError as error:
        message = str(error)
    assert str(path) in message
    assert len(message) < 2000
    return None


def read_all(path):
    return {name: array.copy() for name, array in load_file(path).items()}


def assert_the_library_agrees(path, arrays):
    with safe_open(path, framework="np") as theirs:
        assert set(theirs.keys()) == arrays.keys()
        for name, array in arrays.items():
            entry = theirs.get_slice(name)
            assert list(entry.get_shape()) == list(array.shape)
            if entry.get_dtype() != "BF16":  # older versions do not read it
                wanted = theirs.get_tensor(name)
                wanted = wanted.astype(np.float32) if wanted.dtype == np.float16 else wanted
                assert array.tobytes() == wanted.tobytes()


def check_header(directory, data):
    header, body = valid_file(directory)
    text = json.dumps(data.draw(edited(header))).encode()
    body = data.draw(st.sampled_from([body, body[:-1], body + b"\0", body * 2]))
    path = directory / "a"
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    arrays = attempt(read_all, path)
    if arrays is not None:
        assert_the_library_agrees(path, arrays)


def check_bytes(directory, data):
    valid_file(directory)
    path = directory / "a"
    path.write_bytes(data.draw(damaged((directory / "valid").read_bytes())))
    arrays = attempt(read_all, path)
    if arrays is not None:
        assert_the_library_agrees(path, arrays)


def check_index(directory, data):
    state = {f"h.{i}": np.full(3, i, np.float32) for i in range(4)}
    valid = directory / "valid.json"
    index = directory / "m" / hf.INDEX
    if not valid.exists():  # saving waits for the disk
        hf.save_model(directory / "m", state, {}, max_shard_size=24)
        index.rename(valid)
    listed = json.loads(valid.read_text())
    index.write_bytes(
        data.draw(
            st.one_of(
                edited(listed).map(lambda value: json.dumps(value).encode()),
                damaged(valid.read_bytes()),
            )
        )
    )
    loaded = attempt(hf.load_state, directory / "m")
    if loaded is not None:
        assert loaded.keys() <= state.keys()  # whole shards left out are missing keys of a model
        assert all(loaded[name].tobytes() == state[name].tobytes() for name in loaded)


def check_config(directory, data):
    config = {"model_type": "gpt2", "n_layer": 2, "task": {"a": [1, None, 1e-5]}, "é": "\U0001f600"}
    (directory / hf.CONFIG).write_bytes(data.draw(damaged(json.dumps(config).encode())))
    assert isinstance(attempt(hf.read_config, directory), (dict, type(None)))


CHECKS = [check_header, check_bytes, check_index, check_config]


@pytest.mark.parametrize("check", CHECKS)
@FUZZ
@given(data=st.data())
def test_nearly_valid_files(tmp_path, check, data):
    check(tmp_path, data)


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS)
@LONG
@given(data=st.data())
def test_nearly_valid_files_at_length(tmp_path, check, data):
    check(tmp_path, data)


def objects(fields):
    return b"{" + b",".join(fields) + b"}"


def in_entry(field):
    return b'{"a":{"data_offsets":[0,4],' + field + b"}}"


# Headers of about n bytes that cost the most for their size.
COSTLY = {
    "nested lists": lambda n: b'{"a":[' + b"[]," * (n // 3) + b"[]]}",
    "deep": lambda n: b'{"a":' * (n // 5),
    "many keys": lambda n: objects(b'"%d":0' % i for i in range(n // 11)),
    "one key": lambda n: objects([b'"a":0'] * (n // 6)),
    "long shape": lambda n: in_entry(b'"dtype":"F32","shape":[' + b"2," * (n // 2) + b"1]"),
    "long integer": lambda n: b'{"a":' + b"9" * n + b"}",
    "long name": lambda n: b'{"' + b"a" * n + b'":0}',
    "long dtype": lambda n: in_entry(b'"shape":[1],"dtype":"' + b"F" * n + b'"'),
    "floats": lambda n: b'{"a":[' + b"1.5," * (n // 4) + b"1]}",
}
LOAD = """
import resource, sys, time
import plainformer.checkpoints.safetensors as safetensors
from plainformer.errors import CheckpointError
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (int(sys.argv[2]) << 20),) * 2)
try:
    safetensors.load_file(sys.argv[1])
except CheckpointError as error:
    print(len(str(error)), time.process_time())
"""


def load_in_a_small_process(path, header, megabytes):
    """Length of the error and processor seconds, where so much memory may be added."""
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    command = [sys.executable, "-c", LOAD, str(path), str(megabytes)]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    length, seconds = output.split()
    return int(length), float(seconds)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", COSTLY)
def test_a_megabyte_of_header_costs_little(tmp_path, name):
    header = COSTLY[name](1 << 20)
    length, seconds = load_in_a_small_process(tmp_path / "a", header, megabytes=64)
    assert length < 1000
    assert seconds < 3


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", COSTLY)
def test_the_largest_headers_cost_bounded_time_and_memory(tmp_path, name):
    header = COSTLY[name](MAX_JSON_BYTES - 200)
    length, seconds = load_in_a_small_process(tmp_path / "a", header, megabytes=1200)
    assert length < 1000
    assert seconds < 60
