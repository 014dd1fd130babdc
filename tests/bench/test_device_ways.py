"""What `plainformer bench --device cuda` runs, on the emulated device: every cell comes out right.

The shapes are the bench's with small sizes: speed is not this test's matter.
"""

import numpy as np
import pytest

from plainformer import kernels
from plainformer.bench import checking
from plainformer.bench.case import Case, make_inputs
from plainformer.bench.cases import NAMES, operation
from plainformer.bench.peers.plainformer_peer import WAYS
from tests.emulated import emulated, to_device

LARGEST = {"B": 1, "H": 4, "L": 40, "D": 16, "classes": 70, "layers": 1, "shortest": 3}
PACKED = ("linear", "packed")  # CPU's own


def small(shape):
    """A shape with the same switches and small sizes."""
    sizes = {k: min(v, LARGEST.get(k, 48)) if type(v) is int else v for k, v in shape.items()}
    return sizes | ({"groups": "kv2"} if shape.get("groups") else {})


def cells():
    for name in NAMES:
        op = operation(name, "cuda")
        for variant in op.variants:
            for shape in op.shapes_of(variant)[:1]:
                yield name, variant, small(shape)


CELLS = list(cells())


def test_every_operation_has_cells_on_a_gpu_and_no_packed_weights():
    assert {name for name, _, _ in CELLS} == set(NAMES)
    assert not any((name, variant) == PACKED for name, variant, _ in CELLS)


def on_device(value):
    return [to_device(x) for x in value] if isinstance(value, list) else to_device(value)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("name", "variant", "shape"), CELLS, ids=lambda x: str(x).replace(" ", ""))
def test_ways_are_right_on_a_device(name, variant, shape, dtype):
    op, case = operation(name, "cuda"), Case(name, variant, dtype, shape)
    inputs = make_inputs(op, case, seed=0)
    exact = checking.reference(op, case, inputs)
    ways = WAYS.of(case)
    assert ways
    with emulated(90):
        for way in ways.values():
            result = way(case, **{key: on_device(x) for key, x in inputs.items()})()
            results = result if isinstance(result, (tuple, list)) else (result,)
            outputs = tuple(np.asarray(kernels.asnumpy(y), np.float32) for y in results)
            seen = checking.observed(op, case, outputs, inputs)
            assert checking.relative_error(seen, exact) <= checking.allowed_error(op, case)
