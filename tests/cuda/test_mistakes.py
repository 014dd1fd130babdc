"""The emulation finds mistakes: kernels that are right with every line and wrong without one.

tests/cpp/cuda/mistakes.h and rules.h hold the kernels. What each order, poison and sanitizer sees
of them is what docs/cuda-emulation.md says it does.
"""

import re

import pytest

from tests.cuda import programs

ORDERS = ("fifo", "lifo", "1", "2", "3", "4")
SEEDS = ("1", "2", "3", "4")
RIGHT = ["sums", "ring", "transposed", "products", "store_product", "cluster_sum", "rules",
         "accumulators"]  # fmt: skip

# Mistake: (orders that find it, what each says of it).
EVERYWHERE = {
    "no_barrier_before_reading": "wrong",
    "no_barrier_in_ring": "wrong",
    "store_with_another_swizzle": "wrong",
    "wait_for_one_copy_less": "wrong",
    "parity_of_empty": r"deadlock: 1 threads wait for mbarrier parity 0 at mistakes\.h:\d+; "
    r"128 threads wait for mbarrier parity 0 at mistakes\.h:\d+; 127 threads have exited "
    r"\[block 0,0,0\]",
    "parity_of_full": r"deadlock|mbarrier: more than 1 arrivals in one phase",
    "no_wait_for_empty": "mbarrier: more than 1 arrivals in one phase",
    "no_barrier_after_init": "is used before its init|with no barrier since its init",
    "no_fence_after_init": "mbarrier is used by TMA without mbarrier_init_fence",
    "released_before_wgmma_is_done": "wrong",
    "stride_of_descriptor": "wrong",
    "too_few_bytes_expected": "wrong|block ends with 8192 more bytes delivered than expected",
    "no_wgmma_fence": "wgmma without wgmma_fence since the start or the last wait",
    "no_wgmma_wait": "wrong",
    "no_proxy_fence": "wrong",
    "no_store_wait": r"thread exits before this TMA store has read shared memory",
    "leaves_its_cluster_early": "used after the last cluster barrier|has already exited",
    "barrier_in_both_branches": r"divergent barrier: __syncthreads here, but at line \d+",
    "early_return": r"deadlock: 32 threads wait for __syncthreads at rules\.h:\d+; "
    r"32 threads have exited",
    "partial_shuffle": "deadlock: 16 threads wait for __shfl_xor_sync",
    "divergent_shuffles": r"divergent collective: __shfl\w* here, but __shfl\w* at line \d+",
    "past_the_end": r"shared memory out of bounds at byte \d+ of 256",
    "one_past_the_end": "shared memory was written past its end, at byte 256 of 256",
    "before_the_start": r"shared memory out of bounds at byte -\d+ of 256",
    "never_written": "wrong",
    "misaligned_copy": r"shared address \d+ is not aligned to 16 bytes",
    "warp_synchronous": "wrong",
    "ldmatrix_past_the_end": r"shared memory out of bounds: offset \d+ and 16 bytes, of 256",
    "copy_overwritten_in_flight": "was written while this cp.async was in flight",
    "accumulator_read_early": "wrong",
    "accumulator_written_in_flight": "registers were written while wgmma is in flight",
    "wait_that_nobody_ends": "deadlock: 32 threads wait for named barrier",
    "deep_recursion": "stack overflow: a thread has 128 KiB",
}
SOMEWHERE = {  # a race whose result depends on the order
    "no_barrier_before_reuse": (("lifo", *SEEDS), "wrong"),
    "no_wait_for_full": (("fifo", "lifo", "2", "3", "4"), "wrong|24576 bytes still expected"),
}
NOWHERE = ["no_swizzle", "no_syncwarp_before_ldmatrix"]  # seen by counters and detectors alone
LOCATED = ["no_wait_for_empty", "no_barrier_after_init", "no_fence_after_init", "no_wgmma_fence",
           "no_store_wait", "leaves_its_cluster_early", "barrier_in_both_branches",
           "divergent_shuffles", "misaligned_copy", "ldmatrix_past_the_end",
           "copy_overwritten_in_flight", "accumulator_written_in_flight"]  # fmt: skip
