"""`plainformer pretrain`: flags, run files, errors, and that every flag does something."""

import dataclasses
import json
import math
import os
import re

import click
import numpy as np
import pytest
from click.testing import CliRunner

from plainformer.cli import main
from plainformer.cli._run_file import with_run_file
from plainformer.cli.pretrain import pretrain
from plainformer.data import make_tokenizer, parse_spec, save_tokenizer
from plainformer.data.text import Document
from plainformer.data.tokenizer import vocab_size
from plainformer.models import from_config, load
from plainformer.pretraining.options import OWN
from plainformer.training import TrainingArguments
from tests.data.tokenizer_files import characters_alone

CONFIG = {"model_type": "gpt2", "n_layer": 1, "n_head": 2, "n_embd": 8, "n_positions": 8}
TEXT = "the quick brown fox jumps over the lazy dog\n" * 8


@pytest.fixture
def files(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "text.txt").write_text(TEXT)
    (tmp_path / "validation.txt").write_text(TEXT[:100])
    return tmp_path


def run(*arguments):
    """Exit code, JSON result (None without one) and standard error of a command line."""
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    lines = result.stdout.strip().splitlines()
    value = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else None
    return result.exit_code, value, result.stderr


def flags_of(files, **changes):
    """A complete command line in `files`, with changes; None leaves a flag out."""
    flags = {
        "data": files / "text.txt",
        "config": files / "config.json",
        "tokenizer": "char",
        "output-dir": files / "out",
        "max-steps": 3,
        "per-device-train-batch-size": 2,
        "logging-steps": 1,
        "seed": 1,
        **changes,
    }
    given = [(f"--{name}", value) for name, value in flags.items() if value is not None]
    return ["pretrain", "--json", *(part for pair in given for part in pair)]


def weights(files):
    return (files / "out" / "model.safetensors").read_bytes()


def test_a_run_leaves_a_model_logs_and_figures(files):
    code, result, _ = run(*flags_of(files, validation=files / "validation.txt"))
    assert code == 0
    assert result["command"] == "pretrain"
    assert result["steps"] == 3
    assert result["seed"] == 1
    assert {"train_loss", "eval_loss", "eval_perplexity", "seconds", "tokens_per_second"} <= set(
        result
    )
    out = files / "out"
    for name in ("model.safetensors", "config.json", "tokenizer.json", "log.jsonl"):
        assert (out / name).exists(), name
    config = json.loads((out / "config.json").read_text())
    assert config["vocab_size"] == len(set(TEXT)) + 256
    code, result, _ = run("generate", "--json", out, "the ", "--max-new-tokens", "3")
    assert code == 0
    assert result["new_tokens"] == 3


def test_the_same_command_gives_the_same_bytes(files):
    assert run(*flags_of(files))[0] == 0
    first = weights(files), (files / "out" / "log.jsonl").read_bytes()
    assert run(*flags_of(files), "--overwrite-output-dir")[0] == 0
    assert (weights(files), (files / "out" / "log.jsonl").read_bytes()) == first


def test_resuming_gives_the_bytes_of_an_uninterrupted_run(files):
    steps = {"max-steps": 6, "save-steps": 2, "lr-scheduler-type": "constant"}
    assert run(*flags_of(files, **steps))[0] == 0
    whole = weights(files)
    stopped = {**steps, "max-steps": 4, "output-dir": files / "resumed"}
    assert run(*flags_of(files, **stopped))[0] == 0
    going_on = {**steps, "output-dir": files / "resumed"}
    assert run(*flags_of(files, **going_on), "--resume-from-checkpoint")[0] == 0
    assert (files / "resumed" / "model.safetensors").read_bytes() == whole


ENCODER = {
    "model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 16, "max_position_embeddings": 16,
}  # fmt: skip


