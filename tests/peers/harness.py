"""Models of transformers beside ours: the same weights, the same numbers, both ways.

A family is one file, tests/peers/test_FAMILY.py:

    class TestBert(PeerTests):
        cases = (Case("bert_mlm", "BertForMaskedLM", CONFIG, masked_tokens), ...)

which runs every test of `PeerTests` for every case. `python -m tests.peers.regenerate` writes the
golden fixtures of all cases, which the default suite replays without PyTorch.

A case draws large random weights, so that no gradient is negligible. Dropout is off.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from plainformer import models  # noqa: E402
from tests.models.numbers import (  # noqa: E402
    FLOOR,
    GOLDEN,
    RTOL,
    Numbers,
    assert_same,
    kept,
    largest,
    load_golden,
    ours,
    projection,
)

VOCAB = 24
Inputs = dict[str, np.ndarray]
DRAWS = 16  # batches whose largest errors the bfloat16 rule compares

# What transformers may say while it opens or saves tiny models; nothing here is about our files.
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


@dataclass(frozen=True)
class Case:
    """One model class with one configuration.

    name : of the golden fixture's folder
    model : class name, the same in transformers and here
    config : contents of config.json, tiny sizes
    inputs : from a generator to the arguments of a call
    outputs : fields of the output to compare, each with the input that is its mask, or None
    no_gradient : globs of parameters whose gradient is 0 but for rounding, such as biases of keys
    unused : names of parameters that transformers has and computes nothing with; ours has none
    states : fields that `output_hidden_states` and `output_attentions` fill, each with the input
        that is the mask of its (query) positions
    """

    name: str
    model: str
    config: Mapping[str, Any]
    inputs: Callable[[np.random.Generator], Inputs]
    outputs: Mapping[str, str | None] = field(default_factory=lambda: {"logits": "attention_mask"})
    no_gradient: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    states: Mapping[str, str | None] = field(
        default_factory=lambda: {"hidden_states": "attention_mask", "attentions": "attention_mask"}
    )

    def build(self, seed: int = 0, **options: Any) -> Any:
        """Transformers' model in eval mode, with weights drawn from the seed."""
        values = dict(self.config)
        config = transformers.AutoConfig.for_model(values.pop("model_type"), **values)
        model = getattr(transformers, self.model)._from_config(config, **options)
        draw_weights(model, seed)
        return model.eval()

    def open(self, folder: Path, **options: Any) -> Any:
        """Our model of a directory."""
        return getattr(models, self.model).from_pretrained(folder, **options)

    def reopen(self, folder: Path) -> tuple[Any, dict]:
        """Transformers' model of a directory, and what did not fit."""
        opened = getattr(transformers, self.model).from_pretrained(
            folder, output_loading_info=True, local_files_only=True
        )
        return opened[0].eval(), opened[1]

    def batch(self, seed: int = 0) -> Inputs:
        return self.inputs(np.random.default_rng(seed))


def trained(model: Any) -> Iterator[tuple[str, Any]]:
    """The parameters that are saved: tables of sines are computed.

    One that is tied goes by the name that it repeats, whichever of the two PyTorch lists.
    """
    computed = getattr(model, "_keys_to_ignore_on_save", None) or ()
    tied = dict(getattr(model, "_tied_weights_keys", None) or {})
    listed = dict(model.named_parameters())
    for name, parameter in listed.items():
        if name not in computed:
            repeated = tied.get(name, name)
            yield (name if repeated in listed else repeated), parameter


def draw_weights(model: Any, seed: int) -> None:
    """Matrices with rows of norm about 1, vectors about 0 (norms about 1)."""
    rng = np.random.default_rng(1000 + seed)
    with torch.no_grad():
        for name, parameter in trained(model):
            shape = tuple(parameter.shape)
            deviation = 0.3 if len(shape) == 1 else 1.2 / np.sqrt(shape[-1])
            centre = 1.0 if len(shape) == 1 and name.endswith("weight") else 0.0
            drawn = centre + deviation * rng.standard_normal(shape)
            parameter.copy_(torch.from_numpy(drawn).to(parameter.dtype))


def tokens(rng: np.random.Generator, lengths: tuple[int, ...] = (7, 3, 5)) -> Inputs:
    """Ids (B, L) above the special ones, padded on the right with id 1, and their mask."""
    shape = (len(lengths), max(lengths))
    mask = (np.arange(shape[1]) < np.array(lengths)[:, None]).astype(np.int64)
    ids = rng.integers(3, VOCAB, shape)
    return {"input_ids": np.where(mask, ids, 1), "attention_mask": mask}


def theirs(model: Any, inputs: Inputs, case: Case) -> Numbers:
    """What transformers' model makes of a batch."""
    outputs = case.outputs
    model.zero_grad()
    output = model(**tensors(inputs))
    found = {name: getattr(output, name) for name in outputs}
    masks = {name: inputs.get(mask) for name, mask in outputs.items()}
    loss = getattr(output, "loss", None)
    if loss is not None:
        loss.backward()
    else:
        weights = [projection(n, tuple(x.shape), masks[n]) for n, x in found.items()]
        grads = [torch.from_numpy(w).to(x.dtype) for w, x in zip(weights, found.values())]
        torch.autograd.backward(list(found.values()), grads)
    arrays = {name: kept(as_array(x), masks[name]) for name, x in found.items()}
    if loss is not None:
        arrays["loss"] = as_array(loss)
    gradients = {
        name: np.zeros(tuple(p.shape)) if p.grad is None else as_array(p.grad)
        for name, p in trained(model)
        if name not in case.unused
    }
    return Numbers(arrays, gradients)


