"""A masked language model learns labels: what it sees, what is hidden, and that it helps."""

import numpy as np
import pytest

from plainformer.augmentation import Rewriter, learn_labels
from plainformer.augmentation.conditioning import LabelledMasking
from plainformer.data import TextExample
from plainformer.errors import ConfigError, DataError
from tests.tasks.tiny import TEXTS

from .tiny import masked_lm, tokenizer_of

TOKENIZER = tokenizer_of([e.text for e in TEXTS] + ["pos neg"] * 3)
IGNORED = -100


def test_the_label_stands_before_the_text_and_is_never_hidden():
    dataset = LabelledMasking.of(TEXTS, TOKENIZER, None, 0.5)
    assert len(dataset) == len(TEXTS)
    for i, example in enumerate(TEXTS):
        whole = TOKENIZER.encode(f"{example.label} {example.text}").ids
        label = TOKENIZER.encode(example.label, add_special_tokens=False).ids
        for epoch in range(5):
            [made] = dataset.for_epoch(0, epoch)[i]
            hidden = made["labels"] != IGNORED
            first = 1 + len(label)
            assert made["input_ids"][:first].tolist() == whole[:first]
            assert not hidden[:first].any()
            assert not hidden[-1]
            assert hidden.sum() == max(1, round(0.5 * (len(whole) - first - 1)))
            assert np.where(hidden, made["labels"], made["input_ids"]).tolist() == whole


def test_epochs_hide_other_words_and_repeat_exactly():
    dataset = LabelledMasking.of(TEXTS, TOKENIZER, None, 0.5)

    def hidden(epoch, seed=3):
        own = dataset.for_epoch(seed, epoch)
        return [own[i][0]["labels"].tolist() for i in range(len(own))]

    assert hidden(0) == hidden(0)
    assert hidden(0) != hidden(1)
    assert hidden(0) != hidden(0, seed=4)


def test_long_texts_are_cut_to_the_limit():
    dataset = LabelledMasking.of([TextExample("good " * 50, "pos")], TOKENIZER, 12, 0.5)
    assert len(dataset[0][0]["input_ids"]) == 12


def test_after_learning_the_label_decides_what_is_written():
    model = masked_lm(TOKENIZER)
    learn_labels(model, TOKENIZER, TEXTS, epochs=200, learning_rate=1e-2, mask_fraction=0.3)
    made = Rewriter(model, TOKENIZER, mask_fraction=0.3, top_k=1, show_labels=True)
    for label, own, other in (("pos", "good", "bad"), ("neg", "bad", "good")):
        new = [text for _, text in made.variants([TextExample("truly what", label)], 20)]
        count = {word: sum(word in text for text in new) for word in (own, other)}
        assert count[own] > count[other]


def test_every_argument_of_learning_changes_what_is_learned():
    def learned(**changes):
        model = masked_lm(TOKENIZER)
        usual = {"epochs": 2, "learning_rate": 1e-2, "mask_fraction": 0.3, "batch_size": 4}
        learn_labels(model, TOKENIZER, TEXTS, **{**usual, **changes})
        return b"".join(np.asarray(p.data).tobytes() for _, p in model.named_parameters())

    base = learned()
    assert learned() == base
    for change in ({"epochs": 3}, {"learning_rate": 1e-3}, {"mask_fraction": 0.8},
                   {"batch_size": 2}, {"seed": 1}):  # fmt: skip
        assert learned(**change) != base, change


def test_the_loss_falls():
    def loss(epochs):
        return learn_labels(
            masked_lm(TOKENIZER), TOKENIZER, TEXTS, epochs=epochs, learning_rate=1e-2
        )

    assert loss(30) < loss(1)


def test_nothing_to_learn_is_an_error():
    with pytest.raises(ConfigError, match="epochs: got 0, expected at least 1"):
        learn_labels(masked_lm(TOKENIZER), TOKENIZER, TEXTS, epochs=0)
    with pytest.raises(DataError, match="hold no words"):
        learn_labels(masked_lm(TOKENIZER), TOKENIZER, [TextExample(" ", "pos")], epochs=1)
