"""Marian: its configuration and its positions."""

import numpy as np
import pytest

from plainformer.errors import ConfigError
from plainformer.models import MarianConfig, from_config
from plainformer.nn.positions import sinusoids

from .test_encoder_decoders import CONFIGS

# From the config.json of the published translator opus-mt-en-de.
PUBLISHED = {
    "_num_labels": 3, "activation_dropout": 0.0, "activation_function": "swish",
    "add_bias_logits": False, "add_final_layer_norm": False, "architectures": ["MarianMTModel"],
    "attention_dropout": 0.0, "bad_words_ids": [[58100]], "bos_token_id": 0,
    "classif_dropout": 0.0, "classifier_dropout": 0.0, "d_model": 512,
    "decoder_attention_heads": 8, "decoder_ffn_dim": 2048, "decoder_layerdrop": 0.0,
    "decoder_layers": 6, "decoder_start_token_id": 58100, "decoder_vocab_size": 58101,
    "dropout": 0.1, "encoder_attention_heads": 8, "encoder_ffn_dim": 2048,
    "encoder_layerdrop": 0.0, "encoder_layers": 6, "eos_token_id": 0, "forced_eos_token_id": 0,
    "gradient_checkpointing": False, "init_std": 0.02, "is_encoder_decoder": True,
    "max_length": 512, "max_position_embeddings": 512, "model_type": "marian",
    "normalize_before": False, "normalize_embedding": False, "num_beams": 6,
    "num_hidden_layers": 6, "pad_token_id": 58100, "scale_embedding": True,
    "share_encoder_decoder_embeddings": True, "static_position_embeddings": True,
    "transformers_version": "4.22.0.dev0", "use_cache": True, "vocab_size": 58101,
}  # fmt: skip


def test_a_published_file_is_read_and_written_back():
    config = MarianConfig.from_dict(PUBLISHED)
    written = config.to_dict()
    assert {n for n, v in PUBLISHED.items() if written.get(n) != v} == {"num_hidden_layers"}
    assert MarianConfig.from_dict(written) == config


def test_two_vocabularies_need_two_tables():
    with pytest.raises(ConfigError, match="decoder_vocab_size: got 30, expected vocab_size = 23"):
        MarianConfig.from_dict(CONFIGS["marian"] | {"decoder_vocab_size": 30})
    with pytest.raises(ConfigError, match="decoder_vocab_size: got 0, expected at least 1"):
        MarianConfig.from_dict(CONFIGS["marian_two_tables"] | {"decoder_vocab_size": 0})
    model = from_config(CONFIGS["marian_two_tables"])
    assert model.head_weight() is model.model.decoder.embed_tokens.weight
    assert model.model.encoder.embed_tokens.weight.shape == (23, 8)
    assert model.head_weight().shape == (25, 8)
    assert not hasattr(model.model, "shared")


@pytest.mark.parametrize("width", [6, 5])
def test_sines_come_before_cosines_or_between_them(width):
    """Written from the formulas, an element at a time."""
    halves, mixed = (sinusoids(9, width, i, np.dtype(float)) for i in (False, True))
    for position in range(9):
        for column in range(width):
            angle = position / 10000 ** (2 * (column // 2) / width)
            value = np.cos(angle) if column % 2 else np.sin(angle)
            place = column // 2 + (width + 1) // 2 * (column % 2)
            assert mixed[position, column] == pytest.approx(value, abs=1e-15)
            assert halves[position, place] == pytest.approx(value, abs=1e-15)
