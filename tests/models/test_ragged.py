"""Ragged rows through every head of every family: the bytes of padded rows with a mask."""

import numpy as np
import pytest

from plainformer.errors import ConfigError, ShapeError
from plainformer.models import MODELS
from plainformer.nn import RaggedRows, Sequences, dropout_state
from plainformer.training.batches import collate_rows

from .tiny import batch_for, make, tasks_of

WALKED = [(family, task) for family in MODELS for task in tasks_of(family)]
LENGTHS = {"several": (7, 2, 6, 1, 4, 7, 3), "one": (5, 5, 5)}


def both(task, lengths):
    """A padded batch with its mask, and the same without padding."""
    padded = batch_for(task, np.random.default_rng(5), lengths=lengths)
    inside = np.asarray(padded["attention_mask"]) != 0
    count = len(lengths)
    if task == "relation-extraction":
        padded |= {
            "entity_positions": np.zeros((count, 2), np.int64),
            "labels": np.arange(count) % 2,
        }
    if task == "multiple-choice":
        flat = inside.reshape(-1, inside.shape[-1])
        ragged = {
            name: RaggedRows([row[own] for row, own in zip(array.reshape(flat.shape), flat)],
                             group=inside.shape[1])
            if array.shape == inside.shape else array
            for name, array in padded.items() if name != "attention_mask"
        }  # fmt: skip
        return padded, ragged
    rows = [
        {
            name: array[i][inside[i]] if array.shape == inside.shape else array[i]
            for name, array in padded.items() if name != "attention_mask"
        }
        for i in range(count)
    ]  # fmt: skip
    return padded, collate_rows(rows)


def bytes_of(output):
    return {name: np.asarray(value).tobytes() for name, value in output.items()}


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize(("family", "task"), WALKED)
def test_outputs_and_gradients_have_the_bytes_of_padded_rows(family, task, lengths):
    found = []
    for batch in both(task, LENGTHS[lengths]):
        model = make(family, task)
        outputs = [bytes_of(model.eval()(**batch))]
        if task != "feature-extraction":
            with dropout_state(0):
                model.train()(**batch).loss.backward()
            outputs.append(model.count_labels(batch))
            outputs.append({n: p.grad.tobytes() for n, p in model.named_parameters()
                            if p.grad is not None})  # fmt: skip
        found.append(outputs)
    assert found[0] == found[1]


def test_rows_know_their_places_and_pad_when_asked():
    rows = RaggedRows([np.array([1, 2]), np.array([3]), np.array([4, 5, 6])], fill=-100)
    assert (rows.shape, rows.size, len(rows), rows.ndim) == ((3, 3), 6, 3, 2)
    padded = np.asarray(rows)
    assert padded.tolist() == [[1, 2, -100], [3, -100, -100], [4, 5, 6]]
    masked = Sequences.from_mask(padded != -100, (3, 3))
    assert rows.sequences.places().tolist() == masked.places().tolist()
    assert rows.sequences.cu_seqlens.tolist() == masked.cu_seqlens.tolist()
    assert RaggedRows([np.ones(2), np.ones(2)]).sequences.index is None


def test_what_does_not_fit_ragged_rows_is_told():
    model = make("bert", "token-classification")
    ids = RaggedRows([np.array([1, 2]), np.array([3])])
    with pytest.raises(ConfigError, match="input_ids: got ragged rows, which have neither mask"):
        model(ids, attention_mask=np.ones((2, 2)))
    with pytest.raises(ShapeError, match="rows of other lengths than input_ids"):
        model(ids, labels=RaggedRows([np.array([1]), np.array([0, 1])]))
    with pytest.raises(ShapeError, match="labels: got shape"):
        model(ids, labels=np.ones((2, 3), int))
    with pytest.raises(ShapeError, match="all with the same keys"):
        collate_rows([{"input_ids": [1]}, {"labels": [1]}])
