"""What is measured: every declared case can be made, has a reference, and counts its work."""

import dataclasses

import numpy as np
import pytest

from plainformer.bench import checking
from plainformer.bench.case import DTYPES, Case, in_float64, make_inputs
from plainformer.bench.cases import NAMES, operation, varlen_attention
from plainformer.bench.peers import numpy_peer, plainformer_peer

# Small stand-ins for the sizes of a shape: the formulas do not depend on them.
SMALL = {"L": 5, "D": 4, "H": 4, "B": 2, "layers": 1, "width": 6, "columns": 7, "rows": 6}


def small(case):
    """The case with small sizes, words and switches kept."""
    sizes = {k: SMALL.get(k, 9) for k, v in case.shape.items() if type(v) is int}
    return dataclasses.replace(case, shape={**case.shape, **sizes})


def every_case(dtype="float32"):
    return [case for name in NAMES for case in operation(name).cases([dtype], everything=True)]


def usual_cases():
    return [case for name in NAMES for case in operation(name).cases(["float32"])]


def one_case_a_variant():
    return list({(c.operation, c.variant): small(c) for c in usual_cases()}.values())


def test_names_of_cells_are_unique():
    names = [case.name for case in every_case()]
    assert len(names) == len(set(names))


def test_peers_measure_what_is_declared_and_ours_all_of_it():
    declared = {(case.operation, case.variant) for case in every_case()}
    assert set(numpy_peer.WAYS) <= declared
    assert set(plainformer_peer.WAYS) == declared


def test_label_shows_sizes_then_words():
    shape = {"B": 4, "L": 64, "groups": "kv2", "causal": True, "padded": False, "mask": ""}
    assert Case("attention", "forward", "float32", shape).label == "4x64 kv2 causal"


@pytest.mark.parametrize("case", usual_cases(), ids=lambda case: case.name)
def test_work_is_positive_and_halves_its_bytes_in_bfloat16(case):
    work = operation(case.operation).work(case)
    half = operation(case.operation).work(dataclasses.replace(case, dtype="bfloat16"))
    assert work.read > 0
    assert work.terms >= 1
    assert half.flop == work.flop
    assert work.read / 2 <= half.read < work.read


def test_everything_adds_shapes_and_repeats_none():
    usual, every = ({case.name for case in cases} for cases in (usual_cases(), every_case()))
    assert usual < every
    rows = {(M, N) for M in (1, 4, 8, 16, 64, 256, 1024, 2048) for N in (384, 768, 1024, 50257)}
    for form in ("nn", "nt", "tn"):
        shapes = {
            (case["M"], case["N"])
            for case in every_case()
            if (case.operation, case.variant) == ("gemm", form)
        }
        assert rows <= shapes
        assert {(n, n) for n in (256, 512, 1024, 2048, 4096)} <= shapes
    tiny = {case.operation for case in every_case() if case.label.startswith("8x16")}
    assert {"linear", "softmax", "norm", "activation", "add", "dropout"} <= tiny


def test_skewed_lengths_are_one_long_among_short():
    case = Case("varlen_attention", "forward", "float32",
                {"B": 5, "shortest": 2, "longest": 9, "skewed": True})  # fmt: skip
    assert sorted(varlen_attention.lengths(case)) == [2, 2, 2, 2, 9]


def test_quick_takes_the_first_shape_of_each_variant():
    op = operation("attention")
    assert [case.shape for case in op.cases(["float32"], quick=True)] == [op.shapes[0]] * 2


@pytest.mark.parametrize("case", one_case_a_variant(), ids=lambda case: case.name)
def test_inputs_follow_from_the_seed_and_have_the_dtype(case):
    op = operation(case.operation)
    bf16 = dataclasses.replace(case, dtype="bfloat16")
    first, again = make_inputs(op, bf16, 3), make_inputs(op, bf16, 3)
    for name, value in first.items():
        for a, b in zip(*((v if isinstance(v, list) else [v]) for v in (value, again[name]))):
            assert a.tobytes() == b.tobytes()
            assert a.dtype == DTYPES["bfloat16"] or a.dtype.kind in "ib"


@pytest.mark.parametrize("case", one_case_a_variant(), ids=lambda case: case.name)
def test_numpy_peer_agrees_with_the_reference(case):
    op = operation(case.operation)
    inputs = make_inputs(op, case, 0)
    exact = checking.reference(op, case, inputs)
    for way in numpy_peer.WAYS.of(case).values():
        result = way(case, **inputs)()
        outputs = tuple(result) if isinstance(result, (list, tuple)) else (result,)
        outputs = checking.observed(op, case, outputs, inputs)
        assert checking.relative_error(outputs, exact) <= checking.allowed_error(op, case)


DIFFERENTIABLE = ["softmax", "norm", "activation", "attention", "linear", "cross_entropy"]
PAIRS = [
    (case, dataclasses.replace(case, variant=forward))
    for case in one_case_a_variant()
    if case.operation in DIFFERENTIABLE and case.variant.endswith("backward")
    for forward in [case.variant.removesuffix("backward").rstrip("_") or "forward"]
]


@pytest.mark.parametrize(("backward", "forward"), PAIRS, ids=lambda case: case.name)
def test_reference_gradient_is_the_slope_of_the_reference(backward, forward):
    op = operation(backward.operation)
    inputs = {k: in_float64(v) for k, v in make_inputs(op, backward, 1).items()}
    gradients = op.reference(backward, **inputs)
    name = next(iter(inputs))  # the first input is the first to have a gradient
    direction = np.random.default_rng(2).standard_normal(inputs[name].shape)

    def loss(step):
        moved = {**inputs, name: inputs[name] + step * direction}
        y = op.reference(forward, **moved)[0]
        return float((y * inputs.get("grad_output", 1.0)).sum())

    slope = (loss(1e-5) - loss(-1e-5)) / 2e-5
    assert slope == pytest.approx(float((gradients[0] * direction).sum()), rel=1e-6, abs=1e-8)
