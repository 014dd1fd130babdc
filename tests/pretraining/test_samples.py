"""`sample_prompt`: what is written during training, and that it changes nothing."""

import json
import logging

import pytest

import plainformer as pf
from plainformer.errors import ConfigError, DataError

from .test_pretrain import CONFIG, ENCODER, TEXTS

USUAL = {"max_steps": 4, "logging_steps": 1, "per_device_train_batch_size": 2, "seed": 1,
         "tokenizer": "char", "disable_tqdm": True}  # fmt: skip
EVALUATED = {"eval_strategy": "steps", "eval_steps": 2}
ROWS = [{"text": text} for text in TEXTS]


def learn(directory, validation=None, **options):
    given = {"config": CONFIG, "output_dir": directory, **USUAL, **options}
    return pf.pretrain(ROWS, validation, **given)


def samples(directory):
    lines = (directory / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def files(directory):
    """Everything that was written, without time and samples."""
    left = ("samples.jsonl", "timing.jsonl")
    return {
        path.relative_to(directory): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name not in left
    }


def test_samples_are_written_at_each_evaluation_and_change_no_byte(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "plainformer"):
        learn(tmp_path / "a", ROWS, sample_prompt=["the", "who "], **EVALUATED)
    learn(tmp_path / "b", ROWS, **EVALUATED)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    found = samples(tmp_path / "a")
    assert [(one["step"], one["prompt"]) for one in found] == [
        (2, "the"), (2, "who "), (4, "the"), (4, "who "),
    ]  # fmt: skip
    for one in found:
        assert one["text"].startswith(one["prompt"])
        assert len(one["text"]) > len(one["prompt"])
        assert f"step {one['step']}, sample: {one['text']}" in caplog.messages
    learn(tmp_path / "c", ROWS, sample_prompt=["the", "who "], **EVALUATED)
    assert samples(tmp_path / "c") == found
    learn(tmp_path / "d", ROWS, sample_prompt="the", sample_tokens=1, **EVALUATED)
    assert [len(one["text"]) for one in samples(tmp_path / "d")] == [4, 4]


def test_without_an_evaluation_checkpoints_and_the_end_are_sampled(tmp_path):
    learn(tmp_path / "a", sample_prompt="the", save_strategy="steps", save_steps=3)
    assert [one["step"] for one in samples(tmp_path / "a")] == [3, 4]
    learn(tmp_path / "b", sample_prompt="the", save_strategy="no")
    assert [one["step"] for one in samples(tmp_path / "b")] == [4]


def test_a_run_that_is_resumed_has_the_samples_of_one_that_is_not(tmp_path):
    given = {"sample_prompt": "the", "save_strategy": "steps", "save_steps": 2, **EVALUATED}
    learn(tmp_path / "whole", ROWS, **given)

    class Crashes(pf.TrainerCallback):
        def on_step_end(self, args, state, control):
            if state.global_step == 3:
                raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        learn(tmp_path / "cut", ROWS, callbacks=[Crashes], **given)
    with (tmp_path / "cut" / "samples.jsonl").open("a") as file:
        file.write('{"step": 5, "prompt": "the", "text": "the lost"}\n{"step": 6, "pro')
    checkpoint = tmp_path / "cut" / "checkpoint-2"
    learn(tmp_path / "cut", ROWS, resume_from_checkpoint=str(checkpoint),
          overwrite_output_dir=True, **given)  # fmt: skip
    assert samples(tmp_path / "cut") == samples(tmp_path / "whole")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sample_prompt": ""}, DataError, "PROMPT: got an empty text"),
        ({"sample_prompt": "the quick"}, ConfigError, "9 tokens; the model takes 8, expected few"),
        ({"sample_tokens": 3}, ConfigError, "sample_tokens: has no effect without sample_prompt"),
        ({"sample_prompt": "a", "sample_tokens": 0}, ConfigError, "sample_tokens: got 0"),
        (
            {"sample_prompt": "a", "objective": "mlm", "config": ENCODER,
             "tokenizer": "wordpiece:60"},
            ConfigError, "sample_prompt: has no effect with objective mlm, only with clm",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_sampled_is_told_before_training(tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        learn(tmp_path / "out", **options)
    assert not (tmp_path / "out" / "log.jsonl").exists()