def checkpoint(files, task):
    """A directory with an encoder for a task and a tokenizer, and the encoder."""
    directory = files / task
    tokenizer = make_tokenizer(parse_spec("wordpiece:60"), [Document(TEXT, "")], "mlm")
    config = {**ENCODER, "vocab_size": vocab_size(tokenizer)}
    model = from_config(config, task, seed=5)
    model.save_pretrained(directory)
    save_tokenizer(tokenizer, directory)
    return directory, model


def going_on(files, directory, **changes):
    """A command line that trains the model of a directory further."""
    usual = {"model": directory, "objective": "mlm", "config": None, "tokenizer": None}
    return flags_of(files, **{**usual, **changes})


def test_training_goes_on_from_a_checkpoint(files):
    directory, model = checkpoint(files, "masked-lm")
    code, result, err = run(*going_on(files, directory, **{"learning-rate": 1e-30}))
    assert code == 0, err
    assert result["steps"] == 3
    left = load(files / "out", "masked-lm")
    for (name, ours), (_, theirs) in zip(model.named_parameters(), left.named_parameters()):
        np.testing.assert_allclose(theirs.data, ours.data, rtol=0, atol=1e-20, err_msg=name)
    tokenizers = [
        json.loads((d / "tokenizer.json").read_text()) for d in (directory, files / "out")
    ]
    assert tokenizers[0] == tokenizers[1]
    assert run(*going_on(files, directory), "--overwrite-output-dir")[0] == 0
    assert weights(files) != (directory / "model.safetensors").read_bytes()


@pytest.mark.filterwarnings("ignore:.*new weights")
def test_a_checkpoint_without_the_head_gets_one_by_the_seed(files):
    directory, model = checkpoint(files, "sequence-classification")
    found = []
    for seed in (1, 1, 2):
        flags = going_on(files, directory, seed=seed, **{"learning-rate": 1e-30})
        assert run(*flags, "--overwrite-output-dir")[0] == 0
        found.append(weights(files))
    assert found[0] == found[1] != found[2]
    left = dict(load(files / "out", "masked-lm").named_parameters())
    body = {n: p for n, p in model.named_parameters() if n in left}
    assert len(body) > 10
    for name, parameter in body.items():
        np.testing.assert_allclose(left[name].data, parameter.data, rtol=0, atol=1e-20)


def test_a_checkpoint_that_cannot_learn_the_objective_is_refused(files):
    directory, _ = checkpoint(files, "masked-lm")
    code, result, _ = run(*going_on(files, directory, objective="clm"))
    assert code == 2
    assert "clm trains a causal-lm model, which bert has not" in result["error"]
    tokenizer = make_tokenizer(parse_spec("wordpiece:90"), [Document(TEXT * 9, "")], "mlm")
    save_tokenizer(tokenizer, directory)
    code, result, _ = run(*going_on(files, directory))
    assert code == 2
    assert "model: " in result["error"]
    assert "but its tokenizer has" in result["error"]


