"""Sequential and ModuleList."""

import numpy as np
import pytest

from plainformer import functional, nn
from plainformer.errors import DTypeError
from plainformer.tensor import Tensor


def test_sequential_calls_one_after_another(rng):
    first, second = nn.Linear(3, 4), nn.Linear(4, 2)
    model = nn.Sequential(first, nn.GELU("tanh"), nn.ReLU(), nn.SiLU(), second)
    x = Tensor(rng.standard_normal((5, 3)).astype(np.float32))
    wanted = second(functional.silu(functional.relu(functional.gelu(first(x), "tanh"))))
    assert model(x).data.tobytes() == wanted.data.tobytes()
    assert [n for n, _ in model.named_parameters()] == [
        "0.weight", "0.bias", "4.weight", "4.bias"
    ]  # fmt: skip


def test_lists_are_indexed_extended_and_written():
    layers = nn.ModuleList(nn.Linear(1, i) for i in range(3))
    assert layers.append(nn.Linear(1, 9)) is layers
    assert (len(layers), len(list(layers))) == (4, 4)
    assert layers[-1] is layers[3]
    assert [layer.weight.shape[0] for layer in layers[1:3]] == [1, 2]
    assert isinstance(layers[1:3], nn.ModuleList)
    assert isinstance(nn.Sequential(*layers)[:2], nn.Sequential)
    layers[-1] = norm = nn.LayerNorm(3)
    assert layers[3] is norm
    with pytest.raises(IndexError):
        layers[4]
    many = nn.ModuleList(nn.LayerNorm(1) for _ in range(12))
    assert [n.split(".")[0] for n, _ in many.named_parameters()][::2] == list(map(str, range(12)))


def test_a_list_belongs_to_its_module_and_takes_adapters():
    module = nn.Module()
    module.layers = nn.ModuleList([nn.Linear(2, 2)])
    assert list(module.state_dict()) == ["layers.0.weight", "layers.0.bias"]
    nn.add_lora(module, nn.LoraConfig(r=1, target_modules=["0"]))
    assert isinstance(module.layers[0], nn.LoraLinear)


@pytest.mark.parametrize("make", [lambda m: nn.Sequential(m), lambda m: nn.ModuleList([m])])
def test_what_is_no_module_is_named(make):
    with pytest.raises(DTypeError, match=r"module 0: got .*expected an nn\.Module"):
        make(functional.relu)


def test_slices_of_subclasses_are_lists_of_their_base():
    """The `__init__` of a subclass takes what it likes."""

    class Row(nn.Sequential):
        def __init__(self, width):
            super().__init__(nn.Linear(width, 2), nn.ReLU())

    class Rows(nn.ModuleList):
        def __init__(self, count):
            super().__init__(Row(3) for _ in range(count))

    assert type(Row(3)[:1]) is nn.Sequential
    assert type(Rows(3)[1:]) is nn.ModuleList
    assert len(Rows(3)[1:]) == 2


def test_what_is_no_list_and_no_place_is_told():
    for given in (nn.ReLU(), 5, None):
        with pytest.raises(DTypeError, match="modules: got"):
            nn.ModuleList(given)
    layers = nn.ModuleList([nn.ReLU()])
    for place in (slice(0, 1), "0"):
        with pytest.raises(DTypeError, match="index: got"):
            layers[place] = nn.Tanh()
    assert list(vars(layers)) == ["0"]