def tensors(inputs: Inputs) -> dict[str, Any]:
    return {name: torch.from_numpy(array) for name, array in inputs.items()}


def seen(array: Any, mask: np.ndarray | None) -> np.ndarray:
    """Hidden states (B, L, C) or weights (B, H, L, M) at the positions of a mask (..., L)."""
    array = np.asarray(array).astype(np.float64)
    if array.ndim == 4:
        array = array.transpose(0, 2, 1, 3)
    return array if mask is None else array[mask.reshape(-1, mask.shape[-1]) != 0]


def as_array(x: Any) -> np.ndarray:
    return x.detach().to(torch.float64).numpy()


def assert_all_matter(found: Numbers, exempt: tuple[str, ...]) -> None:
    """A gradient that is nearly 0 would be compared with nothing."""
    top = max(largest(g) for g in found.gradients.values())
    small = [
        name
        for name, gradient in found.gradients.items()
        if largest(gradient) < FLOOR * top and not any(fnmatch.fnmatch(name, p) for p in exempt)
    ]
    assert not small, f"gradients that are nearly 0: {small}"


class PeerTests:
    """What holds for every case of a family. `case` comes from tests/peers/conftest.py."""

    cases: tuple[Case, ...] = ()

    def test_outputs_loss_and_all_gradients_are_the_same(self, case, tmp_path):
        peer = case.build()
        peer.save_pretrained(tmp_path)
        expected = theirs(peer, case.batch(), case)
        assert_all_matter(expected, case.no_gradient)
        assert_same(ours(case.open(tmp_path), case.batch(), case.outputs), expected)

    def test_bfloat16_errs_at_most_twice_as_much_as_transformers(self, case, tmp_path):
        """Largest errors, gradients thrice; truth is transformers' float32.

        Of several batches the median counts: in some, rounding flips a ReLU on either side. A
        scalar has one error a batch, which is small by chance: there it is the root mean square.
        """
        peer = case.build().to(torch.bfloat16)
        peer.save_pretrained(tmp_path)
        wide = case.reopen(tmp_path)[0].to(torch.float32)
        model = case.open(tmp_path)
        scales: dict[str, float] = {}
        errors: dict[str, list[list[float]]] = {}
        for seed in range(DRAWS):
            batch = case.batch(seed)
            exact = theirs(wide, batch, case)
            sides = ours(model, batch, case.outputs).all(), theirs(peer, batch, case).all()
            for name, want in exact.all().items():
                scales[name] = max(scales.get(name, 0.0), exact.scale(name))
                errors.setdefault(name, []).append([largest(s[name] - want) for s in sides])
            factors = {n: 2.0 if n in exact.outputs else 3.0 for n in exact.all()}
        for name, found in errors.items():
            is_scalar = exact.all()[name].size == 1
            own, peers = np.sqrt((np.mean if is_scalar else np.median)(np.square(found), axis=0))
            allowed = factors[name] * peers + 1e-5 * scales[name]
            assert own <= allowed, f"{name}: error {own:.3g} > {allowed:.3g} (theirs {peers:.3g})"

    @pytest.mark.parametrize("max_shard_size", ["5GB", "3KB"], ids=["whole", "shards"])
    def test_directories_go_both_ways(self, case, tmp_path, max_shard_size):
        peer = case.build()
        peer.save_pretrained(tmp_path / "theirs", max_shard_size=max_shard_size)
        model = case.open(tmp_path / "theirs")
        model.save_pretrained(tmp_path / "ours", max_shard_size=max_shard_size)
        files = [len(list((tmp_path / side).glob("*.safetensors"))) for side in ("theirs", "ours")]
        assert min(files) > 1 if max_shard_size == "3KB" else files == [1, 1]
        again, info = case.reopen(tmp_path / "ours")
        assert {kind: sorted(keys) for kind, keys in info.items() if keys} == (
            {"missing_keys": sorted(case.unused)} if case.unused else {}
        )
        pairs = list(zip(peer.named_parameters(), again.named_parameters(), strict=True))
        for (name, a), (other, b) in pairs:
            assert name == other
            assert name in case.unused or torch.equal(a, b), name
        expected = theirs(peer, case.batch(), case)
        # PyTorch adds what it gathered in no fixed order: twice the same is not the same bytes.
        assert_same(theirs(again, case.batch(), case), expected, rtol=1e-5)

    def test_hidden_states_and_attentions_are_the_same(self, case, tmp_path):
        peer = case.build(attn_implementation="eager")
        peer.save_pretrained(tmp_path)
        batch, wanted = case.batch(), {"output_hidden_states": True, "output_attentions": True}
        output = case.open(tmp_path)(**batch, **wanted)
        with torch.no_grad():
            expected = peer(**tensors(batch), **wanted)
        for name, mask in case.states.items():
            mine, others = getattr(output, name), getattr(expected, name)
            assert len(mine) == len(others), name
            for layer, (a, b) in enumerate(zip(mine, others)):
                a, b = (seen(x, batch.get(mask)) for x in (a.data, as_array(b)))
                assert largest(a - b) <= RTOL * largest(b), f"{name}[{layer}]"

    def test_the_golden_fixture_is_current(self, case):
        _, inputs, outputs, expected = load_golden(GOLDEN / case.name)
        assert outputs == case.outputs
        for name, array in case.batch().items():
            np.testing.assert_array_equal(inputs[name], array)
        assert_same(theirs(case.build(), inputs, case), expected, RTOL / 10)