def test_a_run_file_holds_flags_and_the_command_line_wins(files):
    run_file = files / "run.yaml"
    run_file.write_text(
        f"data: {files / 'text.txt'}\nconfig: {files / 'config.json'}\ntokenizer: char\n"
        f"output-dir: {files / 'out'}\nmax_steps: 2\nper-device-train-batch-size: 2\n"
    )
    code, result, _ = run("pretrain", "--json", "--run", run_file, "--max-steps", "1")
    assert code == 0
    assert result["steps"] == 1
    run_file.write_text("max_step: 2\n")
    code, result, errors = run("pretrain", "--json", "--run", run_file)
    assert code == 2
    assert "'max_step' is not a flag" in errors
    assert "did you mean --max-steps" in errors


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"data": None}, 2, "missing --data"),
        ({"config": None}, 2, "missing --config"),
        ({"model": "nowhere", "config": None}, 2, "tokenizer: the directory of `--model` has one"),
        ({"model": "nowhere", "tokenizer": None}, 2, "config: the directory of `--model` has one"),
        ({"model": "nowhere", "config": None, "tokenizer": None}, 1, "nowhere"),
        ({"tokenizer": "words"}, 2, "got 'words'"),
        ({"tokenizer": "bpe:10"}, 2, "10"),
        ({"block-size": 9}, 2, "--block-size: got 9, expected 1 to the model's 8 positions"),
        ({"block-size": 0}, 2, "--block-size: got 0, expected 1 to the model's 8 positions"),
        ({"learning-rate": -1}, 2, "--learning-rate"),
        ({"validation": None, "eval-strategy": "steps"}, 2, "--validation: got None, --eval-str"),
        ({"objective": "mlm"}, 2, "mlm trains a masked-lm model, which gpt2 has not"),
        ({"objective": "clip"}, 2, "clip"),
        ({"lr-scheduler-kwargs": "[1]"}, 2, "expected an object"),
        ({"data": "nowhere.txt"}, 1, "nowhere.txt"),
    ],
    ids=str,
)
def test_bad_flags_are_one_line_and_an_exit_code(files, changes, code, message):
    got, result, errors = run(*flags_of(files, **changes))
    assert got == code, errors
    assert message in errors
    assert message in result["error"]


def test_a_vocab_size_of_its_own_is_refused(files):
    (files / "config.json").write_text(json.dumps({**CONFIG, "vocab_size": 5}))
    code, result, _ = run(*flags_of(files))
    assert code == 2
    assert "got vocab_size 5, but the tokenizer has" in result["error"]


def test_an_id_outside_the_vocabulary_is_refused(files):
    (files / "config.json").write_text(json.dumps({**CONFIG, "eos_token_id": 50256}))
    code, result, _ = run(*flags_of(files))
    assert code == 2
    assert "got eos_token_id 50256, but the tokenizer has" in result["error"]


def test_a_character_outside_the_vocabulary_is_bytes(files):
    (files / "validation.txt").write_text("the\nfox\nÜ摊\U0001f600!\n")
    code, result, _ = run(*flags_of(files, validation=files / "validation.txt"))
    assert code == 0
    assert math.isfinite(result["eval_loss"])
    code, result, _ = run("generate", "--json", files / "out", "摊Ü", "--max-new-tokens", "3")
    assert code == 0
    assert result["text"].startswith("摊Ü")


def test_one_outside_the_vocabulary_of_an_earlier_version_is_located(files):
    save_tokenizer(characters_alone(TEXT), files / "letters")
    (files / "validation.txt").write_text("the\nfox\nquiz!\n")
    flags = flags_of(files, validation=files / "validation.txt", tokenizer=files / "letters")
    code, result, _ = run(*flags)
    assert code == 1
    assert "validation.txt:3" in result["error"]
    assert "train char anew" in result["error"]


def test_unknown_tokens_are_told(files, caplog):
    """A loss of them is no loss of their text."""
    spec = {"tokenizer": "wordpiece:60", "block-size": 4}
    (files / "validation.txt").write_text("the fox 摊 Ü the\n")
    with caplog.at_level("WARNING", "plainformer"):
        code, *_ = run(*flags_of(files, validation=files / "validation.txt", **spec))
    assert code == 0
    [told] = [message for message in caplog.messages if "[UNK]" in message]
    assert told.startswith("validation: 1 of 6 tokens are [UNK]")


