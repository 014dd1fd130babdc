"""The module tree: names, modes, dtypes, freezing, state."""

import copy

import ml_dtypes
import numpy as np
import pytest

from plainformer import nn
from plainformer.errors import CheckpointError, ConfigError, DTypeError
from plainformer.nn import LayerNorm, Linear, Module
from plainformer.nn.freezing import matches
from plainformer.parameter import Buffer, Parameter
from plainformer.tensor import Tensor


class Layer(Module):
    def __init__(self):
        self.dense = Linear(2, 3)
        self.norm = LayerNorm(3)


class Model(Module):
    """Two layers in a list, and a head whose weight is the first layer's."""

    def __init__(self):
        self.h = [Layer(), Layer()]
        self.head = Linear(2, 3, bias=False)
        self.head.weight = self.h[0].dense.weight
        self.width = 3


@pytest.fixture
def model():
    return Model()


def test_names_are_paths_and_a_tied_weight_has_one(model):
    assert [name for name, _ in model.named_parameters()] == [
        f"h.{i}.{part}" for i in (0, 1)
        for part in ("dense.weight", "dense.bias", "norm.weight", "norm.bias")
    ]  # fmt: skip
    assert model.num_parameters() == 2 * (6 + 3 + 3 + 3)


def test_modes_reach_every_module(model):
    assert model.eval() is model
    assert not any(m.training for m in model.modules())
    model.train()
    assert all(m.training for m in model.modules())
    assert len(list(model.modules())) == 1 + 2 * 3 + 1


def test_zero_grad_forgets_all(model):
    for parameter in model.parameters():
        parameter.grad = np.ones(parameter.shape, np.float32)
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("dtype", ["bfloat16", ml_dtypes.bfloat16, np.float64, "float32"], ids=str)
def test_to_converts_in_place_and_counts_versions(model, dtype):
    tied, before = model.head.weight, model.head.weight.version
    tied.writable()[...] = 1.5
    assert model.to(dtype) is model
    wanted = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    assert {p.dtype for p in model.parameters()} == {wanted}
    assert model.head.weight is tied
    assert np.all(tied.data == 1.5)
    assert tied.version > before


class TestBuffers:
    """Arrays that are saved with the parameters and never trained."""

    @pytest.fixture
    def model(self, model):
        model.h[1].offset = Buffer(np.full(3, 1.5, np.float32))
        return model

    def test_they_are_state_and_no_parameters(self, model):
        assert "h.1.offset" not in dict(model.named_parameters())
        assert "h.1.offset" in model.state_dict()
        assert model.num_parameters() == 2 * (6 + 3 + 3 + 3)
        model.freeze(["h.0"])
        assert not model.h[1].offset.requires_grad

    def test_they_are_loaded_converted_and_copied(self, model):
        state = {name: array + 1 for name, array in model.state_dict().items()}
        model.load_state_dict(state)
        assert (model.h[1].offset.data == 2.5).all()
        del state["h.1.offset"]
        with pytest.raises(CheckpointError, match=r"h\.1\.offset"):
            model.load_state_dict(state)
        assert model.to("bfloat16").h[1].offset.dtype == ml_dtypes.bfloat16
        again = copy.deepcopy(model).h[1].offset
        assert isinstance(again, Buffer)
        assert (again.data == 2.5).all()


@pytest.mark.parametrize("dtype", ["float16", np.int32, "half"], ids=str)
def test_parameters_are_float32_bfloat16_or_float64(model, dtype):
    with pytest.raises(DTypeError, match="expected one of float32, float64, bfloat16"):
        model.to(dtype)