RACES = {  # and which lines of mistakes.h or rules.h the thread sanitizer names, of these
    "no_barrier_before_reading": "scratch",
    "no_barrier_before_reuse": "scratch",
    "no_barrier_in_ring": "ldmatrix|cp_async",
    "wait_for_one_copy_less": "ldmatrix|cp_async",
    "no_syncwarp_before_ldmatrix": r"s\.[ab]\[i\] = |ldmatrix",
    "warp_synchronous": r"s\.v\[t",
}


def outcomes(name, *orders, **options):
    """By order, what came of it, and how many replays were counted in all."""
    done = programs.execute("mistakes", name, *orders, **options)
    found = dict(re.findall(r"^(\w+) (right|wrong|caught: .*)$", done.stdout, re.M))
    assert set(found) == set(orders), done.stdout + done.stderr
    return found


@pytest.mark.parametrize("poison", ["0xff", "0x7e"])
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_kernel_is_right_in_every_order(name, poison):
    assert set(outcomes(name, *ORDERS, EMU_POISON=poison).values()) == {"right"}


@pytest.mark.parametrize("name", EVERYWHERE)
def test_a_mistake_is_found_in_every_order(name):
    for order, outcome in outcomes(name, *ORDERS).items():
        assert re.search(EVERYWHERE[name], outcome), f"{order}: {outcome}"


@pytest.mark.parametrize("name", SOMEWHERE)
def test_a_race_is_found_in_some_orders(name):
    orders, said = SOMEWHERE[name]
    for order, outcome in outcomes(name, *orders).items():
        assert re.search(said, outcome), f"{order}: {outcome}"


@pytest.mark.parametrize("name", LOCATED)
def test_an_error_names_file_line_block_and_thread(name):
    outcome = outcomes(name, "lifo")["lifo"]
    place = r"caught: (mistakes|rules)\.h:\d+: .*"
    assert re.match(place + r"\[block 0,0,0 thread \d+,0,0\]$", outcome)


def test_a_maximum_that_swallows_nan_needs_the_other_poison():
    name = "never_written_behind_fmaxf"
    assert outcomes(name, "fifo") == {"fifo": "right"}
    assert outcomes(name, "fifo", EMU_POISON="0x7e") == {"fifo": "wrong"}


@pytest.mark.parametrize("name", NOWHERE)
def test_what_no_order_shows(name):
    assert set(outcomes(name, *ORDERS).values()) == {"right"}


def test_bank_conflicts_of_matrix_loads_are_counted():
    with_swizzle = programs.execute("mistakes", "ring", "fifo").stdout
    without = programs.execute("mistakes", "no_swizzle", "fifo").stdout
    assert "replays" not in with_swizzle
    assert "2304 replays in 768 phases" in without  # rows of 64 bytes: four times the two groups


@pytest.fixture(scope="module")
def thread_sanitizer():
    programs.build("mistakes", "thread")


def named_lines(report):
    """Lines of the kernels that the report's stacks pass through."""
    text = {n: (programs.PROGRAMS / n).read_text().splitlines() for n in ("mistakes.h", "rules.h")}
    places = re.findall(r"\b(mistakes\.h|rules\.h):(\d+)", report)
    return [text[name][int(number) - 1] for name, number in places]


@pytest.mark.slow
@pytest.mark.parametrize("name", RACES)
def test_the_thread_sanitizer_names_both_lines_of_a_race(name, thread_sanitizer):
    done = programs.execute("mistakes", name, "fifo", variant="thread")
    assert "WARNING: ThreadSanitizer: data race" in done.stderr
    assert any(re.search(RACES[name], line) for line in named_lines(done.stderr)), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", ["thread", "address"])
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_kernel_is_clean_under_a_sanitizer(name, sanitizer):
    done = programs.execute("mistakes", name, "fifo", "lifo", "1", variant=sanitizer)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["past_the_end", "one_past_the_end", "before_the_start"])
def test_the_address_sanitizer_names_the_line(name):
    done = programs.execute("mistakes", name, "fifo", variant="address")
    assert "ERROR: AddressSanitizer" in done.stderr
    assert any("s.v[t" in line for line in named_lines(done.stderr))


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", ["thread", "address"])
@pytest.mark.parametrize("program", ["primitives_sm80", "primitives_sm90"])
def test_the_primitives_are_clean_under_a_sanitizer(program, sanitizer):
    for order in ("fifo", "1"):
        done = programs.execute(program, variant=sanitizer, EMU_ORDER=order, timeout=280)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""
