"""Masked language models: the loss of labelled tokens alone."""

import numpy as np
import pytest

from plainformer import functional

from .tiny import ENCODERS, VOCAB, batch_for, make


@pytest.fixture(params=ENCODERS)
def model(request):
    return make(request.param, "masked-lm").eval()


@pytest.fixture
def batch(rng):
    batch = batch_for("masked-lm", rng)
    batch["labels"][:, ::2] = -100
    return batch


def test_loss_is_the_mean_cross_entropy_of_labelled_tokens(model, batch):
    output = model(**batch)
    counted = batch["labels"] != -100
    x = output.logits.data[counted].astype(np.float64)
    losses = np.log(np.exp(x).sum(-1)) - x[np.arange(len(x)), batch["labels"][counted]]
    assert output.loss.item() == pytest.approx(losses.mean(), rel=1e-5)
    assert model.count_labels(batch) == len(losses) == 8
    total = model(**batch, num_items_in_batch=1).loss.item()
    assert total == pytest.approx(losses.sum(), rel=1e-5)
    smooth = 0.8 * losses + 0.2 * (np.log(np.exp(x).sum(-1)) - x.mean(-1))
    loss = model(**batch, label_smoothing=0.2).loss.item()
    assert loss == pytest.approx(smooth.mean(), rel=1e-5)


def test_the_head_sees_labelled_tokens_alone(model, batch, monkeypatch):
    seen = []
    loss = functional.fused_linear_cross_entropy

    def watched(x, *args, **options):
        seen.append(len(x))
        return loss(x, *args, **options)

    monkeypatch.setattr(functional, "fused_linear_cross_entropy", watched)
    model.train()(**batch)
    assert seen == [8]


def test_logits_are_made_only_where_wanted(model, batch):
    assert model(**batch).logits.shape == (3, 7, VOCAB)
    assert model(**batch, return_logits=False).logits is None
    model.train()
    assert model(**batch).logits is None
    assert model(**batch, return_logits=True).logits.shape == (3, 7, VOCAB)
    assert model(batch["input_ids"]).logits.shape == (3, 7, VOCAB)


def test_labels_at_padding_take_no_part(model, batch):
    other = batch | {"labels": np.where(batch["attention_mask"], batch["labels"], 2)}
    assert model(**batch).loss.item() == model(**other).loss.item()
    assert model.count_labels(other) == 8


@pytest.mark.filterwarnings("ignore:cross entropy. every label is ignored")  # once a process
def test_a_batch_without_labels_has_loss_and_gradient_zero(model, batch):
    nothing = batch | {"labels": np.full_like(batch["labels"], -100)}
    output = model(**nothing)
    output.loss.backward()
    assert output.loss.item() == 0
    assert not any(np.any(p.grad) for p in model.parameters() if p.grad is not None)
