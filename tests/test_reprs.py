"""What people see who type a name: models, pipelines, tasks, results, configurations, outputs."""

import os

import numpy as np
import pytest

import plainformer as pf
from plainformer.models import MODELS
from plainformer.reprs import brief, outline, table, table_of
from plainformer.training.evaluation import PredictionOutput
from plainformer.training.trainer import TrainOutput
from tests.models.tiny import CONFIGS, config_of, make
from tests.tasks.tiny import TASKS, tune


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_configuration_shows_what_is_not_usual_and_reads_back(kind):
    config_class = MODELS[kind].config_class
    assert repr(config_class()) == f"{config_class.__name__}()"
    config = config_class.from_dict(config_of(kind))
    text = repr(config)
    assert "vocab_size=31" in text
    assert "id2label" not in text
    assert eval(text, dict(vars(pf.models))).to_dict() == config.to_dict()


def test_tasks_pipelines_and_results(tmp_path):
    for task in TASKS:
        result = tune(task, tmp_path / task, eval_strategy="no", max_steps=1)
        ask = pf.pipeline(task, tmp_path / task)
        size = f"{result.task.model.num_parameters():,} parameters"
        assert repr(ask) == f"Pipeline({ask.task!r}, batch_size=8)"
        assert size in repr(ask)
        assert repr(result).startswith(f"FineTuneResult(task={task!r}, ")
        assert len(repr(result)) < 1500
        shown = result._repr_html_()
        assert ("before" in shown) == ("eval_loss" in shown)
        assert shown.startswith(f"<table><caption>{task}: 1 steps in ")
        loss = next(name for name in result.metrics if name.endswith("_loss"))
        assert f"<th>{loss}" in shown or loss == "train_loss"
    classify = pf.pipeline(None, tmp_path / "text-classification", max_length=7)
    assert "labels neg, pos" in repr(classify) or "labels pos, neg" in repr(classify)
    assert "max_length=7" in repr(classify)


def test_arguments_show_what_was_asked_for():
    args = pf.TrainingArguments("out", learning_rate=0.1, lr_scheduler_type="cosine")
    assert repr(args) == (
        "TrainingArguments(output_dir='out', learning_rate=0.1, lr_scheduler_type='cosine')"
    )
    assert repr(pf.GenerationConfig(top_k=3, eos_token_id=[1, 2])) == (
        "GenerationConfig(top_k=3, eos_token_id=[1, 2])"
    )


def test_outputs_show_shapes():
    model = make("gpt2", "causal-lm")
    found = model.generate([[1, 2]], 3, return_dict_in_generate=True, output_logits=True)
    assert repr(found) == (
        "GenerateOutput(\n    sequences=ndarray (1, 5) int64,\n"
        "    logits=(3 x ndarray (1, 31) float32),\n    lengths=ndarray (1,) int64,\n)"
    )
    assert found[0] is found["sequences"] is found.sequences
    assert found.keys() == {"sequences", "logits", "lengths"}
    predicted = PredictionOutput(np.zeros((3, 2)), None, {"test_loss": 0.5})
    assert repr(predicted) == (
        "PredictionOutput(predictions=ndarray (3, 2) float64, label_ids=None, "
        "metrics={'test_loss': 0.5})"
    )
    assert "<tr><th>test_loss</th><td>0.5</td></tr>" in predicted._repr_html_()
    assert "7 steps" in TrainOutput(7, 0.5, {"train_loss": 0.5})._repr_html_()
    assert outline([0] * 100) == "list of 100"


def test_tables_escape_what_they_show():
    assert table_of({"<b>": "&", "loss": 1 / 3}) == (
        "<table><tr><th>&lt;b&gt;</th><td>&amp;</td></tr>"
        "<tr><th>loss</th><td>0.333333</td></tr></table>"
    )
    assert table(("", "x"), [("a", 1)], "t") == (
        "<table><caption>t</caption><tr><th></th><th>x</th></tr>"
        "<tr><th>a</th><td>1</td></tr></table>"
    )


def test_brief_tells_types_apart():
    config = pf.GPT2Config()
    config.n_layer = 12.0
    assert brief(config, pf.GPT2Config()) == "GPT2Config(n_layer=12.0)"
