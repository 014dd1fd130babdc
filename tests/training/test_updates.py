"""The updates of a run: groups, masters, late starts, clipping and state. The optimizers are
tests/optim's, their arithmetic is tests/kernels'."""

import ml_dtypes
import numpy as np
import pytest

from plainformer.errors import CheckpointError, ConfigError, NonFiniteError
from plainformer.nn import count_parameters
from plainformer.training import ParameterOptions, Trainer
from plainformer.training.trainable import choose_trainable
from plainformer.training.updates import Updates, make_optimizer, parameter_groups

from .tiny import rows, tiny_args, tiny_model


def give_gradients(model, value=1.0):
    for parameter in model.parameters():
        parameter.grad = np.full(parameter.shape, value, parameter.dtype)


def updates(model, args, options=None, steps_per_epoch=1):
    return Updates(model, args, total_steps=10, steps_per_epoch=steps_per_epoch, options=options)


def test_matrices_decay_and_vectors_do_not():
    decay, keep = parameter_groups(tiny_model(), 0.1)
    assert (decay["weight_decay"], keep["weight_decay"]) == (0.1, 0.0)
    decaying, kept = (dict(group["params"]) for group in (decay, keep))
    assert all(name.endswith(".weight") for name in decaying)
    assert "transformer.wte.weight" in decaying
    assert all(".ln_" in name or name.endswith(".bias") for name in kept)
    assert {*decaying, *kept} == {name for name, _ in tiny_model().named_parameters()}


@pytest.mark.parametrize("optim", ["adamw", "sgd"])
def test_weight_decay_shrinks_matrices_only(tmp_path, optim):
    model = tiny_model()
    before = {name: array.copy() for name, array in model.state_dict().items()}
    args = tiny_args(tmp_path, optim=optim, weight_decay=0.5, learning_rate=0.1)
    give_gradients(model, 0.0)
    make_optimizer(model, args).step()
    for name, array in model.state_dict().items():
        factor = 0.95 if array.ndim > 1 else 1.0
        np.testing.assert_allclose(array, factor * before[name], rtol=1e-6, err_msg=name)


def test_updates_too_small_for_bfloat16_add_up_in_the_masters(tmp_path):
    """256 steps of 2^-12 move a weight of 1 by 2^-4, though each alone rounds to nothing."""
    model = tiny_model()
    for parameter in model.parameters():
        parameter.assign(np.ones(parameter.shape, np.float32))
    args = tiny_args(tmp_path, optim="sgd", bf16=True, learning_rate=2.0**-12)
    optimizer = make_optimizer(model, args)
    give_gradients(model)
    for _ in range(256):
        optimizer.step()
    for name, parameter in model.named_parameters():
        assert parameter.dtype == ml_dtypes.bfloat16
        assert (parameter.data.astype(np.float32) == 1 - 2.0**-4).all(), name


def test_masters_are_the_weights_before_they_were_rounded(tmp_path):
    model = tiny_model()
    before = model.state_dict()
    masters = make_optimizer(model, tiny_args(tmp_path, bf16=True)).state_dict()
    for name, array in before.items():
        assert masters[f"master.{name}"].tobytes() == array.tobytes(), name


def test_without_bf16_a_bfloat16_model_trains_in_float32(tmp_path):
    model = tiny_model().to("bfloat16")
    Trainer(model, tiny_args(tmp_path, max_steps=1), rows(8)).train()
    assert {p.dtype for p in model.parameters()} == {np.dtype(np.float32)}


def test_a_parameter_that_the_loss_did_not_reach_only_decays(tmp_path):
    model = tiny_model()
    before = {name: array.copy() for name, array in model.state_dict().items()}
    args = tiny_args(tmp_path, weight_decay=0.5, learning_rate=0.1)
    assert updates(model, args).step(1) == (0.0, 0.1)
    for name, array in model.state_dict().items():
        factor = 0.95 if array.ndim > 1 else 1.0
        np.testing.assert_allclose(array, factor * before[name], rtol=1e-6, err_msg=name)


