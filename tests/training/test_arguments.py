"""TrainingArguments: names, aliases, ranges, and options that exclude each other."""

import dataclasses
import json

import numpy as np
import pytest

from plainformer.errors import ConfigError
from plainformer.optim.lr_scheduler import steps_of
from plainformer.options import options_of
from plainformer.training import TrainingArguments
from plainformer.training.words import LACKING

FIELDS = {f.name for f in dataclasses.fields(TrainingArguments)}


def test_defaults_are_those_of_transformers_5_but_for_two():
    args = TrainingArguments()
    assert (args.learning_rate, args.per_device_train_batch_size, args.num_train_epochs) == (
        5e-5, 8, 3.0,
    )  # fmt: skip
    assert (args.lr_scheduler_type, args.weight_decay, args.max_grad_norm) == ("linear", 0.0, 1.0)
    assert (args.save_strategy, args.save_steps, args.eval_strategy) == ("steps", 500, "no")
    assert (args.seed, args.logging_steps, args.save_total_limit) == (42, 10, 2)


WORDS = {word for option in options_of(TrainingArguments).values() for word in option.words}


def test_every_field_is_an_option():
    assert options_of(TrainingArguments).keys() == FIELDS
    assert all(option.help for option in options_of(TrainingArguments).values())


def test_no_word_has_two_meanings():
    count = sum(len(option.words) for option in options_of(TrainingArguments).values())
    assert len(WORDS | LACKING.keys() | FIELDS) == count + len(LACKING) + len(FIELDS)


def test_the_docstring_has_a_line_for_each_option():
    for name, option in options_of(TrainingArguments).items():
        assert f"\n{name} : " in TrainingArguments.__doc__
        assert option.help.split(". ")[0][:60] in TrainingArguments.__doc__.replace("\n    ", " ")


@pytest.mark.parametrize(
    ("word", "value", "field"),
    [
        ("evaluation_strategy", "epoch", "eval_strategy"),
        ("warmup_ratio", 0.1, "warmup_steps"),
        ("gradient_checkpointing", True, "activation_checkpointing"),
        ("max_iters", 7, "max_steps"),
        ("grad_clip", 0.5, "max_grad_norm"),
        ("micro_batch_size", 3, "per_device_train_batch_size"),
        ("lr", 0.1, "learning_rate"),
    ],
)
def test_a_word_of_another_library_means_the_same(word, value, field):
    assert getattr(TrainingArguments(**{word: value}), field) == value


@pytest.mark.parametrize("word", LACKING)
def test_a_word_for_what_we_lack_is_answered_unless_it_asks_for_nothing(word):
    with pytest.raises(ConfigError, match=f"^{word}: got .*, which is not supported; .+"):
        TrainingArguments(**{word: "something"})
    for nothing in (None, *LACKING[word].nothing):
        assert TrainingArguments(**{word: nothing}) == TrainingArguments()


def test_what_is_done_anyway_is_taken_and_what_is_asked_for_is_not():
    taken = {"fp16": False, "push_to_hub": False, "dataloader_num_workers": 0, "use_cpu": True}
    assert TrainingArguments(**taken) == TrainingArguments()
    for name, value in {"fp16": True, "torch_compile": True, "dataloader_num_workers": 4,
                        "push_to_hub": True, "tf32": True}.items():  # fmt: skip
        with pytest.raises(ConfigError, match=f"{name}: got .*, which is not supported"):
            TrainingArguments(**{name: value})


def test_a_typing_error_is_answered_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"learning_rte: .*did you mean learning_rate\?"):
        TrainingArguments(learning_rte=0.1)


def test_one_field_by_two_names_is_refused():
    with pytest.raises(ConfigError, match="learning_rate: given twice"):
        TrainingArguments(lr=0.1, learning_rate=0.1)


def test_a_warmup_ratio_of_one_does_not_become_one_step():
    with pytest.raises(ConfigError, match="warmup_ratio: got 1"):
        TrainingArguments(warmup_ratio=1)


@pytest.mark.parametrize(
    ("field", "asked", "kept"),
    [
        ("optim", "adamw_torch", "adamw"),
        ("optim", "adamw_torch_fused", "adamw"),
        ("lr_scheduler_type", "wsd", "warmup_stable_decay"),
    ],
)
def test_values_of_other_libraries_are_translated(field, asked, kept):
    assert getattr(TrainingArguments(**{field: asked}), field) == kept


