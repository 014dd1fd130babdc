"""A head on a frozen sentence encoder: what it reads, what is saved, what is told when it fails."""

import json
import logging

import numpy as np
import pytest

import plainformer as pf
from plainformer import models
from plainformer.checkpoints.sentence_transformers import sentence_pooling
from plainformer.errors import CheckpointError, ConfigError
from plainformer.models.heads import pool, read_pooled
from plainformer.nn import Sequences
from plainformer.tasks import open_task
from plainformer.tensor import Tensor
from tests.models.tiny import ENCODERS, batch_for, make

from .tiny import DECODER, ENCODER, TEXTS, TOKENS, WORDPIECE, tune

FLAGS = {"word_embedding_dimension": 16, "pooling_mode_cls_token": False,
         "pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": False}  # fmt: skip


@pytest.fixture
def encoder(tmp_path):
    """The directory of a sentence encoder: a body, a tokenizer and how it was pooled."""
    directory = tmp_path / "encoder"
    task = tune("text-classification", tmp_path / "made", max_steps=1, eval_strategy="no").task
    task.model.bert.save_pretrained(directory)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (directory / name).write_bytes((tmp_path / "made" / name).read_bytes())
    values = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(values | {"architectures": ["BertModel"]}))
    (directory / "1_Pooling").mkdir()
    (directory / "1_Pooling" / "config.json").write_text(json.dumps(FLAGS))
    return directory


def head(encoder, output, **options):
    usual = {"model": str(encoder), "head_only": True, "eval_strategy": "no", "max_steps": 3}
    return tune("text-classification", output, **{**usual, **options})


