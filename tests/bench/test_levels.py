"""Everyone held to one level: what the environment says, and that each peer is asked whether it
obeyed."""

import subprocess
import sys

import pytest

from plainformer import runtime
from plainformer.bench import levels
from plainformer.bench.peers import instructions
from plainformer.bench.process import (
    PACKAGE,
    Child,
    PeerLevelError,
    environment,
    interpreters,
    python_of,
)
from plainformer.errors import ConfigError

NUMPY = "plainformer.bench.peers.numpy_peer"
BEST = runtime.available_levels()[-1]
LOWER = runtime.available_levels()[:-1]


def test_every_level_of_the_order_has_words_for_every_library():
    assert set(levels._WORDS) == set(levels.ORDER)
    for level in runtime.available_levels():
        if level in levels.ORDER:
            assert levels.environment(level)["PLAINFORMER_CPU_ISA"] == level
    assert levels.environment(None) == {}


def test_nobody_elses_level_is_inherited(monkeypatch):
    for name in ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "CT2_FORCE_CPU_ISA"):
        monkeypatch.setenv(name, "avx2")
        assert name not in environment(1, {})


def test_a_level_that_is_not_there_is_an_error():
    levels.check(None)
    levels.check(BEST)
    with pytest.raises(ConfigError, match="level: got 'avx3', expected one of generic"):
        levels.check("avx3")


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("AVX2", "avx2"),
        ("DEFAULT", "generic"),
        ("Intel AVX-512 with Intel DL Boost and bfloat16 support", "avx512bf16"),
        ("Intel AVX-512 with AVX512BW, AVX512VL, and AVX512DQ extensions", "avx512"),
        ("Intel AVX-512 with float16, Intel DL Boost and bfloat16 support and Intel AMX", "amx"),
        ("Intel AVX2", "avx2"),
        ("Intel SSE4.1", "generic"),
        ("Intel(R) Advanced Vector Extensions 512 (Intel(R) AVX-512) enabled processors", "avx512"),
        ("Intel(R) Advanced Vector Extensions 2 (Intel(R) AVX2) enabled processors", "avx2"),
        ("nothing that is known", None),
    ],
)
def test_levels_are_read_from_what_libraries_say(text, level):
    assert instructions.level_of_text(text) == level


@pytest.mark.parametrize(
    ("heading", "level"),
    [
        ("Intel(R) Architecture processors, Lnx 2.60GHz lp64", "avx2"),
        ("Intel(R) Advanced Vector Extensions 512 (Intel(R) AVX-512) enabled", "avx512"),
        ("something else", None),
    ],
)
def test_mkl_says_its_level_in_its_heading(heading, level):
    text = f"MKL_VERBOSE oneMKL 2024.0 for Intel(R) 64 architecture {heading}\nMKL_VERBOSE SGEMM"
    assert instructions.level_of_mkl(text) == level
    assert instructions.level_of_mkl("") is None


@pytest.mark.parametrize(
    ("core", "level"),
    [("Haswell", "avx2"), ("Zen", "avx2"), ("SkylakeX", "avx512"), ("Cooperlake", "avx512bf16"),
     ("Nehalem", "generic"), ("Unheard", None)],
)  # fmt: skip
def test_openblas_names_its_kernels(core, level):
    assert instructions.level_of_core(core) == level


def test_what_c_code_prints_is_caught():
    code = (
        f"import ctypes, sys; sys.path.insert(0, {str(PACKAGE.parent)!r});"
        "from plainformer.bench.peers import instructions;"
        "print(repr(instructions.printed(lambda: ctypes.CDLL(None).puts(b'from C'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "'from C\\n'\n", done.stderr


@pytest.mark.skipif(not LOWER, reason="this processor has one level")
@pytest.mark.parametrize(
    ("used", "objection"),
    [
        ({"BLAS": "generic"}, None),
        ({"BLAS": "amx"}, "BLAS uses amx all the same"),
        ({"ATen": "generic", "BLAS": None}, "BLAS cannot be held"),
        ({}, "it cannot be held, or does not say"),
    ],
)
def test_a_peer_that_uses_more_or_does_not_say_is_objected_to(used, objection):
    found = levels.objection({"instructions": used}, "generic")
    assert (found is None) if objection is None else objection in found
    assert levels.objection({"instructions": used}, BEST) is None
    assert levels.objection({"instructions": used}, None) is None


@pytest.mark.skipif(not LOWER, reason="this processor has one level")
def test_a_peer_that_does_not_obey_is_not_compared(tmp_path):
    (tmp_path / "stubborn.py").write_text(
        "describe = lambda: {'instructions': {'its kernels': 'amx'}}\nset_threads = print\n"
    )
    file = str(tmp_path / "stubborn.py")
    with pytest.raises(PeerLevelError, match="held to generic: its kernels uses amx"):
        Child(file, 1, level="generic")
    Child(file, 1).close()


@pytest.mark.parametrize("level", runtime.available_levels())
def test_numpy_and_its_openblas_obey(level):
    child = Child(NUMPY, 1, level=level)
    used = child.description["instructions"]
    child.close()
    order = levels.ORDER
    for own in used.values():
        assert own is None or level not in order or order.index(own) <= order.index(level)
    if level in ("generic", "avx2"):
        assert used["NumPy"] == level


def test_interpreters_by_name():
    pythons = interpreters(["/a", "onnxruntime=/b"])
    assert python_of("torch", pythons) == "/a"
    assert python_of("onnxruntime", pythons) == "/b"
    assert python_of("numpy", pythons) == python_of("plainformer", pythons) == sys.executable
    assert python_of("torch", {}) == sys.executable
    with pytest.raises(ConfigError, match="expected PATH or NAME=PATH"):
        interpreters(["=/a"])
