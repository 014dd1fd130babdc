"""Trainer with modules, data sets and functions of a user: trained, saved and resumed, or told."""

from types import SimpleNamespace

import numpy as np
import pytest

from plainformer import functional
from plainformer.checkpoints import load_file
from plainformer.errors import ConfigError, DataError
from plainformer.nn import Linear, Module
from plainformer.tensor import Tensor
from plainformer.training import Trainer, TrainingArguments

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


COLUMNS = {"input_ids": [[1, 2]], "labels": [[1, 2]]}
BAD_DATA = {
    "columns": (COLUMNS, ConfigError, "a dict of columns"),
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
