"""Trainer with modules, data sets and functions of a user: trained, saved and resumed, or told."""

from types import SimpleNamespace

import numpy as np
import pytest

from plainformer import functional
from plainformer.checkpoints import load_file
from plainformer.errors import ConfigError, DataError
from plainformer.nn import Linear, Module
from plainformer.tensor import Tensor
from plainformer.training import (
    ParameterOptions,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from .tiny import rows, tiny_args, tiny_model, tree, weights


class Net(Module):
    """Two layers, as `nn.Module` alone lets anyone write them."""

    def __init__(self):
        self.layers = {"first": Linear(4, 8), "rest": [(Linear(8, 3),)]}
        self.again = self.layers["first"]
        self.activation = lambda x: functional.activation(x, "relu")
        rng = np.random.default_rng(0)
        for parameter in self.parameters():
            parameter.assign(rng.standard_normal(parameter.shape).astype(np.float32))

    def forward(self, x, labels=None, num_items_in_batch=None):
        hidden = self.activation(self.layers["first"](Tensor(x)))
        logits = self.layers["rest"][0][0](hidden)
        if labels is None:
            return SimpleNamespace(logits=logits)
        total = functional.cross_entropy(logits, labels, reduction="sum")
        return SimpleNamespace(loss=functional.scale(total, 1 / num_items_in_batch), logits=logits)


def points(count):
    x = np.random.default_rng(1).standard_normal((count, 4)).astype(np.float32)
    return [{"x": row, "labels": int(np.argmax(row[:3]))} for row in x]


def arguments(folder, **options):
    return TrainingArguments(
        str(folder), per_device_train_batch_size=4, learning_rate=0.1, disable_tqdm=True, **options
    )


def test_a_module_of_the_user_learns_and_is_asked(tmp_path):
    trainer = Trainer(Net(), arguments(tmp_path, num_train_epochs=20), points(40), points(40))
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    assert trainer.evaluate()["eval_loss"] < before / 4
    found = trainer.predict([{"x": row["x"]} for row in points(40)])
    assert np.mean(np.argmax(found.predictions, 1) == [r["labels"] for r in points(40)]) > 0.9
    trainer.save_model(tmp_path / "saved")
    assert sorted(load_file(tmp_path / "saved" / "model.safetensors")) == sorted(weights(Net()))


def test_a_module_of_the_user_resumes_to_the_same_bytes(tmp_path):
    options = {"max_steps": 6, "save_strategy": "steps", "save_steps": 3, "logging_steps": 1}
    Trainer(Net(), arguments(tmp_path / "whole", **options), points(10)).train()
    again = Trainer(Net(), arguments(tmp_path / "whole", **options), points(10))
    whole = tree(tmp_path / "whole")
    again.train(resume_from_checkpoint=tmp_path / "whole" / "checkpoint-3")
    assert tree(tmp_path / "whole") == whole


@pytest.mark.parametrize("option", [{"dropout": 0.1}, {"activation_checkpointing": True}])
def test_options_that_a_module_does_not_have_are_named(option, tmp_path):
    with pytest.raises(ConfigError, match=f"{next(iter(option))}: Net has no .*leave it out"):
        Trainer(Net(), arguments(tmp_path, **option), points(4))


@pytest.mark.parametrize("model", [None, Net, object(), lambda **batch: None, "gpt2"])
def test_what_is_no_model_is_told(model, tmp_path):
    with pytest.raises(ConfigError, match=r"model: got .*expected a plainformer\.nn\.Module"):
        Trainer(model, arguments(tmp_path), points(4))


class Written:
    """No Module: what `Trainable` lists and no more; its loss is a mean, alone."""

    def __init__(self):
        self.net, self.training = Net(), True

    def __call__(self, x, target=None):
        output = self.net(Tensor(x).data, target, None if target is None else len(target))
        return output.logits if target is None else output.loss

    def named_parameters(self):
        return self.net.named_parameters()

    def state_dict(self):
        return self.net.state_dict()

    def load_state_dict(self, state):
        self.net.load_state_dict(state)

    def train(self):
        self.training = True

    def eval(self):
        self.training = False


def test_a_protocol_is_all_that_is_asked(tmp_path):
    data = [{"x": row["x"], "target": row["labels"]} for row in points(40)]
    trainer = Trainer(Written(), arguments(tmp_path, num_train_epochs=20), data, data)
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    assert trainer.evaluate()["eval_loss"] < before / 4
    assert trainer.model.training
    found = trainer.predict([{"x": row["x"]} for row in points(40)]).predictions
    assert np.mean(np.argmax(found, 1) == [row["target"] for row in data]) > 0.9


@pytest.mark.parametrize("name", ["named_parameters", "state_dict", "eval", "training"])
def test_what_a_model_lacks_is_named(name, tmp_path):
    model = Written()
    kind = type("Lacking", (Written,), {})
    if name == "training":
        del model.training
    else:
        setattr(kind, name, property(lambda self: self.nothing))
    model.__class__ = kind
    with pytest.raises(ConfigError, match=f"without {name}, expected a plainformer.nn.Module"):
        Trainer(model, arguments(tmp_path))


@pytest.mark.parametrize("parameters", [[], [("weight", np.zeros(3))]], ids=["none", "arrays"])
def test_parameters_of_another_library_are_told(parameters, tmp_path):
    model = Written()
    model.named_parameters = lambda: iter(parameters)
    words = "has weight, which are no" if parameters else "has no parameters to train"
    with pytest.raises(ConfigError, match=f"model: Written {words}"):
        Trainer(model, arguments(tmp_path))


MEANS = {
    "attribute": lambda loss, logits: SimpleNamespace(loss=loss, logits=logits),
    "alone": lambda loss, logits: loss,
    "tuple": lambda loss, logits: (loss, logits),
    "dict": lambda loss, logits: {"loss": loss, "logits": logits},
}


class Mean(Net):
    """Its loss is the mean over the labels that count, returned as `form` says."""

    form = staticmethod(MEANS["attribute"])

    def forward(self, x, labels):
        counted = max(1, int(np.count_nonzero(labels != -100)))
        output = super().forward(x, labels, counted)
        return self.form(output.loss, output.logits)


@pytest.mark.parametrize("form", MEANS)
def test_means_add_up_to_the_loss_of_all_labels(form, tmp_path, monkeypatch):
    """Whatever form they come in, and however unequal the batches are."""
    monkeypatch.setattr(Mean, "form", staticmethod(MEANS[form]))
    data = points(10)
    for row in data[1:4]:
        row["labels"] = -100
    options = {"num_train_epochs": 3, "gradient_accumulation_steps": 3, "save_strategy": "no"}
    own, sums = (
        Trainer(model, arguments(tmp_path / type(model).__name__, **options), data, data)
        for model in (Mean(), Net())
    )
    for trainer in (own, sums):
        trainer.train()
    for name, array in own.model.state_dict().items():
        np.testing.assert_allclose(array, sums.model.state_dict()[name], rtol=1e-3, atol=1e-5)
    assert own.evaluate()["eval_loss"] == pytest.approx(sums.evaluate()["eval_loss"], rel=1e-4)
    if form != "alone":
        assert own.predict(data).predictions.shape == (10, 3)


BAD_LOSSES = {
    "nothing": (lambda loss, logits: None, "NoneType without a loss"),
    "no loss": (lambda loss, logits: SimpleNamespace(logits=logits), "without a loss"),
    "a number": (lambda loss, logits: (0.5, logits), "a loss that is a float"),
    "an array": (lambda loss, logits: {"loss": loss.data}, "a loss that is a ndarray"),
    "several": (lambda loss, logits: logits, r"a loss of shape \(4, 3\)"),
}


@pytest.mark.parametrize("name", BAD_LOSSES)
def test_a_wrong_loss_is_told(name, tmp_path, monkeypatch):
    form, words = BAD_LOSSES[name]
    monkeypatch.setattr(Mean, "form", staticmethod(form))
    trainer = Trainer(Mean(), arguments(tmp_path), points(4), points(4))
    with pytest.raises(ConfigError, match=f"model: Mean returned .*{words}.*Tensor of one number"):
        trainer.train()
    with pytest.raises(ConfigError, match="model: Mean returned"):
        trainer.evaluate()


def test_data_may_evaluate_themselves(tmp_path):
    class Scored(list):
        scores = iter([0.5, 0.75, 0.25])

        def evaluate(self, batch_size):
            return {"score": np.float64(next(self.scores)), "size": batch_size}

        def predict(self, batch_size):
            return ["yes"] * len(self), None, {"size": batch_size}

    options = {"eval_strategy": "steps", "eval_steps": 1, "metric_for_best_model": "score",
               "load_best_model_at_end": True}  # fmt: skip
    args = arguments(tmp_path, max_steps=3, per_device_eval_batch_size=5, **options)
    data = Scored(points(8))
    trainer = Trainer(Net(), args, data, data)
    trainer.train()
    assert (trainer.state.best_step, trainer.state.best_metric) == (2, 0.75)
    evaluations = [one for one in trainer.state.log_history if "eval_score" in one]
    assert [one["eval_size"] for one in evaluations] == [5, 5, 5]
    assert trainer.predict(data) == (["yes"] * 8, None, {"test_size": 5})


def test_columns_are_examples(tmp_path):
    data = points(10)
    columns = {"x": np.stack([row["x"] for row in data]), "labels": [r["labels"] for r in data]}
    found = []
    for name, given in (("rows", data), ("columns", columns)):
        trainer = Trainer(Net(), arguments(tmp_path / name, max_steps=3), given, given)
        trainer.train()
        found.append((weights(trainer.model), trainer.evaluate(), trainer.evaluate(given)))
    assert found[0] == found[1]


def test_recomputation_that_the_caller_asked_for_stays(tmp_path):
    model = tiny_model()
    model.gradient_checkpointing_enable()
    Trainer(model, tiny_args(tmp_path))
    assert model.transformer.recomputes
    model.gradient_checkpointing_disable()
    Trainer(model, tiny_args(tmp_path))
    assert not model.transformer.recomputes
    Trainer(model, tiny_args(tmp_path, activation_checkpointing=True))
    assert model.transformer.recomputes


def test_a_mask_is_no_bother_to_a_module_without_one(tmp_path):
    class Bag(Net):
        def forward(self, input_ids, labels=None, num_items_in_batch=None):
            return super().forward(input_ids.astype(np.float32), labels, num_items_in_batch)

    even = [{"input_ids": np.arange(4) + i, "labels": i % 3} for i in range(8)]
    Trainer(Bag(), arguments(tmp_path, max_steps=2, save_strategy="no"), even).train()
    uneven = [{"input_ids": np.arange(2 + i), "labels": 0} for i in range(2)]
    with pytest.raises(ConfigError, match="attention_mask, which Bag does not take"):
        Trainer(Bag(), arguments(tmp_path), uneven).train()


UNEQUAL = {"input_ids": [[1, 2]], "labels": [[1, 2], [3, 4]]}
BAD_DATA = {
    "mapping": ({"train": rows, "x": [1]}, ConfigError, "a dict with function under 'train'"),
    "empty": ({}, ConfigError, "got no examples"),
    "columns": (UNEQUAL, ConfigError, r"columns of lengths {'input_ids': 1, 'labels': 2}"),
    "frame": (type("DataFrame", (list,), {"iloc": None})([1]), ConfigError, "to_dict"),
    "class": (type("Rows", (list,), {}), ConfigError, "the class Rows"),
    "iterator": (iter(rows(3)), ConfigError, "__len__ and __getitem__"),
    "tuples": ([(np.arange(3), np.arange(3))] * 4, DataError, "got tuple, expected dicts"),
    "arrays": (np.zeros((4, 3), int), DataError, "got ndarray, expected dicts"),
    "nothing": ([None] * 4, DataError, "got NoneType, expected dicts"),
    "others": ([{**row, "text": 1} for row in rows(4)], ConfigError, "got text, which GPT2LMHead"),
}


@pytest.mark.parametrize("max_length", [None, 4])
@pytest.mark.parametrize("name", BAD_DATA)
def test_data_that_are_no_examples_are_told(name, max_length, tmp_path):
    data, error, words = BAD_DATA[name]
    with pytest.raises(error, match=words):
        Trainer(tiny_model(), tiny_args(tmp_path, max_length=max_length), data).train()
    with pytest.raises(error, match=words):
        Trainer(tiny_model(), tiny_args(tmp_path, max_length=max_length)).predict(data)


@pytest.mark.parametrize(
    ("collator", "words"),
    [(5, "got 5"), (lambda examples: None, "NoneType"), (lambda examples: examples, "list")],
)
def test_collators_that_make_no_batch_are_told(collator, words, tmp_path):
    with pytest.raises(ConfigError, match=f"data_collator: .*{words}"):
        Trainer(tiny_model(), tiny_args(tmp_path), rows(4), data_collator=collator).train()


@pytest.mark.parametrize(
    ("metrics", "words"),
    [({"f1": np.zeros(3)}, r"'f1': got an array of shape \(3,\)"), ({3: 1.0}, "the name 3")],
)
def test_metrics_that_are_no_numbers_are_told(metrics, words, tmp_path):
    trainer = Trainer(tiny_model(), tiny_args(tmp_path), compute_metrics=lambda _: metrics)
    with pytest.raises(ConfigError, match=f"compute_metrics: .*{words}"):
        trainer.evaluate(rows(4))


WRONG_ARGUMENTS = {
    "args": ({"output_dir": "out"}, "args: got .*expected TrainingArguments"),
    "compute_metrics": (5, "compute_metrics: got 5, expected a function"),
    "data_collator": ("pad", "data_collator: got 'pad', expected a function"),
    "callbacks": (TrainerCallback(), "callbacks: got .*expected a list"),
    "processing_class": ("bert", "processing_class: got 'bert', expected a tokenizer"),
    "parameter_options": ({"wieght": ParameterOptions()}, "the model has no parameter 'wieght'"),
}
OPTIONS = {
    "kind": ({"lr_scale": 2.0}, "parameter_options: got"),
    "scale": (ParameterOptions(lr_scale=-2.0), "lr_scale: got -2.0, expected at least 0"),
    "epoch": (ParameterOptions(start_epoch="1"), "start_epoch: got '1', expected float"),
}


@pytest.mark.parametrize("name", WRONG_ARGUMENTS)
def test_what_a_run_would_stumble_over_is_told_before_it(name, tmp_path):
    value, words = WRONG_ARGUMENTS[name]
    given = {"args": arguments(tmp_path), "train_dataset": points(4), name: value}
    with pytest.raises(ConfigError, match=words):
        Trainer(Net(), **given)


@pytest.mark.parametrize("name", OPTIONS)
def test_options_of_parameters_are_checked(name, tmp_path):
    own, words = OPTIONS[name]
    with pytest.raises(ConfigError, match=words):
        Trainer(Net(), arguments(tmp_path), parameter_options={"layers.first.bias": own})


def test_smoothing_that_a_model_does_not_take_is_told(tmp_path):
    with pytest.raises(ConfigError, match="label_smoothing_factor: Net takes no label_smoothing"):
        Trainer(Net(), arguments(tmp_path, label_smoothing_factor=0.1))