@pytest.mark.parametrize(("max_norm", "length"), [(0.5, 0.5), (0, None)])
def test_the_norm_is_clipped(tmp_path, max_norm, length):
    """With SGD at rate 1 the step is as long as the gradients are after it."""
    model = tiny_model()
    before = {name: array.copy() for name, array in model.state_dict().items()}
    args = tiny_args(tmp_path, optim="sgd", learning_rate=1.0, max_grad_norm=max_norm)
    give_gradients(model, 2.0)
    norm, _ = updates(model, args).step(1)
    assert norm == pytest.approx(2.0 * np.sqrt(model.num_parameters()))
    moved = sum(((array - before[name]) ** 2).sum() for name, array in model.state_dict().items())
    assert np.sqrt(moved) == pytest.approx(length or norm, rel=1e-4)
    assert all(p.grad is None for p in model.parameters())


def test_a_gradient_that_is_not_finite_is_named(tmp_path):
    model = tiny_model()
    give_gradients(model)
    name = "transformer.h.1.mlp.c_fc.bias"
    dict(model.named_parameters())[name].grad[0] = np.inf
    with pytest.raises(NonFiniteError, match=f"gradient of {name}: not finite at step 3") as caught:
        updates(model, tiny_args(tmp_path)).step(3)
    assert (caught.value.tensor, caught.value.step) == (f"gradient of {name}", 3)


@pytest.mark.parametrize(
    "options", [{}, {"optim": "sgd", "momentum": 0.5}, {"bf16": True}], ids=lambda o: "+".join(o)
)
def test_state_goes_out_and_in(tmp_path, options):
    args = tiny_args(tmp_path, **options)

    def fresh():
        model = tiny_model()
        return model, updates(model, args)

    def step(model, own, number):
        own.begin(number)
        give_gradients(model)
        return own.step(number)

    model, first = fresh()
    step(model, first, 1)
    saved = {name: array.copy() for name, array in first.state_dict().items()}
    other_model, second = fresh()
    other_model.load_state_dict(model.state_dict())
    second.load_state_dict(saved, 1)
    assert step(model, first, 2) == step(other_model, second, 2)
    for (name, a), (_, b) in zip(model.state_dict().items(), other_model.state_dict().items()):
        assert a.tobytes() == b.tobytes(), name


def test_sgd_without_momentum_has_no_state(tmp_path):
    assert updates(tiny_model(), tiny_args(tmp_path, optim="sgd")).state_dict() == {}


def test_state_of_another_shape_is_named(tmp_path):
    optimizer = updates(tiny_model(), tiny_args(tmp_path))
    state = optimizer.state_dict()
    name = "exp_avg.transformer.wpe.weight"
    with pytest.raises(CheckpointError, match=rf"{name} has shape \(3,\), expected \(8, 16\)"):
        optimizer.load_state_dict({**state, name: np.zeros(3, np.float32)}, 1)


def trained_names(model):
    return {name for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize(
    ("glob", "frozen"),
    [
        ("wte", lambda name: ".wte." in name),
        ("h.[0-3]", lambda name: ".h." in name),
        ("h.0", lambda name: ".h.0." in name),
        ("*.bias", lambda name: name.endswith(".bias")),
        ("transformer.wpe.weight", lambda name: name == "transformer.wpe.weight"),
        ("ln_?", lambda name: ".ln_" in name),
    ],
)
def test_globs_name_whole_parts_of_a_name(glob, frozen):
    every = trained_names(tiny_model())
    matched = {name for name in every if frozen(name)}
    model = tiny_model()
    choose_trainable(model, freeze=[glob], train_only=None)
    assert trained_names(model) == every - matched
    model = tiny_model()
    choose_trainable(model, freeze=None, train_only=[glob])
    assert trained_names(model) == matched


@pytest.mark.parametrize("word", ["freeze", "train_only"])
def test_a_glob_that_matches_nothing_is_named(tmp_path, word):
    with pytest.raises(ConfigError, match=f"{word}: 'encoder' matches no parameter"):
        Trainer(tiny_model(), tiny_args(tmp_path, **{word: ["h.0", "encoder"]}))


def test_nothing_left_to_train_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="leaves nothing to train"):
        Trainer(tiny_model(), tiny_args(tmp_path, freeze=["*"]))


