"""What is trained, when and how fast; adapters."""

import json
import re
from shutil import copytree

import numpy as np
import pytest

from plainformer import models
from plainformer.checkpoints.safetensors import load_file
from plainformer.errors import CheckpointError, ConfigError
from plainformer.nn import LoraConfig, add_lora, lora_layers, merge_lora
from plainformer.tasks import open_task
from plainformer.tasks.registry import task_class
from plainformer.tasks.run import FineTuning
from plainformer.tasks.strategy import StrategyOptions, apply_strategy, parameter_depths
from plainformer.training import TrainerCallback

from .tiny import DECODER, ENCODER, SEQ2SEQ, TASKS, TEXTS, tune


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    directory = tmp_path_factory.mktemp("first")
    tune("text-classification", directory, max_steps=2, eval_strategy="no")
    return directory


def changed(first, result):
    """Names of the parameters that are not as they were."""
    old = dict(open_task(first).model.named_parameters())
    new = result.task.model.named_parameters()
    return {name for name, p in new if not np.array_equal(p.data, old[name].data)}


def run(first, tmp_path, **options):
    usual = {"model": first, "eval_strategy": "no", "max_steps": 3}
    return tune("text-classification", tmp_path / "out", **{**usual, **options})


@pytest.mark.parametrize(
    ("config", "task", "layers"),
    [
        (ENCODER, "sequence-classification", 2),
        (DECODER, "causal-lm", 1),
        (SEQ2SEQ, "seq2seq-lm", 2),
    ],
    ids=["encoder", "decoder", "both"],
)
def test_parts_are_in_order_of_depth(config, task, layers):
    depths = parameter_depths(models.from_config({**config, "vocab_size": 20}, task))
    assert set(depths.values()) <= set(range(layers + 2))
    assert set(range(1, layers + 1)) <= set(depths.values())
    assert all(depth == 0 for name, depth in depths.items() if "embed" in name or "wte" in name)
    assert not [n for n, d in depths.items() if d == layers + 1 and (".h." in n or "layer." in n)]


def test_the_head_alone(first, tmp_path):
    assert changed(first, run(first, tmp_path, head_only=True)) == {
        "classifier.weight", "classifier.bias",
    }  # fmt: skip


@pytest.mark.parametrize("count", [0, 1, 2])
def test_embeddings_and_first_layers_stay(first, tmp_path, count):
    names = changed(first, run(first, tmp_path, freeze_layers=count))
    frozen = ["embeddings", *(f"encoder.layer.{i}." for i in range(count))]
    assert names
    assert not [n for n in names if any(part in n for part in frozen)]
    if count < 2:
        assert any("encoder.layer.1." in n for n in names)


@pytest.mark.parametrize("task", ["text-classification", "dialogue", "translation"])
def test_embeddings_of_a_new_model_stay_too(tmp_path, task):
    kind = task_class(task)
    config, tokenizer, examples = TASKS[task]
    options = {"freeze_layers": 0, "tokenizer": tokenizer}
    tuning = FineTuning(kind, config, tmp_path / "out", False, options)
    tuning.read(examples, None, None)
    tuning.build()
    frozen = {n for n, p in tuning.task.model.named_parameters() if not p.requires_grad}
    assert frozen
    assert all(re.search("embed|wte|wpe|shared", name) for name in frozen)


class Watch(TrainerCallback):
    """Which parameters are trained at each step."""

    def __init__(self):
        self.model, self.steps = None, []

    def on_step_end(self, args, state, control):
        names = (name for name, p in self.model.named_parameters() if p.requires_grad)
        self.steps.append(frozenset(names))


