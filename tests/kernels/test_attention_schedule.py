"""How attention is shared out over many threads: what the plan's tasks are, and what they give."""

import heapq
import itertools
import shutil
import subprocess
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from plainformer import kernels, runtime

ROOT = Path(__file__).parents[2]

# lengths, query heads, key/value heads, width of a head
SHAPES = {
    "1x12x1024x64": ([1024], 12, 12, 64),
    "4x12x1024x64": ([1024] * 4, 12, 12, 64),
    "1x12x4096x64": ([4096], 12, 12, 64),
    "1x16x2048x128": ([2048], 16, 16, 128),
    "1x32x1024x128 kv8": ([1024], 32, 8, 128),
    "16x12x64 to 2048x64": ([64, 128, 96, 300] * 3 + [1024, 512, 700, 2048], 12, 12, 64),
}
# 48 heads of 3 parts each: too few for 64 threads, and each thread has work for half a millisecond.
SHORT = {"4x12x256x64": ([256] * 4, 12, 12, 64)}


@pytest.fixture(scope="module")
def tasks_of(tmp_path_factory):
    """Call for the tasks of a shape: a list of floating-point operations a wave."""
    if shutil.which("c++") is None:
        pytest.skip("needs a C++ compiler")
    program = tmp_path_factory.mktemp("schedule") / "attention_tasks"
    sources = ["csrc/cpu/attention_plan.cpp", "csrc/cpu/attention_work.cpp"]
    sources.append("tests/cpp/attention_tasks.cpp")
    include = [f"-I{ROOT / folder}" for folder in ("csrc/cpu", "csrc/include")]
    command = ["c++", "-std=c++17", "-O1", *include, *(str(ROOT / s) for s in sources)]
    subprocess.run([*command, "-o", str(program)], check=True)

    def call(shape, causal, backward, threads):
        lengths, H, KV, D = shape
        numbers = [H, KV, D, int(causal), int(backward), threads, *lengths]
        command = [str(program), *map(str, numbers)]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        tasks = [tuple(map(int, line.split())) for line in lines.splitlines()]
        return [[f for _, f in wave] for _, wave in itertools.groupby(tasks, lambda t: t[0])]

    return call


def makespan(waves, threads):
    """When the last thread ends, if each takes the next task as soon as it is free."""
    total = 0
    for wave in waves:
        ends = [0] * threads
        for flops in wave:
            heapq.heappush(ends, heapq.heappop(ends) + flops)
        total += max(ends)
    return total


def excess(waves, threads):
    """The makespan as a multiple of what no schedule can better."""
    return makespan(waves, threads) / (sum(map(sum, waves)) / threads)


@pytest.mark.parametrize("threads", [2, 16, 32, 64])
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])
@pytest.mark.parametrize("shape", SHAPES)
def test_threads_end_together(tasks_of, shape, causal, backward, threads):
    waves = tasks_of(SHAPES[shape], causal, backward, threads)
    assert excess(waves, threads) <= (1.15 if causal else 1.17)


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
def test_short_heads_are_shared_out_as_far_as_they_go(tasks_of, backward):
    waves = tasks_of(SHORT["4x12x256x64"], True, backward, 64)
    assert excess(waves, 64) <= (1.25 if backward else 1.15)


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("shape", SHAPES)
def test_all_work_is_planned_once(tasks_of, shape, backward):
    once = sum(map(sum, tasks_of(SHAPES[shape], True, backward, 1)))
    for threads in (2, 3, 16, 64):
        assert sum(map(sum, tasks_of(SHAPES[shape], True, backward, threads))) == once


def test_one_thread_shares_nothing_out(tasks_of):
    assert len(tasks_of(SHAPES["1x12x1024x64"], True, True, 1)[0]) == 12


def test_short_sentences_go_together(tasks_of):
    (wave,) = tasks_of(([16] * 8, 12, 12, 32), False, False, 64)
    assert len(wave) < 8 * 12 / 10


def test_the_parts_of_dq_are_bounded(tasks_of):
    tasks = tasks_of(([16384], 1, 1, 64), True, True, 64)
    assert 8 < len(tasks[0]) <= 16
    # 24 heads of 16384 in full: their parts would take 1.6 GB at once, and threads have 16 MB each.
    assert len(tasks_of(([16384] * 2, 12, 12, 64), False, True, 64)) == 2


# ---- bytes ---------------------------------------------------------------------------------------


def both_passes(arrays, **options):
    q, k, v, grad = arrays
    options["enable_gqa"] = True
    out, lse = kernels.scaled_dot_product_attention(q, k, v, return_lse=True, **options)
    grads = kernels.scaled_dot_product_attention_backward(grad, q, k, v, out, lse, **options)
    return b"".join(np.asarray(x).tobytes() for x in (out, lse, *grads))


# H, KV, length, options: parts of 96 keys, several in a block; of 48; wide ones of 384 keys; all
# of one head.
SHARED = {
    "narrow parts": (12, 12, 333, {"is_causal": True}),
    "narrowest parts": (4, 4, 410, {}),
    "wide parts": (1, 1, 4000, {"is_causal": True}),
    "shared keys": (6, 2, 450, {"is_causal": True, "dropout_p": 0.1, "seed": 5}),
}


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
@pytest.mark.parametrize("case", SHARED)
def test_bytes_do_not_depend_on_the_threads(level, case, dtype, rng):
    if level == "generic" and case == "wide parts":
        pytest.skip("slow there, and the same code")
    H, KV, L, options = SHARED[case]
    shapes = [(1, H, L, 64), (1, KV, L, 64), (1, KV, L, 64), (1, H, L, 64)]
    arrays = [rng.standard_normal(s, dtype=np.float32).astype(dtype) for s in shapes]
    results = set()
    for threads in (1, 2, 7, 64):
        with runtime.num_threads(threads):
            results.add(both_passes(arrays, **options))
    assert len(results) == 1


def test_a_masks_gradient_does_not_depend_on_the_threads(rng):
    q, k, v, grad = (rng.standard_normal((2, 2, 500, 64), dtype=np.float32) for _ in range(4))
    for rows in (1, 500):
        mask = rng.standard_normal((1, 1, rows, 500), dtype=np.float32)
        out, lse = kernels.scaled_dot_product_attention(q, k, v, mask, return_lse=True)
        results = set()
        for threads in (1, 64):
            with runtime.num_threads(threads):
                *_, dmask = kernels.scaled_dot_product_attention_backward(
                    grad, q, k, v, out, lse, mask, mask_grad=True
                )
            results.add(dmask.tobytes())
        assert len(results) == 1


def test_a_few_heads_of_a_long_cache_do_not_depend_on_the_threads(rng):
    q = rng.standard_normal((1, 1, 12, 64), dtype=np.float32)
    k, v = (rng.standard_normal((1, 3000, 12, 64), dtype=np.float32) for _ in range(2))
    results = set()
    for threads in (1, 2, 64):
        with runtime.num_threads(threads):
            y = kernels.flash_attn_with_kvcache(q, k, v, cache_seqlens=np.int32([2900]))
            results.add(np.asarray(y).tobytes())
    assert len(results) == 1
