"""T5: its configuration, its position buckets, its head, its initial values."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import plainformer as pf
from plainformer.errors import ConfigError
from plainformer.models import T5Config, from_config
from plainformer.models.t5_stack import relative_buckets

from .test_encoder_decoders import CONFIGS, SOURCE_MASK, SOURCES, make

# From the config.json of the published t5-small and flan-t5-small, written by version 4.
SMALL = {
    "architectures": ["T5ForConditionalGeneration"], "d_ff": 2048, "d_kv": 64, "d_model": 512,
    "decoder_start_token_id": 0, "dropout_rate": 0.1, "eos_token_id": 1,
    "initializer_factor": 1.0, "is_encoder_decoder": True, "layer_norm_epsilon": 1e-06,
    "model_type": "t5", "n_positions": 512, "num_heads": 8, "num_layers": 6, "output_past": True,
    "pad_token_id": 0, "relative_attention_num_buckets": 32, "task_specific_params": {},
    "vocab_size": 32128,
}  # fmt: skip
FLAN = SMALL | {
    "d_ff": 1024, "dense_act_fn": "gelu_new", "feed_forward_proj": "gated-gelu",
    "is_gated_act": True, "num_decoder_layers": 8, "num_heads": 6, "num_layers": 8,
    "relative_attention_max_distance": 128, "tie_word_embeddings": False, "use_cache": True,
}  # fmt: skip

DISTANCES = [0, 1, 7, 8, 9, 11, 12, 15, 16, 22, 23, 31, 32, 45, 46, 63, 64, 90, 91, 127, 128, 999]
EARLIER = [0, 1, 7, 8, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15, 15, 15]
LATER = [0, 17, 23, 24, 24, 24, 25, 25, 26, 26, 27, 27, 28, 28, 29, 29, 30, 30, 31, 31, 31, 31]
CAUSAL = [0, 1, 7, 8, 9, 11, 12, 15, 16, 18, 18, 21, 21, 23, 24, 26, 26, 29, 29, 31, 31, 31]


class TestBuckets:
    """The numbers are those of transformers 5.23."""

    def test_both_directions_share_the_buckets_of_an_encoder(self):
        options = {"bidirectional": True, "num_buckets": 32, "max_distance": 128}
        assert relative_buckets(-np.array(DISTANCES), **options).tolist() == EARLIER
        assert relative_buckets(np.array(DISTANCES), **options).tolist() == LATER

    def test_a_decoder_looks_back(self):
        options = {"bidirectional": False, "num_buckets": 32, "max_distance": 128}
        assert relative_buckets(-np.array(DISTANCES), **options).tolist() == CAUSAL
        assert not relative_buckets(np.array(DISTANCES), **options).any()


class TestConfig:
    def test_published_files_are_read_and_written_back(self):
        for values in (SMALL, FLAN):
            config = T5Config.from_dict(values)
            written = config.to_dict()
            assert values.items() <= written.items()
            assert T5Config.from_dict(written) == config

    def test_heads_of_their_own_are_not_scaled(self):
        assert T5Config.from_dict(SMALL).scale_decoder_outputs
        assert not T5Config.from_dict(FLAN).scale_decoder_outputs
        assert T5Config.from_dict(FLAN).dense_act_fn == "gelu_new"
        assert T5Config.from_dict(SMALL | {"num_decoder_layers": None}).num_decoder_layers == 6

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"feed_forward_proj": "gated-relu"}, "feed_forward_proj: got 'gated-relu', expected"),
            ({"feed_forward_proj": "swiglu"}, "feed_forward_proj: got 'swiglu', expected"),
            ({"dense_act_fn": "silu"}, "dense_act_fn: got 'silu', but feed_forward_proj is 'relu'"),
            ({"is_gated_act": True}, "is_gated_act: got True, but feed_forward_proj is 'relu'"),
            ({"relative_attention_num_buckets": 3}, "num_buckets: got 3, expected at least 4"),
            ({"relative_attention_max_distance": 16}, "max_distance: got 16, expected more than"),
            ({"num_decoder_layers": 0}, "num_decoder_layers: got 0, expected at least 1"),
            ({"dropout_rate": -0.1}, "dropout_rate: got -0.1"),
        ],
        ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
    )
    def test_what_is_not_supported_is_named(self, values, message):
        with pytest.raises(ConfigError, match=message):
            T5Config.from_dict(values)

    def test_a_file_of_an_encoder_alone_has_no_decoder(self):
        values = CONFIGS["t5"] | {"is_encoder_decoder": False}
        with pytest.raises(ConfigError, match="is_encoder_decoder: got False, only True"):
            from_config(values)
        assert from_config(values | {"architectures": ["T5EncoderModel"]}, "feature-extraction")


class TestHead:
    def test_the_file_decides_whether_it_is_tied(self, tmp_path):
        """Version 5 of transformers writes that every T5 is tied."""
        model = make("t5_gated")
        model.save_pretrained(tmp_path)
        config = json.loads((tmp_path / "config.json").read_text())
        assert config["tie_word_embeddings"] is False
        assert config["scale_decoder_outputs"] is False
        (tmp_path / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": True}))
        again = pf.load(tmp_path)
        assert again.config.tie_word_embeddings is False
        assert again.lm_head.weight.data.tobytes() == model.lm_head.weight.data.tobytes()
        file = tmp_path / "model.safetensors"
        state = load_file(file)
        del state["lm_head.weight"]
        save_file(state, file, {"format": "pt"})
        tied = pf.load(tmp_path)
        assert tied.config.tie_word_embeddings is True
        assert tied.config.scale_decoder_outputs is False

    def test_scaling_is_by_the_root_of_the_width(self):
        scaled, plain = (make("t5", scale_decoder_outputs=s).eval() for s in (True, False))
        a, b = (m(SOURCES, SOURCE_MASK, [[0, 3]] * 3).logits.data for m in (scaled, plain))
        np.testing.assert_allclose(
            a * np.sqrt(np.float32(8)), b, rtol=1e-5, atol=1e-6
        )  # sums may cancel

    def test_the_encoder_alone_gives_the_same_states(self, tmp_path):
        model = make("t5").eval()
        model.save_pretrained(tmp_path)
        encoder = pf.load(tmp_path, "feature-extraction")
        states = encoder(SOURCES, SOURCE_MASK).last_hidden_state.data
        assert states.tobytes() == (
            model(SOURCES, SOURCE_MASK, [[0]] * 3).encoder_last_hidden_state.data.tobytes()
        )
        pooled = encoder.sentence_embeddings(SOURCES, SOURCE_MASK)
        np.testing.assert_allclose(np.linalg.norm(pooled.data, axis=1), 1, rtol=1e-5)
        with pytest.raises(ConfigError, match="position_ids: T5 has none"):
            encoder(SOURCES, position_ids=np.zeros_like(SOURCES))


def test_initial_values_keep_the_variance():
    sizes = {"d_model": 64, "d_kv": 16, "d_ff": 200, "num_heads": 3, "vocab_size": 400}
    model = from_config(CONFIGS["t5_gated"] | sizes | {"initializer_factor": 2.0})
    deviations = {
        "shared.weight": 1, "lm_head.weight": 1,
        "encoder.block.0.layer.0.SelfAttention.q.weight": (64 * 16) ** -0.5,
        "encoder.block.1.layer.0.SelfAttention.k.weight": 64**-0.5,
        "decoder.block.0.layer.1.EncDecAttention.v.weight": 64**-0.5,
        "decoder.block.0.layer.1.EncDecAttention.o.weight": (3 * 16) ** -0.5,
        "decoder.block.1.layer.2.DenseReluDense.wi_0.weight": 64**-0.5,
        "decoder.block.1.layer.2.DenseReluDense.wo.weight": 200**-0.5,
    }  # fmt: skip
    parameters = dict(model.named_parameters())
    for name, deviation in deviations.items():
        assert np.std(parameters[name].data) == pytest.approx(2 * deviation, rel=0.1), name
    assert (parameters["encoder.final_layer_norm.weight"].data == 2).all()


def test_the_bias_is_added_in_every_layer_and_owned_by_the_first():
    model = make("t5").eval()
    names = [n for n, _ in model.named_parameters() if "relative_attention_bias" in n]
    assert names == [
        f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        for side in ("encoder", "decoder")
    ]
    before = model.encode(SOURCES[:1]).states.data.copy()
    table = model.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight
    table.writable()[...] += 1.0  # the same for all distances: softmax does not see it
    np.testing.assert_allclose(model.encode(SOURCES[:1]).states.data, before, atol=1e-5)
    table.writable()[1] += 1.0
    assert np.abs(model.encode(SOURCES[:1]).states.data - before).max() > 1e-3
