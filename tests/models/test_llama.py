"""Llama and Qwen2: names, rotary positions, windows, caches, configurations in both versions."""

import numpy as np
import pytest

import plainformer as pf
from plainformer.errors import ConfigError, ShapeError
from plainformer.models import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM
from plainformer.nn import Sequences
from plainformer.nn.rotary import Rotary, rope_frequencies
from plainformer.tensor import Tensor
from tests.differences import numeric_gradient

SIZES = {
    "vocab_size": 31,
    "hidden_size": 12,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 6,
    "max_position_embeddings": 16,
    "initializer_range": 0.3,
}
WINDOW = {"use_sliding_window": True, "sliding_window": 3, "max_window_layers": 1}
ROPE = {
    "linear": {"rope_type": "linear", "factor": 2.0},
    "llama3": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8,
    },
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8},
}


def llama(**options):
    return LlamaForCausalLM(LlamaConfig(**(SIZES | options)), seed=1)


def qwen2(**options):
    return Qwen2ForCausalLM(Qwen2Config(**(SIZES | options)), seed=1)


@pytest.fixture
def ids(rng):
    return rng.integers(0, 31, (3, 9))


def test_names_and_shapes_are_hugging_faces():
    shapes = {name: p.shape for name, p in qwen2().named_parameters()}
    layer = {
        "self_attn.q_proj.weight": (24, 12), "self_attn.q_proj.bias": (24,),
        "self_attn.k_proj.weight": (12, 12), "self_attn.k_proj.bias": (12,),
        "self_attn.v_proj.weight": (12, 12), "self_attn.v_proj.bias": (12,),
        "self_attn.o_proj.weight": (12, 24),
        "mlp.gate_proj.weight": (20, 12), "mlp.up_proj.weight": (20, 12),
        "mlp.down_proj.weight": (12, 20),
        "input_layernorm.weight": (12,), "post_attention_layernorm.weight": (12,),
    }  # fmt: skip
    expected = {"model.embed_tokens.weight": (31, 12), "lm_head.weight": (31, 12)}
    for i in range(2):
        expected |= {f"model.layers.{i}.{name}": shape for name, shape in layer.items()}
    assert shapes == expected | {"model.norm.weight": (12,)}
    biases = {name for name, _ in llama().named_parameters() if name.endswith("bias")}
    assert not biases


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (llama, {}),
        (llama, {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True}),
        (llama, {"hidden_act": "gelu_pytorch_tanh", "rope_parameters": ROPE["llama3"]}),
        (qwen2, WINDOW),
    ],
    ids=["llama", "tied, biases", "gelu, llama3", "qwen2 with a window"],
)
def test_gradients_match_differences(ids, rng, make, options):
    model = make(**options).to("float64")

    def loss():
        return model(ids, labels=ids).loss

    loss().backward()
    for name, parameter in model.named_parameters():
        picks = rng.choice(parameter.size, 2, replace=False)
        wanted = numeric_gradient(lambda: loss().item(), parameter.writable(), picks)
        got = parameter.grad.reshape(-1)[picks]
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-8, err_msg=name)


@pytest.mark.parametrize(
    ("make", "options"), [(llama, {}), (qwen2, WINDOW)], ids=["full", "window"]
)
def test_cached_logits_equal_those_without_a_cache(ids, make, options):
    """Ragged prompts, then single tokens and a chunk."""
    model = make(**options).eval()
    whole = model(ids).logits.data
    cache = model.new_cache(3, 16)
    model.next_logits([ids[0, :4], ids[1, :2], ids[2, :4]], cache)
    model.next_logits([ids[0, 4:5], ids[1, 2:5], ids[2, 4:5]], cache)
    for start, end in ((5, 6), (6, 9)):
        last = model.next_logits(ids[:, start:end], cache)
        np.testing.assert_allclose(last, whole[:, end - 1], atol=1e-5)


def test_a_window_hides_what_is_older(ids):
    model = qwen2(**WINDOW, layer_types=["sliding_attention"] * 2).eval()
    first = model(ids).logits.data
    other = ids.copy()
    other[:, 0] = (ids[:, 0] + 1) % 31
    second = model(other).logits.data
    # Two layers that look back 2 rows each: row 5 is the first that row 0 does not reach.
    assert first[:, 5:].tobytes() == second[:, 5:].tobytes()
    assert not np.array_equal(first[:, 4], second[:, 4])


def test_documents_in_one_row_do_not_see_each_other(ids):
    model = llama().eval()
    packed = model(ids.reshape(1, -1), cu_seqlens=[0, 9, 18, 27]).logits.data
    assert packed.tobytes() == model(ids).logits.data.tobytes()


def test_padding_on_any_side_changes_no_byte(ids):
    model = llama().eval()
    alone = model(ids[:1, :5]).logits.data
    left, right = np.zeros((1, 9), int), np.zeros((1, 9), int)
    left[0, 4:] = right[0, :5] = ids[0, :5]
    got = model(left, (np.arange(9) >= 4)[None]).logits.data[:, 4:]
    assert got.tobytes() == alone.tobytes()
    assert model(right, (np.arange(9) < 5)[None]).logits.data[:, :5].tobytes() == alone.tobytes()


