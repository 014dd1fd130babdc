"""BART in transformers and here."""

import numpy as np

from tests.peers.harness import VOCAB, Case, PeerTests, tokens
from tests.peers.tasks import holes
from tests.peers.translations import (
    ENCODER_STATES,
    LOGITS,
    NO_GRADIENT,
    STATES,
    from_labels,
    translation,
)

CONFIG = {
    "model_type": "bart", "vocab_size": VOCAB, "max_position_embeddings": 12, "d_model": 8,
    "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 12,
    "decoder_layers": 1, "decoder_attention_heads": 4, "decoder_ffn_dim": 10,
}  # fmt: skip
UNTIED = {"tie_word_embeddings": False, "scale_embedding": True, "activation_function": "relu"}

# What is added to the logits of all positions alike.
SAME_FOR_ALL_ROWS = ("qa_outputs.bias", "model.decoder.layers.0.final_layer_norm.bias")


def sentences(rng):
    """Sequences that end with one end token (2) each."""
    batch = tokens(rng)
    ends = batch["attention_mask"].sum(axis=1) - 1
    batch["input_ids"][np.arange(len(ends)), ends] = 2
    return batch | {"labels": np.array([1, 0, 2])}


def many_sentences(rng):
    """The same with any number of classes each."""
    return sentences(rng) | {"labels": rng.integers(0, 2, (3, 3)).astype(np.float32)}


def questions(rng):
    """Without padding, which transformers gives a share of the probability."""
    batch = tokens(rng, (6, 6, 6))
    positions = {"start_positions": np.array([1, 0, 9]), "end_positions": np.array([3, 5, 9])}
    return batch | positions


class TestBart(PeerTests):
    cases = (
        Case(
            "bart", "BartForConditionalGeneration", CONFIG, translation, LOGITS, NO_GRADIENT,
            states=STATES,
        ),
        Case(
            "bart_untied", "BartForConditionalGeneration", CONFIG | UNTIED, from_labels,
            {"encoder_last_hidden_state": "attention_mask"},
            (*NO_GRADIENT, "model.shared.weight"), states=ENCODER_STATES,
        ),
        Case(
            "bart_classification", "BartForSequenceClassification", CONFIG, sentences,
            {"logits": None}, NO_GRADIENT, states=dict.fromkeys(STATES, "attention_mask"),
        ),
        Case(
            "bart_many_classes", "BartForSequenceClassification", CONFIG, many_sentences,
            {"logits": None}, NO_GRADIENT, states=dict.fromkeys(STATES, "attention_mask"),
        ),
        Case(
            "bart_qa", "BartForQuestionAnswering", CONFIG, questions,
            {"start_logits": "attention_mask", "end_logits": "attention_mask"},
            (*NO_GRADIENT, *SAME_FOR_ALL_ROWS), states=dict.fromkeys(STATES, "attention_mask"),
        ),
        Case(
            "bart_classification_holes", "BartForSequenceClassification", CONFIG, holes(sentences),
            {"logits": None}, NO_GRADIENT,
            states={"encoder_hidden_states": "attention_mask"},
        ),
    )  # fmt: skip