class TestFreeze:
    @pytest.mark.parametrize(
        ("pattern", "count"),
        [("h.0", 4), ("h.[01]", 8), ("norm", 4), ("norm.bias", 2), ("*.bias", 4), ("h.?.dense", 4)],
    )
    def test_globs_name_runs_of_segments(self, model, pattern, count):
        frozen = model.freeze([pattern])
        assert len(frozen) == count
        for name, parameter in model.named_parameters():
            assert parameter.requires_grad == (name not in frozen)

    def test_parts_of_segments_do_not_match(self):
        assert matches("h.10.dense.weight", "h.10")
        assert not matches("h.10.dense.weight", "h.1")
        assert not matches("h.10.dense.weight", "ens")

    def test_counts_say_what_is_left(self, model):
        model.freeze(["h.0"])
        assert model.num_parameters(only_trainable=True) == 15

    def test_a_glob_without_match_is_an_error(self, model):
        with pytest.raises(ConfigError, match=r"'h.2' matches no parameter; names are like h.0"):
            model.freeze(["h.1", "h.2"])
        assert all(p.requires_grad for p in model.parameters())
        with pytest.raises(ConfigError, match=r"got the string 'h.1', expected a list"):
            model.freeze("h.1")

    def test_unfreezing_is_the_other_way_and_no_pattern_means_all(self, model):
        names = [name for name, _ in model.named_parameters()]
        assert model.freeze() == names
        assert model.num_parameters(only_trainable=True) == 0
        assert model.unfreeze(["h.0", "norm.bias"]) == [*names[:4], "h.1.norm.bias"]
        assert model.num_parameters(only_trainable=True) == 15 + 3
        assert model.unfreeze() == names
        with pytest.raises(ConfigError, match="matches no parameter"):
            model.unfreeze(["nothing"])


class TestState:
    def test_it_lends_read_only_views(self, model):
        state = model.state_dict()
        assert len(state) == 8
        with pytest.raises(ValueError, match="read-only"):
            state["h.0.dense.weight"][0] = 1

    def test_loading_copies_and_converts(self, model, rng):
        state = {n: rng.standard_normal(a.shape) for n, a in model.state_dict().items()}
        versions = [p.version for p in model.parameters()]
        model.load_state_dict(state)
        for name, parameter in model.named_parameters():
            np.testing.assert_array_equal(parameter.data, state[name].astype(np.float32))
            assert not np.shares_memory(parameter.data, state[name])
        assert all(p.version > v for p, v in zip(model.parameters(), versions))

    def test_every_array_that_does_not_fit_is_named_and_nothing_is_written(self, model):
        state = {name: a + 1 for name, a in model.state_dict().items()}
        state["h.0.extra"] = state.pop("h.0.norm.bias")
        state["h.1.dense.bias"] = np.zeros(7, np.float32)
        before = [p.data.copy() for p in model.parameters()]
        with pytest.raises(CheckpointError) as caught:
            model.load_state_dict(state)
        for name in ("h.0.extra", "h.0.norm.bias", "h.1.dense.bias"):
            assert name in str(caught.value)
        for parameter, kept in zip(model.parameters(), before):
            np.testing.assert_array_equal(parameter.data, kept)


def test_a_deep_copy_has_its_own_weights_and_stays_tied(model):
    model.freeze(["h.1"])
    copied = copy.deepcopy(model)
    copied.head.weight.writable()[...] = 7
    assert np.all(copied.h[0].dense.weight.data == 7)
    assert not (model.head.weight.data == 7).any()
    trainable = [p.requires_grad for p in copied.parameters()]
    assert trainable == [p.requires_grad for p in model.parameters()]


class Bag(Module):
    """Modules and parameters in containers of every kind, beside other values."""

    def __init__(self):
        self.words, self.sizes, self.nothing = ["a", "b"], [1, 2], [None, []]
        self.mixed = [Linear(1, 2), "gelu", 3, None, np.zeros(2), Linear(2, 1)]
        self.pair = (Linear(1, 1), "x")
        self.nested = [[Linear(1, 1)], (2, [Linear(1, 1)])]
        self.named = {"up": Linear(1, 2), "name": "up", 0: [Linear(1, 1)]}
        self.id2label = {0: "no", 1: "yes"}
        self.scales = [Parameter(np.ones(1, np.float32)), 1.0]
        self.chosen = {"a", "b"}


