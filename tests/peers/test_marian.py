"""Marian in transformers and here."""

from tests.peers.harness import VOCAB, Case, PeerTests
from tests.peers.translations import (
    ENCODER_STATES,
    LOGITS,
    NO_GRADIENT,
    STATES,
    from_labels,
    translation,
)

CONFIG = {
    "model_type": "marian", "vocab_size": VOCAB, "max_position_embeddings": 12, "d_model": 8,
    "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 12,
    "decoder_layers": 1, "decoder_attention_heads": 4, "decoder_ffn_dim": 10,
    "activation_function": "swish", "scale_embedding": True, "pad_token_id": 1,
    "decoder_start_token_id": 1, "eos_token_id": 2, "forced_eos_token_id": 2,
}  # fmt: skip
TWO_TABLES = {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": VOCAB + 3}
ODD_HEADS = {"encoder_attention_heads": 1, "decoder_attention_heads": 3}
ENCODED = {"encoder_last_hidden_state": "attention_mask"}


class TestMarian(PeerTests):
    cases = (
        Case("marian", "MarianMTModel", CONFIG, translation, LOGITS, NO_GRADIENT, states=STATES),
        Case(
            "marian_two_tables", "MarianMTModel", CONFIG | TWO_TABLES, from_labels, ENCODED,
            NO_GRADIENT, states=ENCODER_STATES,
        ),
        Case(
            "marian_untied", "MarianMTModel",
            CONFIG | TWO_TABLES | {"tie_word_embeddings": False, "d_model": 6} | ODD_HEADS,
            from_labels, ENCODED, NO_GRADIENT, states=ENCODER_STATES,
        ),
    )  # fmt: skip
