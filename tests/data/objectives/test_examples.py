"""Examples of an objective: reached directly, fixed for evaluation, and their batches."""

from itertools import pairwise

import numpy as np
import pytest

from plainformer.data.chunks import Blocks, PackedDocuments, Windows
from plainformer.data.objectives.causal import CausalLanguageModeling
from plainformer.data.objectives.denoising import Denoising
from plainformer.data.objectives.examples import ObjectiveExamples, flat_examples
from plainformer.data.objectives.masked import MaskedLanguageModeling
from plainformer.data.objectives.spans import SpanCorruption
from plainformer.training.batches import EpochView, collate_rows

from .tokenizers import ids_of, vocabulary

OBJECTIVES = {
    "clm": lambda: CausalLanguageModeling(),
    "mlm": lambda: MaskedLanguageModeling(vocabulary("bpe", "mlm")),
    "whole words": lambda: MaskedLanguageModeling(vocabulary("bpe", "mlm"), whole_word_mask=True),
    "span": lambda: SpanCorruption(vocabulary("bpe", "span"), 16),
    "denoise": lambda: Denoising(vocabulary("bpe", "denoise"), permute_sentences=True),
}


def make(name, chunks=Blocks, *extra):
    objective = OBJECTIVES[name]()
    kind = "mlm" if name == "whole words" else name
    tokens = ids_of("bpe", kind)
    return ObjectiveExamples(
        chunks(tokens, *extra, objective.text_size(16), ahead=objective.ahead), objective
    )


def rows(items):
    return collate_rows(flat_examples(items))


def plain(value):
    """Nested lists that compare."""
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, list) else np.asarray(value).tolist()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_any_batch_is_reached_without_replay(name):
    def batch(data, epoch, start):
        return plain(rows(EpochView(data, 9, epoch).examples(start, start + 3)))

    data = make(name)
    places = [(epoch, start) for epoch in range(2) for start in range(0, len(data), 3)]
    found = [batch(data, *place) for place in places]
    for i in (len(places) - 1, 0, 2, len(places) // 2):
        assert batch(make(name), *places[i]) == found[i]


@pytest.mark.parametrize("name", ["mlm", "whole words", "span", "denoise"])
def test_epochs_and_seeds_differ_and_evaluation_does_not(name):
    data = make(name)
    views = [data.for_epoch(seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    offsets = {view.chunks.offset for view in views}
    assert len(offsets) > 1
    for view in views:  # the same text: only the choices differ
        view.chunks = data.chunks
    assert len({str(plain(view[0])) for view in (data, *views)}) == 5
    again = make(name)
    assert plain(list(again)) == plain(list(data))
    assert plain(again[-1]) == plain(data[len(data) - 1])


def test_sources_and_targets_keep_their_lengths():
    items = [*make("span", Windows)]
    batch = rows(items)
    assert batch["input_ids"].shape == (len(items), 16)
    assert batch["input_ids"].size < len(items) * 16
    for row, length, item in zip(
        np.asarray(batch["labels"]), batch["labels"].sequences.lengths, items
    ):
        assert row[:length].tolist() == item[0]["labels"].tolist()
        assert (row[length:] == -100).all()


@pytest.mark.parametrize("name", ["clm", "mlm"])
def test_batches_are_the_documents_one_after_another(name):
    starts = np.array([0, 5, 40, 43, 60, 61, 90, len(ids_of("bpe", name))])
    items = list(make(name, PackedDocuments, starts))
    batch = rows(items)
    borders = batch["input_ids"].sequences.cu_seqlens
    assert borders.dtype == np.int32
    labels = "shift_labels" if name == "clm" else "labels"
    assert batch["input_ids"].values.shape == batch[labels].values.shape == (borders[-1],)
    texts = [example for item in items for example in item]
    assert len(texts) == len(borders) - 1 > len(items)
    for a, b, text in zip(borders, borders[1:], texts):
        assert batch["input_ids"].values[a:b].tolist() == text["input_ids"].tolist()
        assert batch[labels].values[a:b].tolist() == text[labels].tolist()


def test_every_token_but_each_documents_first_is_a_label_once():
    tokens = ids_of("bpe", "clm")
    starts = np.array([0, 5, 40, 41, 60, 200, len(tokens)])
    items = list(make("clm", PackedDocuments, starts))
    labels = np.concatenate([e["shift_labels"] for item in items for e in item])
    expected = np.concatenate([tokens[a + 1 : b] for a, b in pairwise(starts)])
    assert labels.tolist() == expected.tolist()
