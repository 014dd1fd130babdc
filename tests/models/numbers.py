"""What a model computes on one batch (outputs, loss, every gradient), and how two of them compare.

Shared by the golden fixtures of the default suite and by tests/peers, where transformers computes
the same; nothing here needs PyTorch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from plainformer import models
from plainformer.tape import run_backward

GOLDEN = Path(__file__).parent / "golden"
RTOL = 1e-4  # of a tensor's largest element, in float32
FLOOR = 1e-3  # of the largest gradient: what is below is 0 but for rounding


@dataclass
class Numbers:
    """float64 arrays; an output holds only what was no padding, flattened."""

    outputs: dict[str, np.ndarray]
    gradients: dict[str, np.ndarray]

    def scale(self, name: str) -> float:
        """What errors of an array are measured by: its largest element.

        A gradient that is 0 but for rounding is measured by the largest of all gradients.
        """
        if name in self.outputs:
            return largest(self.outputs[name])
        top = max(largest(g) for g in self.gradients.values())
        own = largest(self.gradients[name])
        return own if own >= FLOOR * top else top

    def all(self) -> dict[str, np.ndarray]:
        return self.outputs | self.gradients


def largest(array: np.ndarray) -> float:
    return float(np.abs(array).max(initial=0.0))


def kept(array, mask) -> np.ndarray:
    """The elements (..., C) where mask (B, L) is not 0, in float64; all of them without a mask."""
    array = np.asarray(array).astype(np.float64)
    return array if mask is None else array[np.asarray(mask) != 0]


def projection(name: str, shape: tuple[int, ...], mask) -> np.ndarray:
    """Fixed random gradients for an output without a loss, 0 at padding."""
    weights = np.random.default_rng(len(name)).standard_normal(shape)
    if mask is not None:
        weights[np.asarray(mask) == 0] = 0
    return weights


def ours(model, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, str | None]) -> Numbers:
    """What our model makes of a batch.

    inputs : arguments of a call
    outputs : names of the fields to look at, each with the input that is its mask, or None
    """
    model.set_dropout(0.0)
    model.train("labels" not in inputs and "start_positions" not in inputs)
    model.zero_grad()
    output = model(**inputs)
    found = {name: getattr(output, name) for name in outputs}
    masks = {name: inputs.get(mask) for name, mask in outputs.items()}
    if output.loss is not None:
        output.loss.backward()
    else:
        grads = [projection(n, x.shape, masks[n]).astype(x.dtype) for n, x in found.items()]
        run_backward(list(found.values()), grads)
    arrays = {name: kept(x.data, masks[name]) for name, x in found.items()}
    if output.loss is not None:
        arrays["loss"] = np.asarray(output.loss.data, np.float64)
    gradients = {
        name: np.zeros(p.shape) if p.grad is None else np.asarray(p.grad, np.float64)
        for name, p in model.named_parameters()
    }
    return Numbers(arrays, gradients)


def assert_same(actual: Numbers, expected: Numbers, rtol: float = RTOL) -> None:
    """Every array has the same name and shape and errs by at most `rtol` of its scale."""
    left, right = actual.all(), expected.all()
    assert left.keys() == right.keys()
    for name, want in right.items():
        assert left[name].shape == want.shape, name
        error = largest(left[name] - want)
        assert error <= rtol * expected.scale(name), (
            f"{name}: error {error:.3g}, scale {expected.scale(name):.3g}"
        )


def save_golden(
    folder: Path,
    inputs: Mapping[str, np.ndarray],
    outputs: Mapping[str, str | None],
    found: Numbers,
) -> None:
    """Write what a model computed beside its config.json and model.safetensors."""
    arrays = {f"inputs.{name}": array for name, array in inputs.items()}
    arrays |= {f"outputs.{name}": a.astype(np.float32) for name, a in found.outputs.items()}
    flat = [g.reshape(-1) for g in found.gradients.values()]
    arrays["gradients"] = np.concatenate(flat).astype(np.float32)
    metadata = {
        "outputs": json.dumps(dict(outputs)),
        "gradients": json.dumps(list(found.gradients)),
    }
    save_file(arrays, folder / "expected.safetensors", metadata)


def load_golden(folder: Path):
    """The model of a fixture, its inputs and outputs, and the Numbers that transformers got."""
    name = json.loads((folder / "config.json").read_text())["architectures"][0]
    model = getattr(models, name).from_pretrained(folder)
    arrays = load_file(folder / "expected.safetensors")
    with safe_open(folder / "expected.safetensors", "numpy") as file:
        metadata = file.metadata()
    shapes = {name: p.shape for name, p in model.named_parameters()}
    gradients, start = {}, 0
    for name in json.loads(metadata["gradients"]):
        stop = start + int(np.prod(shapes[name]))
        gradients[name] = arrays["gradients"][start:stop].astype(np.float64).reshape(shapes[name])
        start = stop
    assert start == len(arrays["gradients"])
    under = {
        part: {k.removeprefix(part): a for k, a in arrays.items() if k.startswith(part)}
        for part in ("inputs.", "outputs.")
    }
    expected = {name: array.astype(np.float64) for name, array in under["outputs."].items()}
    outputs = json.loads(metadata["outputs"])
    return model, under["inputs."], outputs, Numbers(expected, gradients)
