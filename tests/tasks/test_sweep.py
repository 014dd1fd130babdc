"""`sweep`: every combination in a run of its own, compared, the best one kept."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import plainformer as pf
from plainformer.cli import main
from plainformer.errors import ConfigError, NonFiniteError
from plainformer.training import TrainerCallback
from plainformer.training.sweep import combinations

from .tiny import TEXTS, tune, weights, write_jsonl

RATES = {"learning_rate": [1e-5, 5e-3], "seed": [1, 2]}


def test_combinations_change_the_last_option_fastest():
    assert [tuple(c.values()) for c in combinations(RATES, {})] == [
        (1e-5, 1), (1e-5, 2), (5e-3, 1), (5e-3, 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sweep", "options", "told"),
    [
        ({}, {}, "expected options"),
        ({"seed": 3}, {}, "seed: got 3, expected a list"),
        ({"seed": []}, {}, "expected a list"),
        ({"seed": [1, 1]}, {}, "each value once"),
        ({"seed": [1, 2]}, {"seed": 3}, "given beside it"),
        ({"output_dir": ["a"]}, {}, "the same for all runs"),
        ({"seed": list(range(1001))}, {}, "more than 1000 runs"),
        ({"learning_rate": [1e-3, -1.0]}, {}, "learning_rate: got -1.0"),
        ({"learning_rte": [1e-3]}, {}, "learning_rte"),
    ],
)
def test_what_is_not_allowed_is_told_before_anything_runs(tmp_path, sweep, options, told):
    with pytest.raises(ConfigError, match=told):
        tune("text-classification", tmp_path / "out", sweep=sweep, **options)
    assert not (tmp_path / "out").exists()


def test_a_sweep_needs_what_says_which_is_best(tmp_path):
    with pytest.raises(ConfigError, match="sweep: needs validation data"):
        tune("text-classification", tmp_path / "out", validation=None, sweep={"seed": [1, 2]})


def test_the_best_is_kept_as_if_it_had_been_the_only_one(tmp_path, caplog):
    out = tmp_path / "out"
    with caplog.at_level("INFO", "plainformer"):
        result = tune("text-classification", out, sweep=RATES, max_steps=12)
    table = json.loads((out / "sweep" / "table.json").read_text())["runs"]
    assert [row["options"] for row in table] == combinations(RATES, {})
    best = max(table, key=lambda r: (r["metrics"]["eval_accuracy"], -r["metrics"]["eval_loss"]))
    assert result.metrics["eval_loss"] == best["metrics"]["eval_loss"]
    tune("text-classification", tmp_path / "alone", **best["options"], max_steps=12)
    assert weights(out) == weights(tmp_path / "alone")
    assert pf.pipeline("text-classification", out)("so good")[0]["label"]
    assert result.metrics["output_dir"] == str(out)
    assert not list(out.glob("sweep/*/*.safetensors")) + list(out.glob("sweep/*/checkpoint-*"))
    assert len(list(out.glob("sweep/*/log.jsonl"))) == 3  # the best run's stands in out
    assert (out / "log.jsonl").exists()
    assert [*RATES, "eval_accuracy", "eval_loss", "seconds"] in [m.split() for m in caplog.messages]
    assert sum(m.endswith("  <") for m in caplog.messages) == 1


class Dies(TrainerCallback):
    """Ends the process's work in the middle of the second run."""

    def on_step_end(self, args, state, control):
        if "seed=2" in str(args.output_dir) and state.global_step == 3:
            raise KeyboardInterrupt


def test_an_interrupted_sweep_goes_on(tmp_path):
    out, sweep = tmp_path / "out", {"seed": [1, 2, 3]}
    beside = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "eval_strategy": "no"}
    with pytest.raises(KeyboardInterrupt):
        tune("text-classification", out, sweep=sweep, callbacks=[Dies], **beside)
    with pytest.raises(ConfigError, match="holds a sweep"):
        tune("text-classification", out, sweep=sweep, **beside)
    begun = []

    class Counts(TrainerCallback):
        def on_train_begin(self, args, state, control):
            begun.append(state.global_step)

    options = {**beside, "sweep": sweep, "callbacks": [Counts]}
    result = tune("text-classification", out, resume_from_checkpoint=True, **options)
    assert begun == [2, 0]  # the second goes on, the third begins; the first is not run again
    again = tune("text-classification", out, resume_from_checkpoint=True, **options)
    assert begun == [2, 0]
    assert {**again.metrics} == {**result.metrics}
    whole = tune("text-classification", tmp_path / "whole", sweep=sweep, **beside)
    assert weights(out) == weights(tmp_path / "whole")
    assert whole.metrics["eval_loss"] == result.metrics["eval_loss"]


def test_runs_that_diverge_are_never_the_best(tmp_path):
    beside = {"max_steps": 4, "optim": "sgd", "max_grad_norm": 0.0}
    sweep = {"learning_rate": [1e30, 1e-3]}
    result = tune("text-classification", tmp_path / "out", sweep=sweep, **beside)
    [first, second] = json.loads((tmp_path / "out/sweep/table.json").read_text())["runs"]
    assert first["metrics"] is None
    assert result.metrics["eval_loss"] == second["metrics"]["eval_loss"]
    with pytest.raises(NonFiniteError, match="every run of the sweep diverged"):
        tune("text-classification", tmp_path / "b", sweep={"learning_rate": [1e30]}, **beside)


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def test_the_flag(tmp_path):
    data = write_jsonl(tmp_path / "d.jsonl", [{"text": e.text, "label": e.label} for e in TEXTS])
    first = tmp_path / "first"
    tune("text-classification", first, eval_strategy="no", max_steps=2)
    words = ["finetune", "text-classification", "--model", first, "--train", data, "--validation",
             data, "--output-dir", tmp_path / "out", "--max-steps", 2]  # fmt: skip
    result = run(*words, "--sweep", "learning-rate=1e-3,2e-3", "--sweep", "head-only=true,false")
    assert result.exit_code == 0, result.output
    table = json.loads((tmp_path / "out/sweep/table.json").read_text())["runs"]
    assert [row["options"]["head_only"] for row in table] == [True, False] * 2
    for told, word in (("learning-rate", "NAME=VALUE"), ("lerning-rate=1", "no flag"),
                       ("seed=", "NAME=VALUE")):  # fmt: skip
        assert word in run(*words, "--sweep", told).output


def test_pretraining_too(tmp_path):
    config = {"model_type": "gpt2", "n_layer": 1, "n_head": 2, "n_embd": 8, "n_positions": 8}
    text = [{"text": "the sun is warm and the rain is wet " * 20}]
    result = pf.pretrain(
        text, text, config=config, tokenizer="char", output_dir=tmp_path / "out", max_steps=8,
        sweep={"learning_rate": [1e-5, 1e-2]},
    )  # fmt: skip
    rows = json.loads((tmp_path / "out/sweep/table.json").read_text())["runs"]
    losses = [row["metrics"]["eval_loss"] for row in rows]
    assert result.metrics["eval_loss"] == min(losses) == losses[1]
    assert pf.load(tmp_path / "out").num_parameters() == result.model.num_parameters()