class TestContainers:
    NAMES = (
        "mixed.0", "mixed.5", "pair.0", "nested.0.0", "nested.1.1.0", "named.up", "named.0.0",
    )  # fmt: skip

    def test_modules_are_found_beside_anything_else(self):
        bag = Bag()
        assert [name for name, _ in bag.named_children()] == list(self.NAMES)
        assert [name for name, _ in bag.named_parameters()] == [
            "scales.0", *(f"{name}.{part}" for name in self.NAMES for part in ("weight", "bias"))
        ]  # fmt: skip
        assert bag.eval() is bag
        assert not any(module.training for module in bag.modules())
        assert bag.to("bfloat16").scales[0].dtype == ml_dtypes.bfloat16

    def test_state_goes_out_and_in_by_these_names(self):
        bag, other = Bag(), Bag()
        state = {name: array + 1 for name, array in bag.state_dict().items()}
        other.load_state_dict(state)
        assert other.named["up"].weight.data[0, 0] == bag.named["up"].weight.data[0, 0] + 1
        assert other.freeze(["nested"]) == [n for n in state if n.startswith("nested")]

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ({Linear(1, 1)}, "one: got modules in a set"),
            ({(1, 2): Linear(1, 1)}, r"one: got a module under \(1, 2\), expected a word"),
            ({"a.b": Linear(1, 1)}, r"one: got a module under 'a\.b', expected a word"),
            ({"": [Linear(1, 1)]}, "one: got a module under '', expected a word"),
        ],
    )
    def test_what_makes_no_name_is_refused(self, value, message):
        bag = Bag()
        bag.one = value
        with pytest.raises(ConfigError, match=message):
            bag.eval()

    def test_a_child_that_knows_its_parent_is_walked_once(self, model):
        before = [name for name, _ in model.named_parameters()]
        for layer in model.h:
            layer.parent, layer.twin = model, model.h[0]
        assert [name for name, _ in model.named_parameters()] == before
        assert len(list(model.modules())) == 1 + 2 * 3 + 1

    def test_adapters_go_where_the_layer_was(self):
        bag = Bag()
        paths = ["mixed.0", "nested.1.1.0", "named.up", "named.0.0"]
        with pytest.raises(ConfigError, match=r"nested\.1\.1: is in a tuple"):
            nn.lora.replace(bag, "nested.1.1", Linear(1, 1))
        for path in paths:
            nn.add_lora(bag, nn.LoraConfig(r=1, target_modules=[path]))
        assert sorted(nn.lora_layers(bag)) == sorted(paths)
        nn.merge_lora(bag)
        assert [name for name, _ in bag.named_children()] == list(self.NAMES)


def test_a_module_without_forward_says_so(model):
    with pytest.raises(NotImplementedError, match="Model defines no forward"):
        model()


def test_a_list_that_holds_itself_is_looked_into_once():
    module = nn.Module()
    module.layers = [nn.Linear(2, 2)]
    module.layers.append({"all": module.layers})
    assert [name for name, _ in module.named_parameters()] == ["layers.0.weight", "layers.0.bias"]


@pytest.mark.parametrize("wrong", [None, [1], "list", "texts", "tensor"])
def test_a_state_that_holds_no_arrays_is_told_and_nothing_is_written(wrong):
    model = Linear(2, 2)
    zeros = {name: np.zeros_like(array) for name, array in model.state_dict().items()}
    odd = {"list": [0.0, 0.0], "texts": np.array(["a", "b"]), "tensor": Tensor(np.zeros(2))}
    state = {**zeros, "bias": odd[wrong]} if isinstance(wrong, str) else wrong
    with pytest.raises(CheckpointError, match=r"^state: .*expected"):
        model.load_state_dict(state)
    assert model.weight.data.all()


def test_globs_are_a_list():
    with pytest.raises(ConfigError, match="patterns: got 5, expected a list of globs"):
        Linear(2, 2).freeze(5)
