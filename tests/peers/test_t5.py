"""T5 in transformers and here, ungated and gated, with a head that is tied or its own."""

from dataclasses import dataclass
from typing import Any

import torch

from tests.peers.harness import VOCAB, Case, PeerTests, draw_weights, tokens
from tests.peers.translations import ENCODER_STATES, LOGITS, STATES, from_labels, translation

CONFIG = {
    "model_type": "t5", "vocab_size": VOCAB, "d_model": 8, "d_kv": 3, "d_ff": 12,
    "num_layers": 2, "num_decoder_layers": 1, "num_heads": 2, "decoder_start_token_id": 0,
    "relative_attention_num_buckets": 6, "relative_attention_max_distance": 5,
}  # fmt: skip


@dataclass(frozen=True)
class OwnHead(Case):
    """Transformers ties every T5 that it makes; files of T5 1.1 have a head of their own."""

    def build(self, seed: int = 0, **options: Any) -> Any:
        model = super().build(seed, **options)
        model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.shared.weight))
        model.all_tied_weights_keys.pop("lm_head.weight")
        draw_weights(model, seed)
        return model


class TestT5(PeerTests):
    cases = (
        Case("t5", "T5ForConditionalGeneration", CONFIG, translation, LOGITS, states=STATES),
        OwnHead(
            "t5_gated", "T5ForConditionalGeneration",
            CONFIG | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
            translation, LOGITS, states=STATES,
        ),
        Case(
            "t5_gated_silu", "T5ForConditionalGeneration",
            CONFIG | {"feed_forward_proj": "gated-silu", "tie_word_embeddings": False},
            from_labels, {"encoder_last_hidden_state": "attention_mask"},
            states=ENCODER_STATES,
        ),
        Case(
            "t5_encoder", "T5EncoderModel", CONFIG, tokens, {"last_hidden_state": "attention_mask"},
        ),
    )  # fmt: skip
