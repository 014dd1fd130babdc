"""Attention masks of every family: holes, empty rows, padding on either side.

The numbers beside transformers' are in tests/models/golden (*_holes) and tests/peers/test_masks.py.
"""

import numpy as np
import pytest

from plainformer.errors import ShapeError
from plainformer.models import MODELS
from plainformer.nn import Sequences

from .tiny import POOLING, VOCAB, batch_for, make, outputs_of, tasks_of

CASES = [
    (family, task)
    for family in MODELS
    for task in tasks_of(family)
    if task not in ("multiple-choice", "relation-extraction")
]
HOLE = np.array([[1, 1, 0, 1, 1, 0, 1], [0, 1, 1, 1, 0, 1, 1], [1, 0, 1, 1, 1, 1, 0]])


def call(family, task, model, ids, mask, **more):
    inputs = {"input_ids": ids, "attention_mask": mask, **more}
    if task == "seq2seq-lm":
        inputs |= {"decoder_input_ids": ids, "decoder_attention_mask": mask}
    return model(**inputs)


@pytest.mark.parametrize(("family", "task"), CASES, ids=lambda x: x)
def test_what_a_hole_hides_changes_nothing(family, task, rng):
    model = make(family, task).eval()
    ids = rng.integers(2, VOCAB, HOLE.shape)
    other = np.where(HOLE, ids, 2 + (ids - 1) % (VOCAB - 2))
    assert (other != ids).any()
    pairs = zip(*(outputs_of(call(family, task, model, x, HOLE), task) for x in (ids, other)))
    same = all(a.data.tobytes() == b.data.tobytes() for a, b in pairs)
    reads_holes = family == "bart" and task != "seq2seq-lm"  # its decoder, as in transformers
    assert same is not reads_holes


@pytest.mark.parametrize(("family", "task"), CASES, ids=lambda x: x)
def test_a_hole_keeps_its_place(family, task, rng):
    """The closed text is another one; padding at the ends changes nothing."""
    model = make(family, task).eval()
    ids = rng.integers(2, VOCAB, (1, 6))
    closed = np.delete(ids, 2, axis=1)
    mask = np.array([[1, 1, 0, 1, 1, 1]])
    hole = call(family, task, model, ids, mask)
    whole = call(family, task, model, closed, np.ones_like(closed))
    for a, b in zip(outputs_of(hole, task), outputs_of(whole, task)):
        a, b = a.data, b.data
        if a.shape[:2] == ids.shape:
            a = np.delete(a, 2, axis=1)
        assert np.abs(a - b).max() > 1e-4
    padded = [np.pad(x, ((0, 0), (2, 1)), constant_values=v) for x, v in ((ids, 1), (mask, 0))]
    moved = call(family, task, model, *padded)
    for a, b in zip(outputs_of(hole, task), outputs_of(moved, task)):
        a, b = a.data, b.data
        if b.shape[1] != a.shape[1]:
            b = b[:, 2:-1]
        assert a.tobytes() == b.tobytes()


@pytest.mark.filterwarnings("ignore:cross entropy. every label is ignored")
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize(("family", "task"), CASES, ids=lambda x: x)
def test_rows_without_a_token(family, task, rows, rng):
    """Zeros, and a loss of what there is, or the one error of heads that pool."""
    model = make(family, task).eval()
    batch = batch_for(task, rng, lengths=(5,) * rows)
    mask = batch["attention_mask"]
    mask[-1] = 0
    targets = {"decoder_input_ids": batch["input_ids"], "decoder_attention_mask": mask}
    if task == "seq2seq-lm":
        batch |= targets
    pooled = task == "sequence-classification" or (family == "bart" and task != "seq2seq-lm")
    if pooled or (family in POOLING and task == "feature-extraction"):
        wanted = f"attention_mask: row {rows - 1} has no token, expected at least one"
        with pytest.raises(ShapeError, match=wanted):
            model(**batch)
        return
    output = model(**batch)
    if output.loss is not None and rows > 1:
        assert np.isfinite(output.loss.data)
        output.loss.backward()
    for values in outputs_of(output, task):
        if task != "question-answering":
            assert not values.data[-1].any()


@pytest.mark.parametrize("family", [f for f in MODELS if "seq2seq-lm" in tasks_of(f)])
def test_generation_reads_a_hole_where_it_is(family, rng):
    model = make(family, "seq2seq-lm", eos_token_id=1).eval()
    ids = rng.integers(2, VOCAB, HOLE.shape)
    options = {"max_new_tokens": 5, "eos_token_id": None, "forced_eos_token_id": None}
    found = np.asarray(model.generate(ids, attention_mask=HOLE, **options))
    encoded = model.encode(ids, HOLE)
    target = found[:, :1]
    for _ in range(4):  # the last one is the end that BART and Marian force
        logits = model(encoder_outputs=encoded, decoder_input_ids=target).logits.data[:, -1]
        target = np.concatenate([target, logits.argmax(axis=-1)[:, None]], axis=1)
    np.testing.assert_array_equal(found[:, :5], target)


def test_sequences_know_their_holes():
    rows = Sequences.from_mask(HOLE, HOLE.shape)
    assert rows.has_holes
    padded = Sequences.from_mask([[0, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]], (3, 4))
    assert not padded.has_holes
    assert padded.without_holes().places().tolist() == padded.places().tolist()
    assert rows.padded_positions().tolist() == [[0, 1, 3, 4, 6], [0, 1, 2, 4, 5], [0, 2, 3, 4, 5]]
    filled = rows.without_holes()
    assert filled.lengths.tolist() == [7, 6, 6]
    assert not filled.has_holes
