"""AMX's tiles without AMX: the instructions' twins, and the level that computes with them."""

import shutil
import signal
import subprocess
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from plainformer import _cpu, kernels, runtime

ROOT = Path(__file__).parents[1]
BFLOAT16 = ml_dtypes.bfloat16


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """The program of tests/cpp/amx_twins.cpp."""
    program = tmp_path_factory.mktemp("amx") / "amx_twins"
    include = [f"-I{ROOT / part}" for part in ("csrc/include", "csrc/cpu")]
    source = str(ROOT / "tests/cpp/amx_twins.cpp")
    subprocess.run(["c++", "-std=c++17", "-O1", *include, source, "-o", program], check=True)
    return program


@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")
def test_twins_do_what_the_manual_says(twins):
    result = subprocess.run([twins], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")
def test_a_tile_that_nobody_configured_ends_the_program(twins):
    result = subprocess.run([twins, "unconfigured"], timeout=60, check=False)
    assert result.returncode in (-signal.SIGILL, -signal.SIGTRAP)


def test_the_emulated_level_is_chosen_by_name_alone():
    assert "amx_emulated" not in runtime.available_levels()
    with runtime.use_level("amx_emulated"):
        assert runtime.current_level() == "amx_emulated"
    assert runtime.current_level() != "amx_emulated"


def test_all_but_products_of_bfloat16_is_the_level_below():
    rng = np.random.default_rng(0)
    x, weight = (rng.standard_normal((9, 40)).astype(np.float32) for _ in range(2))
    with runtime.use_level("generic"):
        below = kernels.linear(x, weight), kernels.softmax(x.astype(BFLOAT16))
    with runtime.use_level("amx_emulated"):
        emulated = kernels.linear(x, weight), kernels.softmax(x.astype(BFLOAT16))
    assert [y.tobytes() for y in emulated] == [y.tobytes() for y in below]


@pytest.mark.skipif("amx" not in _cpu.available_levels(), reason="this processor has no AMX")
@pytest.mark.parametrize("shape", [(1, 1, 1), (16, 64, 32), (129, 577, 1031)], ids=str)
def test_instructions_give_the_bytes_of_their_twins(shape):
    rng = np.random.default_rng(0)
    M, N, K = shape
    a = rng.standard_normal((M, K)).astype(BFLOAT16)
    b = rng.standard_normal((K, N)).astype(BFLOAT16)
    outputs = []
    for level in ("amx", "amx_emulated"):
        with runtime.use_level(level):
            outputs.append(kernels.matmul(a, b).tobytes())
    assert outputs[0] == outputs[1]
