"""The relation head: which states it reads, its loss, its errors, its way to disk and back."""

import numpy as np
import pytest

from plainformer import models
from plainformer.errors import ConfigError, ShapeError

from .tiny import CONFIGS, ENCODERS


@pytest.fixture(params=ENCODERS)
def model(request):
    values = {"model_type": request.param, "vocab_size": 30, "num_labels": 3}
    return models.from_config(CONFIGS[request.param] | values, "relation-extraction").eval()


def logits(model, ids, positions, mask=None):
    output = model(input_ids=ids, attention_mask=mask, entity_positions=positions)
    return np.asarray(output.logits)


def test_it_reads_the_two_states_in_the_order_given(model):
    ids = [[5, 6, 7, 8, 9]]
    one, other = logits(model, ids, [[1, 3]]), logits(model, ids, [[3, 1]])
    assert one.shape == (1, 3)
    body = getattr(model, model.base_prefix[:-1])
    states = np.asarray(body(input_ids=ids).last_hidden_state)[0]
    weight = model.classifier.weight.data.astype(np.float64)
    for found, (a, b) in ((one, (1, 3)), (other, (3, 1))):
        wanted = weight.dot(np.concatenate([states[a], states[b]]).astype(np.float64))
        np.testing.assert_allclose(found[0], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_changes_no_byte(model, side):
    row, mask = [5, 6, 7, 8], [1, 1, 1, 1]
    padded = [*row, 1, 1] if side == "right" else [1, 1, *row]
    hidden = [*mask, 0, 0] if side == "right" else [0, 0, *mask]
    shift = 0 if side == "right" else 2
    alone = logits(model, [row], [[1, 3]])
    beside = logits(
        model,
        [padded, [5, 6, 7, 8, 9, 10]],
        [[1 + shift, 3 + shift], [0, 5]],
        [hidden, [1] * 6],
    )
    assert beside[0].tobytes() == alone[0].tobytes()


def test_the_loss_counts_labels_that_are_there(model):
    batch = {"input_ids": [[5, 6, 7]] * 2, "entity_positions": [[0, 2]] * 2, "labels": [1, -100]}
    output = model(**batch)
    shifted = np.asarray(output.logits)[0].astype(np.float64)
    wanted = np.log(np.exp(shifted).sum()) - shifted[1]
    assert float(np.asarray(output.loss)) == pytest.approx(wanted, rel=1e-5)
    assert model.count_labels(batch) == 1
    weighted = model(**batch, class_weight=[1.0, 3.0, 1.0], num_items_in_batch=1)
    assert float(np.asarray(weighted.loss)) == pytest.approx(3 * wanted, rel=1e-5)


@pytest.mark.parametrize(
    ("positions", "error", "message"),
    [
        (None, ConfigError, "entity_positions: got None"),
        (
            [[0, 1, 2]],
            ShapeError,
            r"entity_positions: got int64 \(1, 3\), expected integers \(1, 2\)",
        ),
        ([[0.0, 1.0]], ShapeError, "entity_positions: got float64"),
        ([[0, 3]], ShapeError, "entity_positions: got a column outside of its sequence"),
        ([[-1, 1]], ShapeError, "entity_positions: got a column outside of its sequence"),
        ([[0, 2]], ShapeError, "entity_positions: got a column outside of its sequence"),
    ],
)
def test_positions_that_are_none(model, positions, error, message):
    with pytest.raises(error, match=message):
        logits(model, [[5, 6, 7]], positions, [[1, 1, 0]])


def test_it_is_saved_and_opened_under_its_name(model, tmp_path):
    model.save_pretrained(tmp_path)
    opened = models.load(tmp_path)
    assert type(opened) is type(model)
    ids, positions = [[5, 6, 7, 8]], [[0, 2]]
    assert logits(opened, ids, positions).tobytes() == logits(model, ids, positions).tobytes()
