"""How a product of many rows is cut follows the machine's caches and threads; its bytes do not.

A few rows of it alone go another way, which knows no caches, and must be the same rows.
"""

import itertools

import numpy as np
import pytest

from plainformer import _cpu, kernels, runtime
from plainformer.errors import ConfigError

KB, MB = 1 << 10, 1 << 20
# First, second and last: so small that every block is the least there is; Haswell to Comet Lake;
# Zen 2 and 3; Raptor Lake. The machine's own come last.
CACHES = [
    (1, 1, 1),
    (32 * KB, 256 * KB, 8 * MB),
    (32 * KB, 512 * KB, 32 * MB),
    (48 * KB, 2 * MB, 36 * MB),
    (0, 0, 0),
]
# M, N, K: one row more than a block, one column and one step more than a panel; several blocks of
# K, the last short; K of no whole turn.
SIZES = [(97, 65, 65), (130, 50, 1061), (250, 300, 129), (65, 611, 33)]
FORMS = list(itertools.product([False, True], repeat=2))
FEW = 40


@pytest.fixture
def any_caches():
    """The test may change the caches that kernels go by."""
    yield
    set_caches(0, 0, 0)


def set_caches(l1, l2, last):
    _cpu.set_core_caches(l1, l2)
    _cpu.set_last_cache(last)


def everywhere(call):
    """What `call` gives for each machine and number of threads: the arrays of the first, after
    checking that the others have the same bytes."""
    first = None
    for caches, threads in itertools.product(CACHES, [1, 2, 7]):
        set_caches(*caches)
        with runtime.num_threads(threads):
            arrays = call()
        first = first or arrays
        for array, expected in zip(arrays, first, strict=True):
            assert array.tobytes() == expected.tobytes(), f"caches {caches}, {threads} threads"
    return first


@pytest.mark.parametrize("form", FORMS, ids=["nn", "nt", "tn", "tt"])
def test_matmul_does_not_depend_on_caches_or_threads(level, dtype, form, rng, any_caches):
    transpose_a, transpose_b = form
    options = {"transpose_a": transpose_a, "transpose_b": transpose_b}
    for M, N, K in SIZES:
        a = rng.standard_normal((K, M) if transpose_a else (M, K)).astype(dtype)
        b = rng.standard_normal((N, K) if transpose_b else (K, N)).astype(dtype)
        [product] = everywhere(lambda a=a, b=b: [kernels.matmul(a, b, **options)])
        few = kernels.matmul(a[:, :FEW] if transpose_a else a[:FEW], b, **options)
        assert product[:FEW].tobytes() == few.tobytes()
        whole_a, whole_b = (np.round(x.astype(np.float32)) for x in (a, b))
        exact = (whole_a.T if transpose_a else whole_a) @ (whole_b.T if transpose_b else whole_b)
        sums = kernels.matmul(whole_a.astype(dtype), whole_b.astype(dtype), **options)
        np.testing.assert_array_equal(sums, exact.astype(dtype))


def test_linear_does_not_depend_on_caches_or_threads(level, dtype, rng, any_caches):
    """Sums that an epilogue follows, and a weight that was packed."""
    for M, N, K in SIZES:
        x, weight = (rng.standard_normal(shape).astype(dtype) for shape in ((M, K), (N, K)))
        bias = rng.standard_normal(N).astype(dtype)

        def call(weight, x=x, bias=bias):
            options = {"activation": "gelu", "return_preactivation": True}
            return list(kernels.linear(x, weight, bias, **options))

        kept = kernels.pack_weight(weight)
        plain = everywhere(lambda weight=weight, call=call: call(weight))
        packed = everywhere(lambda weight=kept, call=call: call(weight))
        assert [array.tobytes() for array in packed] == [array.tobytes() for array in plain]


def test_caches_are_not_negative():
    for sizes in ((-1, 0), (0, -1)):
        with pytest.raises(ConfigError, match=r"l1, l2: got .* expected sizes, or 0"):
            _cpu.set_core_caches(*sizes)