def test_every_training_argument_is_a_flag_that_arrives(files):
    """Whether it then does something is asked of TrainingArguments in tests/training."""
    samples = {"int": 7, "float": 0.25, "str": None, "bool": True}
    special = {
        "device": "cuda:1",
        "optim": "sgd",
        "lr_scheduler_type": "cosine",
        "eval_strategy": "steps",
        "save_strategy": "epoch",
        "metric_for_best_model": "perplexity",
        "lr_scheduler_kwargs": '{"num_cycles": 1}',
        "resume_from_checkpoint": "somewhere",
        "report_to": ["tensorboard"],
        "freeze": ["h.0.*"],
        "train_only": ["h.0.*"],
    }
    options = {option.name for option in pretrain.params}
    for field in dataclasses.fields(TrainingArguments):
        if field.name == "output_dir":
            continue
        assert field.name in options, f"{field.name} is no flag of pretrain"
        kind = str(field.type).split(" | ")[0]
        value = special.get(field.name, samples.get(kind))
        flag = f"--{field.name.replace('_', '-')}"
        words = (
            [flag]
            if kind == "bool"
            else [flag, *map(str, value if isinstance(value, list) else [value])]
        )
        context = pretrain.make_context("pretrain", words, resilient_parsing=False)
        given = with_run_file({k: v for k, v in context.params.items() if k != "run_file"}, None)
        got = given[field.name]
        expected = {"num_cycles": 1} if field.name == "lr_scheduler_kwargs" else value
        assert (list(got) if isinstance(got, tuple) else got) == expected, field.name


def test_flags_that_are_not_training_arguments_change_the_run(files):
    training = {field.name for field in dataclasses.fields(TrainingArguments)}
    jsonl = files / "text.jsonl"
    rows = [{"text": "abcabcabcabcabcabc", "body": "xyxyxyxyxyxyxyxyxyxyxyx"}]
    jsonl.write_text("\n".join(json.dumps(r) for r in rows) + "\n")
    bad = files / "bad.jsonl"
    bad.write_text(jsonl.read_text() + "{broken\n")
    other_config = files / "other.json"
    other_config.write_text(json.dumps({**CONFIG, "n_embd": 16}))
    (files / "other.txt").write_text(TEXT[::-1])
    assert run(*flags_of(files))[0] == 0
    base = weights(files)
    assert run(*flags_of(files, data=jsonl), "--overwrite-output-dir")[0] == 0
    base_jsonl = weights(files)

    def changed(name, value, **also):
        flags = flags_of(files, **{name: value}, **also)
        code, result, errors = run(*flags, "--overwrite-output-dir")
        assert code == 0, errors
        return weights(files), result

    tried = {
        "data": changed("data", files / "other.txt")[0] != base,
        "config": changed("config", other_config)[0] != base,
        "tokenizer": changed("tokenizer", "bpe:300")[0] != base,
        "block_size": changed("block-size", 4)[0] != base,
        "validation": "eval_loss" in changed("validation", files / "validation.txt")[1],
        "text_column": changed("text-column", "body", data=jsonl)[0] != base_jsonl,
    }
    assert run(*flags_of(files, data=bad), "--overwrite-output-dir")[0] == 1
    tried["skip_bad_lines"] = (
        run(*flags_of(files, data=bad), "--overwrite-output-dir", "--skip-bad-lines")[0] == 0
    )
    (files / "cp1252.txt").write_text("é" + TEXT, encoding="cp1252")
    assert run(*flags_of(files, data=files / "cp1252.txt"), "--overwrite-output-dir")[0] == 1
    changed("encoding", "cp1252", data=files / "cp1252.txt")  # read without an error
    tried["encoding"] = True
    assert all(tried.values()), tried
    # output_dir, run, model, json have tests above, what belongs to objectives in test_objectives,
    # samples, which change nothing, in tests/pretraining/test_samples.py; sweep in tests/tasks
    elsewhere = {"output_dir", "run_file", "json", "help", "objective", "packing", "model"}
    elsewhere |= {"sample_prompt", "sample_tokens", "sweep"}
    elsewhere |= {flag for flags in OWN.values() for flag in flags}
    options = {o.name for o in pretrain.params if isinstance(o, click.Option)}
    assert options - training - elsewhere == set(tried)


