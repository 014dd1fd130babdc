"""Messages of the command line speak of flags, and guess what a wrong one was meant to be."""

import dataclasses
import json

import click
import pytest
from click.testing import CliRunner

from plainformer.cli import COMMANDS, LazyGroup, main
from plainformer.cli._flags import _WORDS, in_flags
from plainformer.cli._option_flags import OptionFlag
from plainformer.cli.finetune import finetune
from plainformer.cli.pretrain import pretrain
from plainformer.options import options_of
from plainformer.training import TrainingArguments
from plainformer.training.words import LACKING


def error_of(*words):
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code in (1, 2), result.output
    [error] = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    return error


def commands():
    group = LazyGroup()
    for name in COMMANDS:
        command = group.get_command(None, name)
        if isinstance(command, click.Group):
            yield from ((f"{name} {n}", c) for n, c in command.commands.items())
        else:
            yield name, command


def flags_of(command):
    return {opt for p in command.params for opt in (*p.opts, *p.secondary_opts)}


@pytest.mark.parametrize(
    ("command", "wrong", "right"),
    [
        ("finetune ner", "--lr", "--learning-rate"),
        ("finetune ner", "--learning-rat", "--learning-rate"),
        ("finetune ner", "--epochs", "--num-train-epochs"),
        ("finetune ner", "--batch-size", "--per-device-train-batch-size"),
        ("finetune ner", "--output_di", "--output-dir"),
        ("finetune ner", "--out", "--output-dir"),
        ("finetune ner", "--model_name_or_path", "--model"),
        ("finetune ner", "--train_file", "--train"),
        ("finetune ner", "--validation-file", "--validation"),
        ("finetune ner", "--max_seq_length", "--max-length"),
        ("finetune ner", "--resume", "--resume-from-checkpoint"),
        ("finetune ner", "--fp16", "--bf16"),
        ("finetune ner", "--gradient-checkpointing", "--activation-checkpointing"),
        ("pretrain", "--max-iters", "--max-steps"),
        ("pretrain", "--dataset", "--data"),
        ("pretrain", "--optimizer", "--optim"),
        ("predict DIR", "--beams", "--num-beams"),
        ("predict DIR", "--file", "--input"),
        ("predict DIR", "--output-file", "--output"),
        ("predict DIR", "--topk", "--top-k"),
        ("pretrain", "--train_file", "--data"),
        ("pretrain", "--config_name", "--config"),
        ("pretrain", "--data-seed", "--seed"),
        ("evaluate DIR", "--test-file", "--data"),
        ("evaluate DIR", "--eval-batch-size", "--batch-size"),
        ("generate DIR", "--max-tokens", "--max-new-tokens"),
        ("generate DIR", "--temp", "--temperature"),
        ("generate DIR", "--max-new-token", "--max-new-tokens"),
        ("chat DIR", "--topp", "--top-p"),
        ("tokenizer train", "--out", "--output-dir"),
    ],
)
def test_words_of_other_tools_and_slips_are_answered_with_the_flag(tmp_path, command, wrong, right):
    words = [str(tmp_path) if word == "DIR" else word for word in command.split()]
    error = error_of(*words, wrong, "3")
    assert error.startswith(f"Error: No such flag {wrong.replace('_', '-')}")
    assert f"did you mean {right}" in error
    result = CliRunner().invoke(main, [*words, wrong, "3", "--json"])
    assert json.loads(result.stdout)["error"] == error.removeprefix("Error: ")


ALIASES = {w: o.name for o in options_of(TrainingArguments).values() for w in o.words}


@pytest.mark.parametrize("word", [*ALIASES, *LACKING])
@pytest.mark.parametrize("command", ["finetune ner", "pretrain"])
def test_every_known_word_has_an_answer(command, word):
    error = error_of(*command.split(), f"--{word}", "3")
    assert "--help lists the flags" not in error
    if word in ALIASES:
        known = flags_of(finetune if command != "pretrain" else pretrain)
        assert error.endswith(f"did you mean --{ALIASES[word].replace('_', '-')}?") or (
            f"--{word.replace('_', '-')}" in known
        )


@pytest.mark.parametrize(
    ("command", "word", "told"),
    [
        ("pretrain", "--gpu", "did you mean --device cuda?"),
        ("finetune ner", "--fp16", "float16 does not train on a CPU; did you mean --bf16?"),
        ("pretrain", "--n_layer", "sizes of a model are in its config.json"),
        ("pretrain", "--validation_split_percentage",
         "name the files to evaluate on with --validation"),
    ],
)  # fmt: skip
def test_words_that_no_flag_stands_for_are_answered_in_words(command, word, told):
    assert error_of(*command.split(), f"{word}=3").endswith(f"; {told}")