BAD = [
    ("output_dir", ""),
    ("output_dir", None),
    ("allow_changed_inputs", "yes"),
    ("overwrite_output_dir", "yes"),
    ("per_device_train_batch_size", 0),
    ("per_device_train_batch_size", 2.0),
    ("per_device_eval_batch_size", -1),
    ("gradient_accumulation_steps", 0),
    ("num_train_epochs", 0),
    ("num_train_epochs", float("inf")),
    ("max_steps", 0),
    ("max_length", 0),
    ("device", "gpu"),
    ("optim", "lion"),
    ("learning_rate", 0.0),
    ("learning_rate", float("nan")),
    ("learning_rate", "1e-3"),
    ("lr_scheduler_type", "linaer"),
    ("lr_scheduler_kwargs", [1]),
    ("warmup_steps", -1),
    ("warmup_steps", 1.5),
    ("min_lr", -0.1),
    ("weight_decay", -0.1),
    ("adam_beta1", 1.0),
    ("adam_beta2", -0.1),
    ("adam_epsilon", 0),
    ("momentum", 1),
    ("max_grad_norm", -1),
    ("label_smoothing_factor", 1.0),
    ("bf16", 1),
    ("activation_checkpointing", None),
    ("dropout", 1.0),
    ("freeze", "h.0"),
    ("freeze", []),
    ("train_only", [""]),
    ("logging_steps", 0),
    ("logging_steps", 2.5),
    ("eval_strategy", "always"),
    ("eval_steps", 0),
    ("report_to", "comet"),
    ("report_to", np.array(["none"])),
    ("disable_tqdm", 0),
    ("save_strategy", True),
    ("save_steps", -5),
    ("save_total_limit", -1),
    ("load_best_model_at_end", None),
    ("metric_for_best_model", ""),
    ("greater_is_better", "no"),
    ("early_stopping_patience", 0),
    ("early_stopping_threshold", -1),
    ("seed", -1),
    ("seed", 1.0),
    ("resume_from_checkpoint", 3),
]


@pytest.mark.parametrize(("field", "value"), BAD)
def test_a_value_out_of_range_is_named(field, value):
    with pytest.raises(ConfigError, match=f"^{field}: got .*, expected "):
        TrainingArguments(**{field: value})


def test_every_field_has_a_bad_value():
    assert {field for field, _ in BAD} == FIELDS


@pytest.mark.parametrize(
    "options",
    [
        {"max_steps": 5, "num_train_epochs": 2.0},
        {"lr_scheduler_type": "constant", "warmup_steps": 5},
        {"lr_scheduler_type": "constant_with_warmup", "min_lr": 1e-6},
        {"momentum": 0.9},
        {"optim": "sgd", "adam_beta1": 0.8},
        {"optim": "sgd", "adam_beta2": 0.8},
        {"optim": "sgd", "adam_epsilon": 1e-6},
        {"eval_steps": 5},
        {"save_strategy": "epoch", "save_steps": 5},
        {"early_stopping_threshold": 0.1},
        {"metric_for_best_model": "f1"},
        {"greater_is_better": True},
        {"freeze": ["a"], "train_only": ["b"]},
    ],
    ids=lambda options: "+".join(options),
)
def test_an_option_that_would_do_nothing_is_refused(options):
    with pytest.raises(ConfigError, match="has no effect with"):
        TrainingArguments(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"early_stopping_patience": 2}, "early_stopping_patience: needs evaluations"),
        ({"load_best_model_at_end": True}, "load_best_model_at_end: needs evaluations"),
        ({"save_strategy": "best"}, "save_strategy='best': needs evaluations"),
        (
            {"load_best_model_at_end": True, "eval_strategy": "epoch", "save_strategy": "no"},
            "load_best_model_at_end: needs checkpoints",
        ),
        ({"min_lr": 1.0}, "min_lr: got 1.0, expected at most learning_rate"),
        ({"lr_scheduler_type": "cosine_with_min_lr"}, "needs a number"),
        ({"lr_scheduler_kwargs": {"power": 2}}, "schedule 'linear' takes none"),
    ],
)
def test_options_that_need_each_other_say_so(options, message):
    with pytest.raises(ConfigError, match=message):
        TrainingArguments(**options)


@pytest.mark.parametrize(
    ("metric", "name", "greater"),
    [
        (None, "eval_loss", False),
        ("accuracy", "eval_accuracy", True),
        ("eval_f1", "eval_f1", True),
        ("perplexity", "eval_perplexity", False),
        ("span_loss", "eval_span_loss", False),
    ],
)
def test_the_deciding_metric_gets_its_prefix_and_direction(metric, name, greater):
    args = TrainingArguments(
        eval_strategy="epoch", load_best_model_at_end=True, metric_for_best_model=metric
    )
    assert (args.best_metric_name, args.best_metric_is_greater) == (name, greater)


def test_a_number_below_one_is_a_ratio_rounded_up():
    assert [steps_of(v, 95) for v in (0, 0.1, 0.999, 1, 7)] == [0, 10, 95, 1, 7]


def test_arguments_are_plain_values_for_json(tmp_path):
    args = TrainingArguments(tmp_path, freeze=("h.0",))
    assert json.loads(json.dumps(args.to_dict()))["freeze"] == ["h.0"]
    assert TrainingArguments(**args.to_dict()) == dataclasses.replace(args, freeze=["h.0"])
