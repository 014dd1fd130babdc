"""`benchmarks/run_recipes.py`: recipes that the command accepts, and the page of their results."""

import json
import sys

import pytest
import yaml
from click.testing import CliRunner

from plainformer.cli.finetune import finetune
from plainformer.models import from_config
from plainformer.tasks import task_class

from .test_scripts import BENCHMARKS, script

sys.modules.setdefault("few_labels", script("few_labels"))  # beside it, as when it is called
recipes = script("run_recipes")
INDEX = recipes.index()


@pytest.mark.parametrize("name", INDEX)
def test_a_recipe_is_flags_of_the_command_and_a_model_that_can_be_built(name):
    recipe = INDEX[name]
    flags = yaml.safe_load((BENCHMARKS / "recipes" / f"{name}.yaml").read_text())
    assert flags.keys() <= {option.name for option in finetune.params}
    kind = task_class(recipe["task"])
    assert kind.name == recipe["task"]
    if recipe["model"] != "minilm":
        values = json.loads((BENCHMARKS / "recipes" / recipe["model"]).read_text())
        assert from_config({**values, "vocab_size": 300}, kind.model_tasks[0]).num_parameters() > 0
        assert "tokenizer" in flags


def test_every_run_file_and_configuration_is_in_the_index():
    files = {path.name for path in (BENCHMARKS / "recipes").iterdir()} - {"index.yaml"}
    models = {recipe["model"] for recipe in INDEX.values()} - {"minilm"}
    assert files == models | {f"{name}.yaml" for name in INDEX}


def entry(name, seed, after, **more):
    return {
        "recipe": name, "seed": seed, "steps": 10, "epochs": 1.0, "parameters": 1000,
        "before_eval_accuracy": 0.5, "eval_accuracy": after, "wall_seconds": 9.0,
        "cpu_seconds": 4.0, "peak_mib": 100, "cpu": "Some CPU", "threads": 2, **more,
    }  # fmt: skip


@pytest.fixture
def written(tmp_path, monkeypatch):
    """The page that is made of given results."""
    monkeypatch.setattr(recipes, "RESULTS", tmp_path / "recipes.jsonl")
    monkeypatch.setattr(recipes, "PAGE", tmp_path / "recipes.md")

    def write(*entries):
        (tmp_path / "recipes.jsonl").write_text("".join(json.dumps(e) + "\n" for e in entries))
        result = CliRunner().invoke(recipes.main, ["write"])
        assert result.exit_code == 0, result.output
        return (tmp_path / "recipes.md").read_text()

    return write


def test_the_bar_is_a_standard_error_below(written):
    assert recipes.bar({"torch": 80.0, "of": 400}) == pytest.approx(78.0)
    assert recipes.bar({"torch": 32.2}) == pytest.approx(32.2)
    assert recipes.bar({}) is None
    page = written(entry("sst2", 0, 0.86), entry("sst2", 1, 0.88), entry("codah", 0, 0.40))
    sst2 = next(line for line in page.splitlines() if line.startswith("| Sentiment, SST-2"))
    codah = next(line for line in page.splitlines() if line.startswith("| Commonsense"))
    assert "| 50.00 ± 0.00 | 87.00 ± 1.41 | 2 | 87.96 | yes | 4 | 9 | 100 |" in sst2
    assert "| 50.00 | 40.00 | 1 | 49.82 | **no** |" in codah


def test_the_page_says_how_to_repeat_it_and_keeps_the_newest_of_a_seed(written):
    page = written(entry("sst2", 0, 0.1), entry("sst2", 0, 0.9))
    assert "0.1000" not in page
    assert "| accuracy | 0.9000 |" in page
    assert "--run benchmarks/recipes/sst2.yaml" in page
    assert "train.jsonl" in page
    assert "Some CPU, 2 threads a run." in page


def test_data_is_found_by_the_end_of_a_name(tmp_path):
    (tmp_path / "cls_sst2").mkdir()
    for name in ("train.jsonl", "validation.jsonl"):
        (tmp_path / "cls_sst2" / name).write_text("{}\n")
    train, validation = recipes.data_files(tmp_path, "sst2")
    assert (train.name, validation.name) == ("train.jsonl", "validation.jsonl")
    result = CliRunner().invoke(recipes.main, ["run", "codah", "--data", str(tmp_path)])
    assert result.exit_code == 2
    assert "no folder whose name ends with codah" in result.output


def test_a_run_is_kept_with_its_time_and_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(recipes, "RESULTS", tmp_path / "recipes.jsonl")
    monkeypatch.setattr(recipes, "PROGRAM", PRINTS)
    (tmp_path / "sst2").mkdir()
    for name in ("train.jsonl", "validation.jsonl"):
        (tmp_path / "sst2" / name).write_text("{}\n")
    arguments = ["run", "sst2", "--data", str(tmp_path), "--minilm", "m", "--seeds", "3,4"]
    result = CliRunner().invoke(recipes.main, arguments)
    assert result.exit_code == 0, result.output
    kept = [json.loads(line) for line in (tmp_path / "recipes.jsonl").read_text().splitlines()]
    assert [(e["recipe"], e["eval_accuracy"]) for e in kept] == [("sst2", 0.75)] * 2
    assert all(e["wall_seconds"] >= e["cpu_seconds"] >= 0 and e["peak_mib"] > 0 for e in kept)
    assert "output_dir" not in kept[0]


PRINTS = 'print("told"); print(\'{"eval_accuracy": 0.75, "output_dir": "/x", "seed": 1}\')'
