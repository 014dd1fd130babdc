"""The original Transformer: its options, its sizes, its initial values."""

import numpy as np
import pytest

import plainformer as pf
from plainformer.errors import ConfigError
from plainformer.models import TransformerConfig, from_config

from .test_encoder_decoders import CONFIGS, SOURCE_MASK, SOURCES, make
from .tiny import config_of


def logits(model):
    return model.eval()(SOURCES, SOURCE_MASK, [[1, 3, 4]] * 3).logits.data


def test_the_papers_base_model_has_its_size():
    """63 million parameters, table 3, of which 37000 x 512 are the shared embedding."""
    config = TransformerConfig()
    block = 4 * (512 * 512 + 512) + 2 * 512 * 2048 + 2048 + 512
    cross = 4 * (512 * 512 + 512)
    model = from_config(config.to_dict() | {"encoder_layers": 1, "decoder_layers": 1}, seed=None)
    assert model.num_parameters() == 37000 * 512 + 2 * block + cross + 5 * 2 * 512
    assert config.activation_function == "relu"
    assert not config.norm_first


def test_a_small_translator_has_the_sizes_of_the_recipe():
    """3 + 3 pre-norm layers, 256 wide, 8000 types in one table: 7.58 million parameters."""
    model = from_config(
        {
            "model_type": "transformer", "vocab_size": 8000, "d_model": 256, "encoder_layers": 3,
            "encoder_attention_heads": 4, "encoder_ffn_dim": 1024, "decoder_layers": 3,
            "decoder_attention_heads": 4, "decoder_ffn_dim": 1024, "norm_first": True,
        }
    )  # fmt: skip
    assert model.num_parameters() == 7_578_624
    assert np.std(model.model.shared.weight.data) == pytest.approx(1 / 16, rel=0.01)
    assert model.model.encoder.scale == 16
    assert model.head_weight() is model.model.shared.weight
    assert model.head_bias() is None


def test_initial_values():
    model = from_config(CONFIGS["transformer_pre_norm"] | {"d_model": 64, "decoder_ffn_dim": 96})
    layer = model.model.decoder.layers[0]
    for projection, outputs in (
        (layer.self_attn.q_proj, 3 * 64), (layer.self_attn.out_proj, 64), (layer.fc1, 96),
        (layer.encoder_attn.v_proj, 3 * 64),
    ):  # fmt: skip
        weight, bound = projection.weight.data, np.sqrt(6 / (64 + outputs))
        assert 0.95 * bound < np.abs(weight).max() <= bound
        assert np.std(weight) == pytest.approx(bound / np.sqrt(3), rel=0.05)
        assert not projection.bias.data.any()
    assert np.std(model.model.encoder.embed_positions.weight.data) == pytest.approx(1 / 8, rel=0.1)


@pytest.mark.parametrize(
    "options",
    [
        {"norm_first": True},
        {"position_embedding_type": "learned"},
        {"activation_function": "gelu"},
        {"scale_embedding": False},
        {"tie_word_embeddings": False},
        {"share_encoder_decoder_embeddings": False},
    ],
    ids=str,
)
def test_every_option_changes_the_model(options):
    plain, other = make("transformer"), make("transformer", **options)
    assert logits(plain).tobytes() != logits(other).tobytes()


def test_norms_stand_where_the_configuration_says():
    names = {family: set(make(family).state_dict()) for family in CONFIGS}
    assert "model.encoder.layer_norm.weight" in names["transformer_pre_norm"]
    assert "model.encoder.layer_norm.weight" not in names["transformer"]
    assert "model.encoder.embed_positions.weight" in names["transformer_pre_norm"]
    assert "model.encoder.embed_positions.weight" not in names["transformer"]
    assert not any("final_logits_bias" in name for name in names["transformer"])


def test_an_unknown_kind_of_positions_is_named():
    with pytest.raises(ConfigError, match="position_embedding_type: got 'rotary', expected one of"):
        TransformerConfig(position_embedding_type="rotary")


@pytest.mark.parametrize("tied", [True, False])
def test_it_becomes_a_marian_that_computes_the_same(rng, tied, tmp_path):
    values = config_of("transformer", d_model=18, tie_word_embeddings=tied)
    model = from_config(values, seed=3).eval()
    for parameter in model.parameters():
        parameter.writable()[...] += 0.1 * rng.standard_normal(parameter.shape)
    model.to_marian().save_pretrained(tmp_path)
    marian = pf.load(tmp_path)
    assert type(marian).__name__ == "MarianMTModel"
    ids, target = rng.integers(2, 31, (2, 7)), rng.integers(2, 31, (2, 5))
    a, b = (m(ids, decoder_input_ids=target).logits.data for m in (model, marian))
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options", [{"position_embedding_type": "learned"}, {"norm_first": True}], ids=str
)
def test_what_a_marian_has_not_is_refused(options):
    with pytest.raises(ConfigError, match=f"{next(iter(options))}: got .* a Marian has"):
        from_config(config_of("transformer", **options)).to_marian()