def test_recomputation_changes_no_byte(ids):
    grads = []
    for recomputed in (False, True):
        model = llama()
        if recomputed:
            model.gradient_checkpointing_enable()
        model(ids, labels=ids).loss.backward()
        grads.append([p.grad.tobytes() for p in model.parameters()])
    assert grads[0] == grads[1]


class TestRotary:
    def test_scores_depend_on_distances_alone(self, rng):
        rotary = Rotary(8, {"rope_type": "default", "rope_theta": 100.0})
        q, k = (Tensor(rng.standard_normal((1, 8)).astype(np.float32)) for _ in range(2))

        def score(i, j):
            turned = [rotary(x, np.array([p], np.int32), 1).data for x, p in ((q, i), (k, j))]
            return float((turned[0] * turned[1]).sum())

        assert score(3, 1) == pytest.approx(score(40, 38), rel=1e-4)
        assert score(3, 1) != pytest.approx(score(3, 2), rel=1e-4)

    @pytest.mark.parametrize("kind", ROPE)
    def test_stretching_slows_no_pair_down_by_more_than_the_factor(self, kind):
        parameters = {"rope_theta": 10000.0, **ROPE[kind]}
        if kind != "linear":
            parameters["original_max_position_embeddings"] = 256
        plain, _ = rope_frequencies(64, {"rope_type": "default", "rope_theta": 10000.0})
        slowed, scale = rope_frequencies(64, parameters)
        ratio = plain / slowed
        assert ratio.min() >= 1 - 1e-6
        assert ratio.max() == pytest.approx(parameters["factor"], rel=1e-5)
        assert (scale == 1) == (kind != "yarn")
        if kind != "linear":
            assert ratio[0] == pytest.approx(1)

    def test_tables_grow(self):
        rotary = Rotary(4, {"rope_type": "default", "rope_theta": 10.0})
        small = rotary.tables(3, np.zeros(0))[0].copy()
        large = rotary.tables(100, np.zeros(0))[0]
        assert len(large) >= 100
        np.testing.assert_array_equal(large[: len(small)], small)


class TestConfig:
    def test_version_4_and_5_words_mean_the_same(self):
        old = {"rope_theta": 500.0, "rope_scaling": {"type": "linear", "factor": 2.0}}
        new = {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 500.0}}
        configs = [LlamaConfig.from_dict({"model_type": "llama", **SIZES, **v}) for v in (old, new)]
        assert configs[0] == configs[1]
        written = configs[0].to_dict()
        assert written["rope_parameters"] == new["rope_parameters"]
        assert written["rope_theta"] == 500.0
        assert written["rope_scaling"] == {"rope_type": "linear", "factor": 2.0}
        assert LlamaConfig.from_dict(written) == configs[0]

    def test_a_directory_comes_back(self, ids, tmp_path):
        model = qwen2(**WINDOW).eval()
        model.save_pretrained(tmp_path)
        again = pf.load(tmp_path)
        assert type(again) is Qwen2ForCausalLM
        assert again.config.rope_parameters == model.config.rope_parameters
        assert again.config.layer_types == ["full_attention", "sliding_attention"]
        assert again(ids).logits.data.tobytes() == model(ids).logits.data.tobytes()

    @pytest.mark.parametrize(
        ("make", "options", "message"),
        [
            (LlamaConfig, {"num_key_value_heads": 3}, "num_key_value_heads: got 3"),
            (LlamaConfig, {"num_attention_heads": 5, "head_dim": None}, "num_attention_heads: got"),
            (LlamaConfig, {"head_dim": 5}, "head_dim: got 5, expected an even number"),
            (LlamaConfig, {"hidden_act": "relu"}, "hidden_act: got 'relu'"),
            (
                LlamaConfig,
                {"rope_parameters": {"rope_type": "dynamic"}},
                "rope_type: got 'dynamic'",
            ),
            (LlamaConfig, {"rope_parameters": {"rope_type": "linear"}}, "got no factor"),
            (LlamaConfig, {"rope_parameters": {"factor": 2.0}}, "factor is unknown to rope_type"),
            (
                LlamaConfig,
                {"rope_parameters": {"rope_type": "linear", "factor": -1}},
                "factor: got -1, expected a number above 0",
            ),
            (Qwen2Config, {"layer_types": ["full_attention"]}, "expected 2 words"),
            (
                Qwen2Config,
                {"layer_types": ["sliding_attention"] * 2},
                "got sliding_attention, but use_sliding_window is off",
            ),
            (Qwen2Config, {**WINDOW, "sliding_window": 0}, "sliding_window: got 0"),
        ],
    )
    def test_wrong_values_are_named(self, make, options, message):
        with pytest.raises(ConfigError, match=message):
            make(**(SIZES | options))

    def test_more_tokens_than_positions_are_refused(self):
        with pytest.raises(ShapeError, match=r"got 17 tokens.*max_position_embeddings = 16"):
            llama()(np.zeros((1, 17), int))

    def test_sequences_are_not_needed_for_an_empty_batch(self):
        assert llama().eval()(np.zeros((0, 4), int)).logits.shape == (0, 4, 31)
        assert Sequences.uniform(0, 4).num_rows == 0
