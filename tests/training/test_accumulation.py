"""Accumulated gradients equal those of the full batch, however the labels are spread.

transformers issue 34191: the mean over each batch's own tokens is not the mean over all.
"""

import numpy as np
import pytest

from plainformer.errors import PlainformerWarning
from plainformer.training import Trainer

from .tiny import CONTEXT, VOCABULARY, generator, log_of, tiny_args, tiny_model


def uneven_rows():
    """Eight rows of equal length; from none to all of their labels count."""
    rng = generator(3)
    examples = []
    for kept in [0, 1, 8, 2, 0, 5, 3, 1]:
        ids = rng.integers(VOCABULARY, size=CONTEXT).astype(np.int32)
        labels = np.where(np.arange(CONTEXT) < CONTEXT - kept, -100, ids).astype(np.int32)
        examples.append({"input_ids": ids, "labels": labels})
    return examples


def first_update(output_dir, batch_size, accumulation):
    """Weights and log after one step of SGD: the step is the gradient times the rate."""
    model = tiny_model(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    before = {name: array.copy() for name, array in model.state_dict().items()}
    args = tiny_args(
        output_dir,
        max_steps=1,
        optim="sgd",
        learning_rate=1.0,
        max_grad_norm=0.0,
        per_device_train_batch_size=batch_size,
        gradient_accumulation_steps=accumulation,
        save_strategy="no",
    )
    Trainer(model, args, uneven_rows()).train()
    steps = {name: before[name] - array for name, array in model.state_dict().items()}
    return steps, log_of(output_dir)[0]


@pytest.mark.parametrize(("batch_size", "accumulation"), [(4, 2), (2, 4), (1, 8), (3, 3)])
def test_gradients_and_loss_are_those_of_the_full_batch(tmp_path, batch_size, accumulation):
    full, full_log = first_update(tmp_path / "full", 8, 1)
    parts, log = first_update(tmp_path / "parts", batch_size, accumulation)
    scale = max(np.abs(step).max() for step in full.values())
    for name, step in full.items():
        np.testing.assert_allclose(parts[name], step, rtol=0, atol=1e-6 * scale, err_msg=name)
    assert log["loss"] == pytest.approx(full_log["loss"], rel=1e-6)
    assert log["grad_norm"] == pytest.approx(full_log["grad_norm"], rel=1e-5)


def test_without_normalizing_over_the_update_the_test_above_would_fail(tmp_path):
    """The mean of the batches' own means is another gradient on these labels."""
    model = tiny_model(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    losses = []
    for example in uneven_rows()[1:4]:
        batch = {name: array[None] for name, array in example.items()}
        losses.append((float(np.asarray(model(**batch).loss)), model.count_labels(batch)))
    mean_of_means = np.mean([loss for loss, _ in losses])
    weighted = sum(loss * n for loss, n in losses) / sum(n for _, n in losses)
    assert abs(mean_of_means - weighted) > 1e-3


def test_an_update_without_any_label_moves_nothing_and_warns(tmp_path):
    model = tiny_model()
    before = {name: array.tobytes() for name, array in model.state_dict().items()}
    ids = np.ones(CONTEXT, np.int32)
    data = [{"input_ids": ids, "labels": np.full(CONTEXT, -100, np.int32)}] * 4
    with pytest.warns(PlainformerWarning, match="without labels that count"):
        Trainer(model, tiny_args(tmp_path, max_steps=1), data).train()
    assert {name: array.tobytes() for name, array in model.state_dict().items()} == before
    assert log_of(tmp_path)[0]["loss"] == 0.0
    assert log_of(tmp_path)[0]["grad_norm"] == 0.0
