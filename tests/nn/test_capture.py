"""Hidden states and attention weights of a call."""

import threading

import numpy as np
import pytest

from plainformer import functional
from plainformer.errors import ConfigError
from plainformer.functional import Borders
from plainformer.nn import Sequences, capture, part, report_state
from plainformer.nn.capture import report_attention
from plainformer.tensor import Tensor
from tests.models.tiny import DECODERS, ENCODERS, batch_for, make


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


class TestModels:
    @pytest.mark.parametrize("family", [*ENCODERS, *DECODERS])
    def test_states_and_weights_of_every_layer(self, family, rng):
        model = make(family, "causal-lm" if family in DECODERS else None).eval()
        batch = batch_for("masked-lm", rng)
        plain = model(**batch)
        assert plain.hidden_states is None
        assert plain.attentions is None
        output = model(**batch, output_hidden_states=True, output_attentions=True)
        assert output.logits.data.tobytes() == plain.logits.data.tobytes()
        assert [x.shape for x in output.hidden_states] == [(3, 7, 12)] * 3
        assert [x.shape for x in output.attentions] == [(3, 3, 7, 7)] * 2
        mask = batch["attention_mask"]
        for weights in output.attentions:
            rows = weights.data.sum(-1).transpose(0, 2, 1)
            np.testing.assert_allclose(rows[mask == 1], 1, rtol=1e-5)
            assert not rows[mask == 0].any()
            assert not weights.data.transpose(0, 3, 1, 2)[mask == 0].any()
            if family in DECODERS:
                assert not np.triu(weights.data, 1).any()
        one = model(**batch, output_attentions=True)
        assert one.hidden_states is None
        assert len(one.attentions) == 2

    def test_the_last_state_is_the_output(self, rng):
        model = make("bert", "feature-extraction").eval()
        output = model(rng.integers(2, 9, (2, 5)), output_hidden_states=True)
        assert output.hidden_states[-1].data.tobytes() == output.last_hidden_state.data.tobytes()

    def test_states_are_on_the_tape_in_training(self, rng):
        model = make("bert", "feature-extraction")
        output = model(rng.integers(2, 9, (2, 5)), output_hidden_states=True)
        assert all(x.requires_grad for x in output.hidden_states)

    def test_the_configuration_may_ask_for_them(self, rng):
        model = make("bert", "masked-lm", output_hidden_states=True, output_attentions=True).eval()
        output = model(rng.integers(2, 9, (2, 5)))
        assert len(output.hidden_states) == 3
        assert len(output.attentions) == 2
        assert model(rng.integers(2, 9, (2, 5)), output_attentions=False).attentions is None

    def test_recomputed_layers_report_once(self, rng):
        model = make("bert", "masked-lm")
        model.gradient_checkpointing_enable()
        output = model(
            **batch_for("masked-lm", rng), output_hidden_states=True, output_attentions=True
        )
        output.loss.backward()
        assert len(output.hidden_states) == 3
        assert len(output.attentions) == 2

    def test_packed_documents_have_a_block_each(self, rng):
        model = make("bert", "feature-extraction").eval()
        output = model(rng.integers(2, 9, (1, 5)), cu_seqlens=[0, 2, 5], output_attentions=True)
        weights = output.attentions[0].data
        assert weights.shape == (1, 3, 5, 5)
        assert weights[..., :2, :2].all()
        assert weights[..., 2:, 2:].all()
        assert not weights[..., :2, 2:].any()
        assert not weights[..., 2:, :2].any()

    def test_a_cache_has_no_weights(self):
        model = make("gpt2", "causal-lm").eval()
        cache = model.new_cache(1, 4)
        with pytest.raises(ConfigError, match="output_attentions: not available with a cache"):
            model([[1, 2]], cache=cache, output_attentions=True)