def test_what_the_caller_froze_stays_frozen_unless_it_is_named(tmp_path):
    model = tiny_model()
    model.freeze(["wpe", "h.0"])
    Trainer(model, tiny_args(tmp_path, freeze=["wte"]))
    assert not any(".wpe." in n or ".h.0." in n or ".wte." in n for n in trained_names(model))
    Trainer(model, tiny_args(tmp_path, train_only=["h.0"]))
    assert {".h.0." in name for name in trained_names(model)} == {True}
    model.freeze()
    trainer = Trainer(model, tiny_args(tmp_path), rows(4), rows(4))
    assert trainer.evaluate()["eval_loss"] > 0
    with pytest.raises(ConfigError, match="model: all of it is frozen"):
        trainer.train()


def test_frozen_parameters_keep_their_bytes_and_cost_no_state(tmp_path):
    model = tiny_model()
    before = dict(model.named_parameters())["transformer.wte.weight"].data.tobytes()
    trainer = Trainer(model, tiny_args(tmp_path, freeze=["wte"], weight_decay=0.1), rows(20))
    trained, total = count_parameters(model)
    assert total - trained == 13 * 16
    trainer.train()
    assert dict(model.named_parameters())["transformer.wte.weight"].data.tobytes() == before


def part_options(model):
    """The head's norm as usual, the second layer slower and later."""
    return {
        name: ParameterOptions(lr_scale=0.5, start_epoch=1.5)
        for name, _ in model.named_parameters()
        if ".h.1." in name
    }


@pytest.mark.parametrize("optim", ["adamw", "sgd"])
def test_a_group_starts_late_as_if_its_first_update_were_the_first(tmp_path, optim):
    """Two updates an epoch: frozen for three, then half the first step of others."""
    model = tiny_model()
    before = {name: array.copy() for name, array in model.state_dict().items()}
    args = tiny_args(
        tmp_path, optim=optim, max_grad_norm=0.0, learning_rate=0.25, lr_scheduler_type="constant"
    )
    optimizer = updates(model, args, part_options(model), steps_per_epoch=2)
    moved = {}
    for step in range(1, 5):
        optimizer.begin(step)
        trained = {name for name, p in model.named_parameters() if p.requires_grad}
        assert any(".h.1." in name for name in trained) == (step > 3)
        for name, parameter in model.named_parameters():
            parameter.grad = np.ones_like(parameter.data) if name in trained else None
        optimizer.step(step)
        for name, array in model.state_dict().items():
            moved.setdefault(name, []).append(np.abs(array - before[name]).max())
    first = moved["transformer.ln_f.bias"][0]
    late = moved["transformer.h.1.ln_1.bias"]
    assert late[:3] == [0, 0, 0]
    assert late[3] == pytest.approx(first / 2, rel=1e-5)
    optimizer.end()
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_the_norm_is_of_gradients_that_are_used(tmp_path):
    model = tiny_model()
    optimizer = updates(model, tiny_args(tmp_path), part_options(model), 2)
    optimizer.begin(1)
    give_gradients(model)
    norm, _ = optimizer.step(1)
    used = sum(p.size for name, p in model.named_parameters() if ".h.1." not in name)
    assert norm == pytest.approx(np.sqrt(used), rel=1e-5)


def test_a_trainer_takes_options_of_parameters(tmp_path):
    def run(name, options):
        model = tiny_model()
        Trainer(
            model, tiny_args(tmp_path / name), rows(16), parameter_options=options(model)
        ).train()
        return model.state_dict()

    slow = run("slow", part_options)
    plain = run("plain", lambda model: {})
    start = tiny_model().state_dict()
    name = "transformer.h.1.ln_1.bias"
    assert 0 < np.abs(slow[name] - start[name]).max() < np.abs(plain[name] - start[name]).max()