def test_what_was_trained_with_is_read(encoder, tmp_path):
    result = head(encoder, tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["classifier_pooling"] == "mean"
    body, trained = models.load(encoder, "feature-extraction"), result.task.model
    for name, parameter in body.named_parameters():
        if not name.startswith("pooler."):
            other = dict(trained.named_parameters())[f"bert.{name}"]
            assert parameter.data.tobytes() == other.data.tobytes()
    assert not any("pooler" in name for name, _ in trained.named_parameters())
    opened = open_task(tmp_path / "out")
    for (_, a), (_, b) in zip(result.task.predict(TEXTS), opened.predict(TEXTS)):
        assert a.tobytes() == b.tobytes()
    again = head(tmp_path / "out", tmp_path / "more", max_steps=1)
    assert again.task.model.config.classifier_pooling == "mean"


def test_the_logits_are_those_of_a_layer_on_the_scaled_mean(encoder, tmp_path):
    task = head(encoder, tmp_path / "out").task
    [[feature]] = task.encode(TEXTS[:1], labelled=False)
    batch = task.collate([feature.inputs])
    states = models.load(encoder, "feature-extraction")(**batch).last_hidden_state.data[0]
    mean = states.astype(np.float64).mean(axis=0)
    read = mean / np.sqrt(np.square(mean).mean())
    layer = task.model.classifier
    wanted = layer.weight.data @ read + layer.bias.data
    np.testing.assert_allclose(task.model(**batch).logits.data[0], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("how", ["mean", "cls", "last"])
@pytest.mark.parametrize("family", ENCODERS)
def test_every_family_reads_what_it_is_told_to(family, how, rng, tmp_path):
    model = make(family, "sequence-classification", classifier_pooling=how)
    model.set_dropout(0.0)
    batch = batch_for("sequence-classification", rng)
    model.train()
    loss = model(**batch).loss
    loss.backward()
    assert all(p.grad is not None and np.isfinite(p.grad).all() for p in model.parameters())
    model.eval().save_pretrained(tmp_path)
    opened = models.load(tmp_path)
    assert opened.config.classifier_pooling == how
    same = [m(**batch).logits.data.tobytes() for m in (model, opened)]
    assert same[0] == same[1]
    for i, length in enumerate((7, 4, 6)):  # alone as in the batch
        own = {k: v[i : i + 1, :length] for k, v in batch.items() if k != "labels"}
        assert (
            opened(**own).logits.data.tobytes() == model(**batch).logits.data[i : i + 1].tobytes()
        )


def test_what_is_read_has_size_one(rng):
    x = Tensor(100 * rng.standard_normal((9, 12)).astype(np.float32))
    rows = Sequences.from_lengths([4, 5])
    read = read_pooled(x, rows, "mean").data
    np.testing.assert_allclose(np.square(read).mean(axis=1), 1, rtol=1e-5)
    raw = pool(x, rows, "mean").data
    np.testing.assert_allclose(
        read * np.linalg.norm(raw, axis=1)[:, None] / 12**0.5, raw, rtol=1e-4
    )
    assert (read_pooled(x, rows, None).data == x.data[[0, 4]]).all()


@pytest.mark.parametrize(("values", "found"), [
    (FLAGS, "mean"),
    ({**FLAGS, "pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, "cls"),
    ({**FLAGS, "pooling_mode_mean_tokens": False, "pooling_mode_lasttoken": True}, "last"),
    ({**FLAGS, "pooling_mode_cls_token": True}, None),  # both, side by side
    ({**FLAGS, "pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": True}, None),
    ({"pooling_mode": "mean"}, "mean"),
    ({"pooling_mode": ["mean"]}, None),
    ({}, None),
])  # fmt: skip
def test_poolings_of_sentence_transformers(tmp_path, values, found):
    assert sentence_pooling(tmp_path) is None
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(values))
    assert sentence_pooling(tmp_path) == found


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text("[]")
    with pytest.raises(CheckpointError, match="1_Pooling"):
        sentence_pooling(tmp_path)


def test_pooling_can_be_chosen_or_is_refused(encoder, tmp_path):
    task = head(encoder, tmp_path / "a", head_only=False, pooling="cls", max_steps=1).task
    assert task.model.config.classifier_pooling == "cls"
    plain = head(encoder, tmp_path / "b", head_only=False, max_steps=1).task
    assert plain.model.config.classifier_pooling is None
    with pytest.raises(ConfigError, match="pooling: got 'max', expected one of cls, mean, last"):
        head(encoder, tmp_path / "c", pooling="max")
    with pytest.raises(ConfigError, match="pooling: has no effect on token-classification"):
        tune("token-classification", tmp_path / "d", train=TOKENS, pooling="mean")
    with pytest.raises(ConfigError, match="pooling: say classifier_pooling"):
        tune("text-classification", tmp_path / "e", model=ENCODER, tokenizer=WORDPIECE,
             pooling="mean")  # fmt: skip
    tune("text-classification", tmp_path / "f", model=DECODER, tokenizer="bpe:300", max_steps=1)
    with pytest.raises(ConfigError, match="pooling: got mean, a gpt2 reads a text its own way"):
        head(tmp_path / "f", tmp_path / "g", new_head=True, pooling="mean")


def test_the_learning_rate_of_a_head_alone(encoder, tmp_path):
    def first_rate(name, **options):
        directory = tmp_path / name
        pf.finetune("text-classification", str(encoder), TEXTS, output_dir=directory, max_steps=2,
                    lr_scheduler_type="constant", logging_steps=1, disable_tqdm=True,
                    **options)  # fmt: skip
        lines = (directory / "log.jsonl").read_text().splitlines()
        return json.loads(lines[0])["learning_rate"]

    assert first_rate("a", head_only=True) == 1e-3
    assert first_rate("b", head_only=True, learning_rate=1e-4) == 1e-4
    assert first_rate("c") == 5e-5


def test_a_model_that_learned_nothing_is_told_of(tmp_path, caplog):
    uneven = [*TEXTS, TEXTS[0]]
    with caplog.at_level(logging.WARNING, "plainformer"):
        tune("text-classification", tmp_path / "a", train=uneven, validation=uneven, max_steps=1,
             learning_rate=1e-9, eval_strategy="no")  # fmt: skip
    told = [r.getMessage() for r in caplog.records if r.name == "plainformer"]
    assert any("always answering 'pos'" in line and "learning_rate" in line for line in told)
    caplog.clear()
    with caplog.at_level(logging.WARNING, "plainformer"):
        tune("text-classification", tmp_path / "b", max_steps=120, eval_strategy="no")
    assert not [r for r in caplog.records if "learning_rate or more epochs" in r.getMessage()]
    caplog.clear()
    with caplog.at_level(logging.WARNING, "plainformer"):
        turned = [TEXTS[-1].__class__(e.text, "neg" if e.label == "pos" else "pos") for e in TEXTS]
        tune("text-classification", tmp_path / "c", model=str(tmp_path / "b"), train=turned,
             max_steps=60, eval_strategy="no")  # fmt: skip
    assert any("before training" in r.getMessage() or "always" in r.getMessage()
               for r in caplog.records)  # fmt: skip