class TestCapture:
    def test_reports_are_dropped_outside(self):
        rows, x = Sequences.uniform(1, 2), Tensor(np.ones((2, 3), np.float32))
        report_state(rows, x)
        with capture(attentions=True) as seen:
            report_state(rows, x)
        assert seen.hidden_states == {}

    def test_sums_parts_and_nesting(self):
        rows, x = Sequences.uniform(1, 2), Tensor(np.ones((2, 3), np.float32))
        with capture(hidden_states=True) as seen:
            with part("encoder"):
                report_state(rows, x)
            report_state(rows, x, x)
            with capture(hidden_states=True) as inner:
                report_state(rows, x)
        assert [len(found) for found in seen.hidden_states.values()] == [1, 1]
        np.testing.assert_array_equal(seen.hidden_states["self"][0].data, 2 * np.ones((1, 2, 3)))
        assert list(inner.hidden_states) == ["self"]
        with part("encoder"):  # without a capture it does nothing
            report_state(rows, x)

    def test_other_threads_report_elsewhere(self):
        rows, x = Sequences.uniform(1, 2), Tensor(np.ones((2, 3), np.float32))
        with capture(hidden_states=True) as seen:
            other = threading.Thread(target=report_state, args=(rows, x))
            other.start()
            other.join()
        assert seen.hidden_states == {}

    def test_weights_over_other_sequences_are_cross_attention(self):
        rows, keys = Sequences.from_mask([[1, 1], [1, 0]], (2, 2)), Sequences.uniform(2, 3)
        made = [np.ones((1, 2, 3), np.float32), np.full((1, 1, 3), 2, np.float32)]
        with capture(attentions=True) as seen:
            report_attention(rows, keys, lambda: made)
        (weights,) = seen.attentions["cross"]
        assert weights.shape == (2, 1, 2, 3)
        assert weights.data[0].all()
        np.testing.assert_array_equal(weights.data[1, 0], [[2, 2, 2], [0, 0, 0]])


class TestWeights:
    """`functional.attention_weights` against the formula."""

    def make(self, rng, kv_heads=2):
        q = rng.standard_normal((7, 2 * 4)).astype(np.float32)
        k = rng.standard_normal((9, kv_heads * 4)).astype(np.float32)
        starts = np.array([[0, 3, 7], [0, 4, 9]], np.int32)
        return q, k, Borders(*starts, 4, 5)

    def test_values_with_bias_and_scale(self, rng):
        q, k, borders = self.make(rng)
        bias = rng.standard_normal((1, 2, 4, 5)).astype(np.float32)
        found = functional.attention_weights(q, k, borders, 2, attn_bias=bias, softmax_scale=0.3)
        for s, ((a, b), (c, d)) in enumerate((((0, 3), (0, 4)), ((3, 7), (4, 9)))):
            for h in range(2):
                own = slice(4 * h, 4 * h + 4)
                scores = 0.3 * (q[a:b, None, own] * k[None, c:d, own]).sum(-1)
                wanted = softmax(scores + bias[0, h, : b - a, : d - c])
                np.testing.assert_allclose(found[s][h], wanted, rtol=1e-4, atol=1e-6)

    def test_shared_key_heads(self, rng):
        q, k, borders = self.make(rng, kv_heads=1)
        shared = functional.attention_weights(q, k, borders, 2, 1)
        repeated = functional.attention_weights(q, np.tile(k, 2), borders, 2)
        for a, b in zip(shared, repeated):
            assert a.tobytes() == b.tobytes()

    def test_causal_is_bottom_right_and_windows_are_relative_to_it(self, rng):
        q, k, borders = self.make(rng)
        seen = functional.attention_weights(q, k, borders, 2, causal=True)[0][0] > 0
        np.testing.assert_array_equal(seen, np.tri(3, 4, 1, dtype=bool))
        near = functional.attention_weights(q, k, borders, 2, window_size=(1, 0))[0][0] > 0
        np.testing.assert_array_equal(
            near, np.tri(3, 4, 1, dtype=bool) & ~np.tri(3, 4, -1, dtype=bool)
        )
