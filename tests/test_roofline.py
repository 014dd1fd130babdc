"""The machine's ceilings, as far as they can be checked without knowing the machine."""

from __future__ import annotations

import pytest

from plainformer import _cpu, runtime
from plainformer.errors import ConfigError


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_every_level_has_a_floating_point_peak(dtype, level):
    assert _cpu.measure_peak(dtype, 2) > 0.1


def test_integer_dot_products_exist_only_where_the_level_has_them():
    for level in _cpu.available_levels():
        with runtime.use_level(level):
            assert (_cpu.measure_peak("int8", 2) > 0) == (level in ("avx512bf16", "amx"))


def test_vectors_beat_the_generic_level():
    if len(_cpu.available_levels()) == 1:
        pytest.skip("this processor has no other level")

    def peak(level):
        with runtime.use_level(level):
            return _cpu.measure_peak("float32", 5)

    # One thread and the best of short rounds in turn: a busy core next door halves what two
    # threads reach, and it may be busy during either level's turn.
    vectors = _cpu.available_levels()[1]
    with runtime.num_threads(1):
        rounds = [(peak("generic"), peak(vectors)) for _ in range(5)]
    generic, fused = map(max, zip(*rounds))
    assert fused > 1.2 * generic


@pytest.mark.parametrize("memory_pass", ["read", "copy", "stream"])
def test_bandwidth(memory_pass, level):
    assert _cpu.measure_bandwidth(memory_pass, 1, 1 << 22) > 0.1


def test_a_peak_is_measured_once():
    assert runtime.measure_peak("float32", 1) == runtime.measure_peak("float32", 1)
    assert runtime.measure_peak("float32") > 1e8


def test_wrong_words_are_errors():
    with pytest.raises(ConfigError, match='dtype: got "float8", expected float32, bfloat16'):
        runtime.measure_peak("float8")
    with pytest.raises(ConfigError, match='pass: got "write", expected read, copy or stream'):
        _cpu.measure_bandwidth("write")
    with pytest.raises(ConfigError, match="bytes: got 5, expected >= 256 KiB"):
        _cpu.measure_bandwidth("read", 1, 5)