def test_layers_are_unfrozen_from_the_last_to_the_first(first, tmp_path):
    options = {"gradual_unfreezing": 1.0, "max_steps": 12, "per_device_train_batch_size": 4}
    kind = task_class("text-classification")
    tuning = FineTuning(kind, first, tmp_path / "out", False, options)
    tuning.read(TEXTS, None, None)
    tuning.build()
    watch = Watch()
    watch.model = tuning.task.model
    tuning.run([watch])
    epochs = [watch.steps[i : i + 3] for i in (0, 3, 6, 9)]  # ten examples, four at a time
    assert all(len(set(steps)) == 1 for steps in epochs)
    parts = ("pooler", "layer.1.", "layer.0.", "embeddings")
    found = [[any(part in n for n in steps[0]) for part in parts] for steps in epochs]
    assert found == [[i <= epoch for i in range(4)] for epoch in range(4)]
    assert all(p.requires_grad for p in tuning.task.model.parameters())


def test_deeper_layers_learn_slower(first, tmp_path):
    result = run(
        first, tmp_path, layerwise_lr_decay=0.1, max_steps=1, optim="sgd", learning_rate=0.1,
        max_grad_norm=0.0,
    )  # fmt: skip
    plain = run(
        first, tmp_path / "plain", max_steps=1, optim="sgd", learning_rate=0.1, max_grad_norm=0.0
    )
    old = dict(open_task(first).model.named_parameters())
    new, same = (
        dict(result.task.model.named_parameters()),
        dict(plain.task.model.named_parameters()),
    )
    for name, factor in (
        ("classifier.weight", 1.0),
        ("bert.encoder.layer.1.output.dense.weight", 0.1),
        ("bert.encoder.layer.0.output.dense.weight", 0.01),
    ):
        step = new[name].data - old[name].data
        whole = same[name].data - old[name].data
        np.testing.assert_allclose(step, factor * whole, rtol=0.05, atol=2e-7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"freeze_layers": 3}, "freeze_layers: got 3, the model has 2 layers"),
        ({"freeze_layers": -1}, "freeze_layers: got -1, expected int, at least 0"),
        ({"head_only": True, "freeze_layers": 1}, "freeze_layers: has no effect beside head_only"),
        ({"head_only": True, "freeze_layers": 0}, "freeze_layers: has no effect beside head_only"),
        ({"head_only": True, "lora_r": 1}, "lora_r: has no effect beside head_only"),
        ({"layerwise_lr_decay": 1.5}, "layerwise_lr_decay: got 1.5"),
        ({"gradual_unfreezing": 0.0}, "gradual_unfreezing: got 0.0, expected float, above 0"),
        ({"layerwise_lr_decay": 0.5, "head_only": True}, "layerwise_lr_decay: has no effect"),
        ({"lora_alpha": 2.0}, "lora_alpha: has no effect without lora_r"),
        ({"lora_r": 2, "target_modules": ["nothing"]}, "'nothing' names no layer; there are query"),
        ({"lora_r": 2, "target_modules": ["LayerNorm"]}, "LayerNorm is no linear layer"),
        ({"lora_r": 0}, "lora_r: got 0, expected int, at least 1"),
    ],
)
def test_what_cannot_be_is_named(first, tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        run(first, tmp_path, **options)


def test_a_language_model_has_no_head_of_its_own(tmp_path):
    with pytest.raises(ConfigError, match="head_only: GPT2LMHeadModel has no head"):
        tune("dialogue", tmp_path / "out", head_only=True)


def test_adapters_and_head_are_trained_and_merged(first, tmp_path):
    result = run(first, tmp_path, lora_r=2, lora_alpha=4.0, max_steps=20)
    names = changed(first, result)
    layers = [f"bert.encoder.layer.{i}.attention.self" for i in (0, 1)]
    adapted = {f"{layer}.{name}.weight" for layer in layers for name in ("query", "value")}
    assert names == {"classifier.weight", "classifier.bias", *adapted}
    assert result.metrics["trainable_parameters"] < result.metrics["parameters"] / 10
    plain, adapted = open_task(tmp_path / "out"), open_task(first, adapter=tmp_path / "out/adapter")
    for (_, a), (_, b) in zip(plain.predict(TEXTS), adapted.predict(TEXTS)):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_adapter_files_are_in_pefts_layout(first, tmp_path):
    run(first, tmp_path, lora_r=2, target_modules=["attention.self.key", "intermediate.dense"])
    config = json.loads((tmp_path / "out/adapter/adapter_config.json").read_text())
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", 2, 4)
    assert config["base_model_name_or_path"] == str(first)
    assert config["modules_to_save"] == ["classifier"]
    state = load_file(tmp_path / "out/adapter/adapter_model.safetensors")
    layer = "base_model.model.bert.encoder.layer.1.attention.self.key"
    assert state[f"{layer}.lora_A.weight"].shape == (2, 16)
    assert state[f"{layer}.lora_B.weight"].shape == (16, 2)
    assert state["base_model.model.classifier.weight"].shape == (2, 16)
    assert len(config["target_modules"]) == 4


@pytest.mark.parametrize("config", [ENCODER, DECODER, SEQ2SEQ], ids=lambda c: c["model_type"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_merged_weights_compute_what_adapters_did(config, dtype):
    task = {"bert": "sequence-classification", "gpt2": "causal-lm"}.get(
        config["model_type"], "seq2seq-lm"
    )
    extra = {"decoder_start_token_id": 0} if task == "seq2seq-lm" else {}
    model = models.from_config({**config, **extra, "vocab_size": 20}, task).to(dtype).eval()
    inputs = {"input_ids": [[1, 2, 3]]}
    if task == "seq2seq-lm":
        inputs["decoder_input_ids"] = [[1, 2]]
    before = np.asarray(model(**inputs).logits)
    targets = [t for t in ("query", "intermediate.dense", "c_attn", "c_fc", "q_proj", "fc1")
               if any(p.endswith(f".{t}.weight") for p, _ in model.named_parameters())]  # fmt: skip
    add_lora(model, LoraConfig(r=3, lora_alpha=6, target_modules=targets))
    np.testing.assert_allclose(np.asarray(model(**inputs).logits), before, rtol=1e-5, atol=1e-6)
    rng = np.random.default_rng(0)
    for layer in lora_layers(model).values():
        B = layer.lora_B.weight
        B.assign(rng.standard_normal(B.shape).astype(B.dtype))
    adapted = np.asarray(model(**inputs).logits)
    assert np.abs(adapted - before).max() > 1e-3
    merge_lora(model)
    assert not lora_layers(model)
    tolerance = 1e-12 if dtype == "float64" else 1e-4
    merged = np.asarray(model(**inputs).logits)
    np.testing.assert_allclose(merged, adapted, rtol=1e-4, atol=max(tolerance, 1e-5))


def test_every_adapter_gets_a_gradient():
    for config, task in ((ENCODER, "sequence-classification"), (DECODER, "causal-lm")):
        model = models.from_config({**config, "vocab_size": 20}, task).train()
        options = StrategyOptions(lora_r=2)
        apply_strategy(model, options, (), 0)
        for layer in lora_layers(model).values():
            layer.lora_B.weight.assign(np.ones_like(layer.lora_B.weight.data))
        labels = [1] if task == "sequence-classification" else [[1, 2, 3]]
        model(input_ids=[[1, 2, 3]], labels=labels).loss.backward()
        for name, parameter in model.named_parameters():
            assert (parameter.grad is not None) == parameter.requires_grad, name


def bad_adapter(directory, tmp_path, change):
    copy = copytree(directory, tmp_path / "bad")
    config = json.loads((copy / "adapter_config.json").read_text())
    (copy / "adapter_config.json").write_text(json.dumps({**config, **change}))
    return copy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peft_type": "IA3"}, "peft_type is 'IA3', only 'LORA' is supported"),
        ({"use_dora": True}, "use_dora is True"),
        ({"r": 5}, r"r: got 5, but .* has the shape \(2, 16\)"),
        ({"r": "x"}, "r: got 'x', expected int"),
    ],
)
def test_an_adapter_that_does_not_fit_is_named(first, tmp_path, change, message):
    run(first, tmp_path, lora_r=2)
    bad = bad_adapter(tmp_path / "out/adapter", tmp_path, change)
    with pytest.raises(CheckpointError, match=message):
        open_task(first, adapter=bad)
