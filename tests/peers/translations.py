"""Batches for encoder-decoders: sources and targets of several lengths, padded on the right."""

import numpy as np

from tests.peers.harness import Inputs, tokens

LOGITS = {
    "logits": "decoder_attention_mask",
    "encoder_last_hidden_state": "attention_mask",
}
ENCODER_STATES = {
    "encoder_hidden_states": "attention_mask",
    "encoder_attentions": "attention_mask",
}
STATES = ENCODER_STATES | {
    "decoder_hidden_states": "decoder_attention_mask",
    "decoder_attentions": "decoder_attention_mask",
    "cross_attentions": "decoder_attention_mask",
}
NO_GRADIENT = ("*.k_proj.bias",)  # softmax does not see what is added to all scores


def translation(rng: np.random.Generator) -> Inputs:
    """Targets behind a start token (2), and labels that also skip one of their tokens."""
    batch, target = tokens(rng), tokens(rng, (4, 6, 2))
    ids, mask = target["input_ids"], target["attention_mask"]
    labels = np.where(mask, ids, -100)
    labels[1, 2] = -100
    shifted = np.concatenate([np.full((3, 1), 2), ids[:, :-1]], axis=1)
    return batch | {
        "decoder_input_ids": np.where(mask, shifted, 1),
        "decoder_attention_mask": mask,
        "labels": labels,
    }


def from_labels(rng: np.random.Generator) -> Inputs:
    """Labels alone: the model moves them right itself."""
    batch = translation(rng)
    return {name: batch[name] for name in ("input_ids", "attention_mask", "labels")}
