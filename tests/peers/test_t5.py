"""T5 in transformers and here, ungated and gated, with a head that is tied or its own."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from plainformer.models import from_config
from plainformer.models.t5_stack import relative_buckets
from tests.peers.harness import (
    VOCAB,
    Case,
    PeerTests,
    draw_weights,
    tokens,
    torch,
    transformers,
)
from tests.peers.tasks import holes
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
            "t5_holes", "T5ForConditionalGeneration", CONFIG, holes(translation), LOGITS,
            states=STATES,
        ),
        Case(
            "t5_encoder", "T5EncoderModel", CONFIG, tokens, {"last_hidden_state": "attention_mask"},
        ),
    )  # fmt: skip


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("num_buckets", [4, 5, 8, 32, 33, 128])
@pytest.mark.parametrize("max_distance", [20, 65, 128, 200, 1000])
def test_every_distance_is_in_the_same_bucket(bidirectional, num_buckets, max_distance):
    distances = np.arange(-3000, 3001)
    options = {
        "bidirectional": bidirectional, "num_buckets": num_buckets, "max_distance": max_distance,
    }  # fmt: skip
    theirs = transformers.models.t5.modeling_t5.T5Attention._relative_position_bucket(
        torch.from_numpy(distances), **options
    )
    np.testing.assert_array_equal(relative_buckets(distances, **options), theirs.numpy())


@pytest.mark.parametrize("gated", ["relu", "gated-gelu"])
def test_weights_start_from_the_same_distributions(gated):
    values = {k: v for k, v in CONFIG.items() if k != "model_type"}
    values |= {"d_model": 48, "d_kv": 20, "d_ff": 64, "feed_forward_proj": gated, "vocab_size": 99}
    values |= {"initializer_factor": 0.5}
    torch.manual_seed(0)
    config = transformers.T5Config(**values)
    theirs = transformers.T5ForConditionalGeneration(config).state_dict()
    ours = from_config(values | {"model_type": "t5"})
    for name, parameter in ours.named_parameters():
        drawn, own = theirs[name].numpy(), parameter.data
        if own.size > 500:
            assert np.std(own) == pytest.approx(np.std(drawn), rel=0.1), name
        elif own.ndim == 1:
            np.testing.assert_array_equal(own, drawn, err_msg=name)