def test_token_files_are_read_as_they_are(files):
    assert run(*flags_of(files))[0] == 0
    expected = weights(files)
    saved = {"data": files / "out" / "tokens" / "train.bin", "tokenizer": files / "out"}
    assert run(*flags_of(files, **saved, **{"output-dir": files / "again"}))[0] == 0
    assert (files / "again" / "model.safetensors").read_bytes() == expected


def test_the_flag_without_a_value_means_the_newest_checkpoint():
    context = pretrain.make_context("pretrain", ["--resume-from-checkpoint"])
    assert context.params["resume_from_checkpoint"] is True


def resumed(files, *more, **changes):
    changes = {"max-steps": 5, "validation": files / "validation.txt", **changes}
    return run(*flags_of(files, **changes), "--resume-from-checkpoint", *more)


@pytest.fixture
def stopped(files):
    """A run of three steps, to be resumed to five, which gives the bytes of `whole`."""
    validation = {"validation": files / "validation.txt", "lr-scheduler-type": "constant"}
    whole = {"output-dir": files / "whole", "max-steps": 5}
    assert run(*flags_of(files, **validation, **whole))[0] == 0
    assert run(*flags_of(files, **validation))[0] == 0
    return files


@pytest.mark.parametrize("name", ["train", "validation"])
def test_a_flipped_bit_of_encoded_tokens_is_encoded_again(stopped, name):
    shard = stopped / "out" / "tokens" / f"{name}.bin"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    code, _, err = resumed(stopped, **{"lr-scheduler-type": "constant"})
    assert code == 0
    assert f"{name}.bin: damaged: its checksum is not the sidecar's; encoding again" in err
    assert weights(stopped) == (stopped / "whole" / "model.safetensors").read_bytes()


def test_a_flipped_bit_of_a_token_file_that_was_given_is_an_error(stopped):
    shard = stopped / "out" / "tokens" / "train.bin"
    data = bytearray(shard.read_bytes())
    data[10] ^= 1
    shard.write_bytes(data)
    flags = {"data": shard, "tokenizer": stopped / "out", "output-dir": stopped / "b"}
    code, result, _ = run(*flags_of(stopped, **flags))
    assert code == 1
    assert "train.bin: damaged: its checksum is not the sidecar's" in result["error"]


@pytest.mark.parametrize(("name", "flag"), [("text", "data"), ("validation", "validation")])
@pytest.mark.parametrize("time", ["new", "old"])
def test_a_text_changed_at_equal_length_is_noticed(stopped, name, flag, time):
    """Also where its time of modification is set back."""
    path = stopped / f"{name}.txt"
    before = path.stat()
    text = path.read_text()
    path.write_text(text.replace("quick", "kcuiq", 1))
    if time == "old":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    code, result, _ = resumed(stopped)
    assert code == 2
    assert f"{flag}: not the same as" in result["error"]
    assert "--allow-changed-inputs" in result["error"]
    assert resumed(stopped, "--allow-changed-inputs")[0] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_head": 4}, "config: n_head: got 4, but .* was written with 2"),
        ({"layer_norm_epsilon": 0.1}, "config: layer_norm_epsilon: got 0.1"),
    ],
    ids=str,
)
def test_another_configuration_is_noticed(stopped, change, message):
    (stopped / "config.json").write_text(json.dumps({**CONFIG, **change}))
    code, result, _ = resumed(stopped)
    assert code == 2
    assert re.search(message, result["error"])
    assert resumed(stopped, "--allow-changed-inputs")[0] == 0


def test_other_flags_that_make_the_data_are_noticed(stopped):
    for flag, value, message in (
        ("block-size", 4, "--block-size: got 4"),
        ("tokenizer", "bpe:300", "tokenizer: not the same"),
    ):
        code, result, _ = resumed(stopped, **{flag: value})
        assert code == 2
        assert message in result["error"]
    code, result, _ = resumed(stopped, "--packing")
    assert code == 2
    assert "packing: got True, but" in result["error"]
