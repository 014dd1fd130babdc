"""What layers begin with: torch's distributions, seeds, and nothing drawn where models draw."""

import subprocess
import sys
import threading

import numpy as np
import pytest

import plainformer as pf
from plainformer import nn
from plainformer.errors import ConfigError
from plainformer.nn import empty
from plainformer.tensor import Tensor
from tests.models.tiny import config_of


def within(array, bound, kind):
    """A uniform distribution fills its interval; a normal one has the deviation `bound`."""
    array = np.asarray(array, np.float64)
    if kind == "uniform":
        assert np.abs(array).max() <= bound
        assert np.abs(array).max() > 0.97 * bound
        bound /= np.sqrt(3)
    assert abs(array.std() / bound - 1) < 0.05
    assert abs(array.mean()) < 0.05 * bound


def test_a_linear_layer_begins_as_in_torch():
    layer = nn.Linear(64, 3000, generator=np.random.default_rng(0))
    within(layer.weight.data, 1 / 8, "uniform")  # kaiming_uniform_(a=sqrt(5))
    within(layer.bias.data, 1 / 8, "uniform")


def test_other_layers_begin_as_in_torch_and_gpt2():
    generator = np.random.default_rng(0)
    table = nn.Embedding(300, 40, padding_idx=2, generator=generator).weight.data
    assert not table[2].any()
    within(np.delete(table, 2, 0), 1.0, "normal")
    conv = nn.Conv1D(50, 300, generator=generator)
    within(conv.weight.data, 0.02, "normal")
    assert not conv.bias.data.any()
    norm = nn.LayerNorm(5)
    assert (norm.weight.data == 1).all()
    assert not norm.bias.data.any()
    assert (nn.RMSNorm(5).weight.data == 1).all()
    within(nn.LearnedPositions(300, 40).weight.data, 1.0, "normal")
    adapted = nn.LoraLinear(nn.Linear(64, 9), nn.LoraConfig(r=200), generator)
    within(adapted.lora_A.weight.data, 1 / 8, "uniform")
    assert not adapted.lora_B.weight.data.any()


@pytest.mark.parametrize("sizes", [(0, 3), (3, 0)])
def test_layers_without_inputs_or_outputs_are_made(sizes):
    assert nn.Linear(*sizes)(Tensor(np.zeros((2, sizes[0]), np.float32))).shape == (2, sizes[1])


def two_layers():
    return [p.data.tobytes() for layer in (nn.Linear(3, 4), nn.Embedding(5, 2))
            for p in layer.parameters()]  # fmt: skip


def test_a_seed_gives_the_same_weights_in_every_thread_and_leaves_numpys_generator_alone():
    before = np.random.get_state()[1].tobytes()
    nn.manual_seed(7)
    first, second = two_layers(), two_layers()
    nn.manual_seed(7)
    assert two_layers() == first
    assert first != second
    nn.manual_seed(8)
    assert two_layers() != first
    elsewhere = []
    for _ in range(2):
        thread = threading.Thread(target=lambda: elsewhere.append(two_layers()))
        thread.start()
        thread.join()
    nn.manual_seed(0)
    assert elsewhere == [two_layers()] * 2
    assert np.random.get_state()[1].tobytes() == before


def test_a_generator_goes_before_the_seed():
    one, other = (nn.Linear(3, 4, generator=np.random.default_rng(5)) for _ in range(2))
    assert one.weight.data.tobytes() == other.weight.data.tobytes()
    with pytest.raises(ConfigError, match="generator: got 5, expected Generator or None"):
        nn.Linear(3, 4, generator=5)


@pytest.mark.parametrize("seed", [-1, 1.5, "1", None, 1 << 64, True], ids=repr)
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(ConfigError, match=r"seed: got .*expected a whole number"):
        nn.manual_seed(seed)


def test_padding_is_a_row_of_the_table():
    with pytest.raises(ConfigError, match="padding_idx: got 5, expected 0 to 4"):
        nn.Embedding(5, 2, padding_idx=5)


class Mlp(nn.Module):
    def __init__(self):
        self.layers = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))

    def forward(self, x):
        return self.layers(x)


def test_a_bare_mlp_learns(rng):
    nn.manual_seed(0)
    model, x = Mlp(), rng.standard_normal((64, 2)).astype(np.float32)
    y = (x[:, :1] * x[:, 1:]).astype(np.float32)
    losses = []
    for _ in range(200):
        loss = pf.functional.mse_loss(model(Tensor(x)), y)
        loss.backward()
        losses.append(loss.item())
        for parameter in model.parameters():
            parameter.writable()[...] -= 0.1 * parameter.grad
        model.zero_grad()
    assert losses[-1] < 0.3 * losses[0]


@pytest.fixture
def no_draws(monkeypatch):
    """Fails where a layer draws from its thread's generator."""
    monkeypatch.setattr(empty._default, "generator", None)


@pytest.mark.parametrize("family", ["gpt2", "bert", "t5", "bart", "llama", "distilbert"])
def test_models_draw_once_and_loading_draws_nothing(family, no_draws, tmp_path, monkeypatch):
    model = pf.models.from_config(config_of(family))
    model.save_pretrained(tmp_path)
    monkeypatch.setattr(type(model), "initial_value", None)
    loaded = type(model).from_pretrained(tmp_path)
    for (name, p), (_, q) in zip(model.named_state(), loaded.named_state()):
        assert p.data.tobytes() == q.data.tobytes(), name


def test_a_class_that_takes_a_seed_draws_by_itself_whatever_was_drawn_before(no_draws):
    class Own(pf.GPT2LMHeadModel):
        def __init__(self, config, seed=0):
            super().__init__(config, seed=None)
            self.extra = nn.Linear(3, 4)
            self.init_weights(seed)

    config = pf.GPT2Config.from_dict(config_of("gpt2"))
    first, second = Own(config).state_dict(), Own(config).state_dict()
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)
    assert not first["extra.bias"].any()


def test_a_layer_that_a_subclass_adds_to_a_model_is_drawn():
    class Own(pf.GPT2LMHeadModel):
        def __init__(self, config):
            super().__init__(config)
            self.extra = nn.Linear(3, 4)

    config = pf.GPT2Config.from_dict(config_of("gpt2"))
    assert Own(config).extra.weight.data.any()


def test_importing_layers_imports_no_random_numbers():
    code = "import sys, plainformer.nn; sys.exit('numpy.random' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