def test_flags_may_be_written_with_underscores(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text("{}")
    error = error_of("pretrain", "--output_dir", tmp_path, "--data", "x", "--max_steps=0",
                     "--config", tmp_path / "a", "--tokenizer", "char")  # fmt: skip
    assert error == "Error: --max-steps: got 0, expected int, at least 1, or -1"
    with finetune.make_context(
        "finetune", ["ner", "--replay_validation", "a", "b"], **main.context_settings
    ) as context:
        assert context.params["replay_validation"] == ("a", "b")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("pretrian", "No such command 'pretrian'; did you mean pretrain?"),
        ("tokenizer tran", "No such command 'tran'; did you mean train?"),
        ("tokenizer zzz", "No such command 'zzz'; expected one of encode, train"),
    ],
)
def test_a_wrong_command_is_answered_with_what_was_meant(words, told):
    assert error_of(*words.split()) == f"Error: {told}"


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=lambda value: str(value))
def test_every_flag_says_what_it_does_and_its_default(name, command):
    out = " ".join(CliRunner().invoke(main, [*name.split(), "--help"]).output.split())
    for flag in (p for p in command.params if isinstance(p, click.Option)):
        assert flag.help, flag.name
        assert flag.opts[0] in out
    for option in options_of(TrainingArguments).values():
        flag = next((p for p in command.params if p.name == option.name), None)
        if isinstance(flag, OptionFlag) and option.default is not None:
            assert "[default: " in flag.help


def test_help_speaks_of_flags():
    out = " ".join(CliRunner().invoke(main, ["finetune", "--help"]).output.split())
    assert "positive, it replaces --num-train-epochs." in out
    assert "never of bias and norms. [default: 0.0]" in out
    assert "When to evaluate: no, steps or epoch. [default: no, with validation data epoch]" in out


def test_words_mean_flags_that_there_are():
    known = {flag[2:] for _, command in commands() for flag in flags_of(command)}
    assert _WORDS.keys() <= known


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=lambda value: str(value))
def test_an_unknown_flag_of_any_command_is_one_line(name, command):
    error = error_of(*name.split(), "--zzzz")
    assert error == "Error: No such flag --zzzz; --help lists the flags"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("learning_rate: got -1, expected 0", "--learning-rate: got -1, expected 0"),
        ("seed: got -1", "--seed: got -1"),
        ("eval_steps: got 5, has no effect with eval_strategy='no'; leave it out",
         "--eval-steps: got 5, has no effect with --eval-strategy no; leave it out"),
        ("set resume_from_checkpoint=True, overwrite_output_dir=True or another output_dir",
         "set --resume-from-checkpoint, --overwrite-output-dir or another --output-dir"),
        ("bf16=False", "--no-bf16"),
        ("the seed beside seed=3 and optim='sgd'", "the seed beside --seed 3 and --optim sgd"),
        ("activation_checkpointing=False", "--no-activation-checkpointing"),
        ("Try a lower learning_rate, more warmup_steps or a lower max_grad_norm.",
         "Try a lower --learning-rate, more --warmup-steps or a lower --max-grad-norm."),
        ("/tmp/output_dir/x: no 'learning_rate' in max_steps.json and output_dir/y",
         "/tmp/output_dir/x: no 'learning_rate' in max_steps.json and output_dir/y"),
        ("no 'text' (or say `columns`); `x`", "no 'text' (or say `--columns`); `x`"),
        ("accept it with --allow-changed-inputs (in Python: allow_changed_inputs=True)",
         "accept it with --allow-changed-inputs"),
        ("the seed is a model of a task", "the seed is a model of a task"),
    ],
)  # fmt: skip
def test_names_become_flags_where_they_are_meant(message, told):
    assert in_flags(message, finetune) == told


BAD = {"int": "-7", "float": "nan"}
WORDS = {"lr_scheduler_type": "x", "optim": "x", "eval_strategy": "x", "save_strategy": "x"}


@pytest.mark.parametrize(
    "field",
    [f for f in dataclasses.fields(TrainingArguments) if str(f.type).split(" ")[0] in BAD
     or f.name in WORDS],
    ids=lambda field: field.name,
)  # fmt: skip
def test_a_bad_value_of_any_training_flag_is_told_as_the_flag(tmp_path, field):
    (tmp_path / "config.json").write_text("{}")
    flag = f"--{field.name.replace('_', '-')}"
    value = WORDS.get(field.name) or BAD[str(field.type).split(" ")[0]]
    words = ["finetune", "ner", "--model", tmp_path / "config.json", "--train", "nothing"]
    if flag not in flags_of(finetune):
        pytest.skip("not a flag of its own")
    error = error_of(*words, "--output-dir", tmp_path / "out", f"{flag}={value}")
    assert error.startswith(f"Error: {flag}: "), error


def test_objects_may_be_written_as_pairs(tmp_path):
    options = {p.name: p for p in finetune.params}

    def parsed(name, text):
        return options[name].callback(None, options[name], text)

    assert parsed("columns", "text=Review") == {"text": "Review"}
    assert parsed("columns", "text=My Review, label=stars") == {
        "text": "My Review",
        "label": "stars",
    }
    assert parsed("columns", "text=1,label=0") == {"text": 1, "label": 0}
    assert parsed("columns", '{"text": "a=b"}') == {"text": "a=b"}
    assert parsed("lr_scheduler_kwargs", "power=2.5") == {"power": 2.5}
    assert parsed("class_weights", "balanced") == "balanced"
    assert parsed("class_weights", "good=2,bad=1.5") == {"good": 2, "bad": 1.5}
    for text in ("Review", "text=", "=Review", "[1]"):
        with pytest.raises(click.BadParameter, match="expected name=value or a JSON object"):
            parsed("columns", text)


def test_help_of_a_flag_that_two_tasks_have_says_both():
    out = CliRunner().invoke(main, ["predict", "--help"]).output
    text = " ".join(out.split())
    for told in ("So many labels are answered, best first.", "Draw from so many of the"):
        assert told in text
    assert " Or: " in text
