"""`pf.pretrain`: what the command does, in a call; text at hand; what came out says what it is."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import plainformer as pf
from plainformer.cli import main
from plainformer.data import Document
from plainformer.errors import ConfigError, DataError
from plainformer.pretraining import PretrainResult
from plainformer.pretraining.building import check_block_size

CONFIG = {"model_type": "gpt2", "n_layer": 1, "n_head": 2, "n_embd": 8, "n_positions": 8}
ENCODER = {
    "model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 16, "max_position_embeddings": 16,
}  # fmt: skip
TEXTS = ["the quick brown fox jumps over the lazy dog. " * 4, "who is lazy? the fox! " * 5]
TRAINING = {"max_steps": 3, "logging_steps": 1, "per_device_train_batch_size": 2, "seed": 1}
MADE = ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json", "log.jsonl")


@pytest.fixture
def rows(tmp_path):
    """A file of texts."""
    path = tmp_path / "text.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    return path


def made(directory):
    """What a run leaves that knows no time."""
    state = json.loads((directory / "checkpoint-3" / "trainer_state.json").read_text())
    return [(directory / name).read_bytes() for name in MADE], state


@pytest.mark.parametrize(
    ("config", "more"),
    [
        (CONFIG, {"tokenizer": "char"}),
        (CONFIG, {"tokenizer": "bpe:290", "packing": True, "learning_rate": 0.01}),
        (ENCODER, {"tokenizer": "wordpiece:60", "objective": "mlm", "mlm_probability": 0.3,
                   "block_size": 12}),
    ],
    ids=["clm", "packed", "mlm"],
)  # fmt: skip
def test_the_call_and_the_command_leave_the_same_bytes(tmp_path, rows, config, more):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    words = []
    for name, value in {**TRAINING, **more}.items():
        flag = f"--{name.replace('_', '-')}"
        words += [flag] if value is True else [flag, str(value)]
    flags = ["--data", rows, "--validation", rows, "--config", path, "--output-dir", tmp_path / "a"]
    told = CliRunner().invoke(main, ["pretrain", "--json", *map(str, flags), *words])
    assert told.exit_code == 0, told.stderr
    result = pf.pretrain(rows, [rows], config=config, output_dir=tmp_path / "b", **TRAINING, **more)
    assert made(tmp_path / "a") == made(tmp_path / "b")
    figures = json.loads(told.stdout.splitlines()[-1])
    timed = {"seconds", "tokens_per_second", "output_dir"}
    assert figures.keys() == {"command", "version", *result.metrics}
    for name in result.metrics.keys() - timed:
        assert figures[name] == result.metrics[name], name


def test_texts_at_hand_are_as_those_of_a_file(tmp_path, rows):
    given = {
        "file": rows,
        "objects": [{"text": text} for text in TEXTS],
        "documents": [Document(text, "") for text in TEXTS],
    }
    found = []
    for name, data in given.items():
        out = tmp_path / name
        pf.pretrain(data, data, config=CONFIG, tokenizer="bpe:290", output_dir=out, **TRAINING)
        found.append(made(out))
    assert found[0] == found[1] == found[2]


def test_what_comes_out_is_ready_and_says_what_it_is(tmp_path, rows):
    out = tmp_path / "out"
    result = pf.pretrain(rows, rows, config=CONFIG, tokenizer="char", output_dir=out, **TRAINING)
    assert isinstance(result, PretrainResult)
    assert repr(result).startswith("PretrainResult(steps=3, train_loss=")
    assert f"output_dir='{out}'" in repr(result)
    lines = str(result).splitlines()
    assert lines[0].startswith("3 steps in ")
    assert lines[2].startswith(f"validation loss {result.metrics['eval_loss']:.4f} (unigram ")
    assert lines[-1] == f"model in {out}"
    ids = result.tokenizer.encode("the fox")
    new = result.model.eval().generate(ids, max_new_tokens=2)
    assert new.tolist() == pf.load(out).generate(ids, max_new_tokens=2).tolist()


def test_a_tokenizer_and_a_model_that_are_there_are_taken(tmp_path, rows):
    first = tmp_path / "first"
    pf.pretrain(rows, config=CONFIG, tokenizer="bpe:290", output_dir=first, **TRAINING)
    same = {"config": CONFIG, "output_dir": tmp_path / "same", **TRAINING}
    result = pf.pretrain(rows, tokenizer=pf.load_tokenizer(first), **same)
    weights = [(d / "model.safetensors").read_bytes() for d in (first, tmp_path / "same")]
    assert weights[0] == weights[1]
    assert "eval_loss" not in result.metrics
    still = {"learning_rate": 1e-30, "output_dir": tmp_path / "on", **TRAINING}
    on = pf.pretrain(rows, model=first, **still)
    for name, parameter in on.model.named_parameters():
        left = dict(result.model.named_parameters())[name]
        assert abs(parameter.data - left.data).max() < 1e-20, name


def test_callbacks_are_called(tmp_path, rows):
    class Stop(pf.training.TrainerCallback):
        def on_step_end(self, args, state, control):
            control.should_training_stop = True

    made = {"config": CONFIG, "tokenizer": "char", "output_dir": tmp_path / "out"}
    assert pf.pretrain(rows, callbacks=[Stop], **made, **TRAINING).metrics["steps"] == 1


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"data": None}, ConfigError, "data: got NoneType, expected files or globs"),
        ({"data": []}, ConfigError, "data: got an empty list"),
        ({"data": {"text": "a"}}, ConfigError, "data: got dict, expected"),
        ({"data": [1]}, ConfigError, "data: got a list with int"),
        ({"data": ["a.txt", {"text": "a"}]}, ConfigError, "data: got a list with dict"),
        ({"data": [{"text": "a"}, {"body": "a"}]}, DataError, "data:2: text is no text"),
        ({"validation": [{"txt": "a"}]}, DataError, "validation:1: text is no text"),
        ({"data": "nowhere.txt"}, DataError, "nowhere.txt"),
        ({"config": None}, ConfigError, "config: got None, expected a config.json"),
        ({"config": 3}, ConfigError, "config: got int"),
        ({"output_dir": None}, ConfigError, "output_dir: got None, expected a directory"),
        ({"block_size": 4.0}, ConfigError, "block_size: got 4.0, expected 1 to the model's 8"),
        ({"tokenizer": None}, ConfigError, "tokenizer: got None"),
        ({"tokenizer": "words"}, ConfigError, "tokenizer: got 'words'"),
        ({"model": "somewhere"}, ConfigError, "config: the directory of `model` has one"),
        ({"objective": "clip"}, ConfigError, "objective: got 'clip', expected one of clm"),
        ({"objective": None}, ConfigError, "objective: got None"),
        ({"block_size": 9}, ConfigError, "block_size: got 9, expected 1 to the model's 8"),
        ({"block_size": "8"}, ConfigError, "block_size: got '8'"),
        ({"mlm_probability": 0.1}, ConfigError, "mlm_probability: has no effect with objective"),
        ({"packing": "yes"}, ConfigError, "packing: got 'yes', expected bool"),
        ({"max_length": 4, "packing": True}, ConfigError, "max_length: has no effect here"),
        ({"learning_rat": 0.1}, ConfigError, "did you mean learning_rate?"),
        ({"mlm_probabilty": 0.1}, ConfigError, "an option of pre-training; did you mean mlm_prob"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_one_clear_error(tmp_path, rows, changes, error, message):
    usual = {"data": rows, "config": CONFIG, "tokenizer": "char", "output_dir": tmp_path / "out"}
    with pytest.raises(error) as raised:
        pf.pretrain(**{**usual, **TRAINING, **changes})
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_a_block_size_may_be_a_number_of_numpys():
    config = pf.models.GPT2Config(n_positions=8)
    assert check_block_size(np.int64(4), config) == 4
