"""GPT-2: names, initial weights, loss, gradients of the whole model, directories."""

import json

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import plainformer as pf
from plainformer.errors import CheckpointError, ConfigError, DTypeError, ShapeError
from plainformer.models import GPT2Config, GPT2LMHeadModel, from_config
from plainformer.models.gpt2 import GPT2Attention
from plainformer.nn import Sequences, dropout_state
from plainformer.tape import Node
from plainformer.tensor import Tensor
from tests.differences import numeric_gradient

SIZES = {"vocab_size": 31, "n_positions": 16, "n_embd": 12, "n_layer": 2, "n_head": 3}
NANOGPT = {"bias": False, "activation_function": "gelu"}


def tiny(seed=1, **options):
    return GPT2LMHeadModel(GPT2Config(**(SIZES | options)), seed=seed)


def without_dropout(**options):
    return tiny(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, **options)


@pytest.fixture
def ids(rng):
    return rng.integers(0, 31, (3, 9))


class TestParameters:
    def test_names_and_shapes_are_hugging_faces(self):
        shapes = {name: p.shape for name, p in tiny().named_parameters()}
        block = {
            "ln_1.weight": (12,), "ln_1.bias": (12,),
            "attn.c_attn.weight": (12, 36), "attn.c_attn.bias": (36,),
            "attn.c_proj.weight": (12, 12), "attn.c_proj.bias": (12,),
            "ln_2.weight": (12,), "ln_2.bias": (12,),
            "mlp.c_fc.weight": (12, 48), "mlp.c_fc.bias": (48,),
            "mlp.c_proj.weight": (48, 12), "mlp.c_proj.bias": (12,),
        }  # fmt: skip
        expected = {"transformer.wte.weight": (31, 12), "transformer.wpe.weight": (16, 12)}
        for i in range(2):
            expected |= {f"transformer.h.{i}.{name}": shape for name, shape in block.items()}
        expected |= {"transformer.ln_f.weight": (12,), "transformer.ln_f.bias": (12,)}
        assert shapes == expected

    def test_an_untied_head_has_its_own_weight(self):
        assert dict(tiny(tie_word_embeddings=False).named_parameters())["lm_head.weight"].shape == (
            31,
            12,
        )

    def test_gpt2_small_and_nanogpt_have_their_published_sizes(self):
        assert GPT2LMHeadModel(GPT2Config(), seed=None).num_parameters() == 124_439_808
        config = GPT2Config(
            vocab_size=65, n_positions=64, n_embd=128, n_layer=4, n_head=4, **NANOGPT
        )
        model = GPT2LMHeadModel(config, seed=None)
        position_weights = 64 * 128  # nanoGPT leaves them out when it says 0.80 M
        assert model.num_parameters() - position_weights == 795_904

    def test_initial_weights_follow_gpt2(self):
        model = GPT2LMHeadModel(GPT2Config(vocab_size=500, n_embd=96, n_layer=8, n_head=4), seed=3)
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:
                assert np.all(parameter.data == (1.0 if name.endswith("weight") else 0.0)), name
                continue
            wanted = 0.02 / 4 if "c_proj" in name else 0.02
            assert np.std(parameter.data) == pytest.approx(wanted, rel=0.05), name
            assert abs(np.mean(parameter.data)) < wanted / 10, name

    def test_the_seed_decides_the_weights(self):
        first, again, other = (tiny(seed).state_dict() for seed in (1, 1, 2))
        name = "transformer.h.0.mlp.c_fc.weight"
        assert first[name].tobytes() == again[name].tobytes()
        assert first[name].tobytes() != other[name].tobytes()


class TestLoss:
    def test_labels_are_shifted_inside(self, ids):
        model = tiny().eval()
        output = model(ids, labels=ids)
        logits = output.logits.data[:, :-1].astype(np.float64)
        largest = logits.max(axis=-1, keepdims=True)
        lse = (np.log(np.exp(logits - largest).sum(axis=-1, keepdims=True)) + largest)[..., 0]
        picked = np.take_along_axis(logits, ids[:, 1:, None], axis=-1)[..., 0]
        assert output.loss.data.dtype == np.float32
        assert output.loss.item() == pytest.approx((lse - picked).mean(), rel=1e-5)

    def test_shift_labels_are_taken_as_they_are(self, ids):
        model = tiny().eval()
        shifted = np.full_like(ids, -100)
        shifted[:, :-1] = ids[:, 1:]
        ours = model(ids, labels=ids).loss.data
        assert model(ids, shift_labels=shifted).loss.data == ours

    def test_the_summed_loss_is_divided_by_the_items_of_the_step(self, ids):
        model = tiny().eval()
        count = model.count_labels({"input_ids": ids, "labels": ids})
        assert count == 24
        mean = model(ids, labels=ids).loss.item()
        assert model(ids, labels=ids, num_items_in_batch=count).loss.item() == mean
        third = model(ids, labels=ids, num_items_in_batch=3 * count).loss.item()
        assert third == pytest.approx(mean / 3, rel=1e-6)

    def test_ignored_labels_take_no_part(self, ids):
        model = tiny().eval()
        labels = ids.copy()
        labels[1:] = -100
        assert model.count_labels({"input_ids": ids, "labels": labels}) == 8
        alone = model(ids[:1], labels=ids[:1]).loss.item()
        assert model(ids, labels=labels).loss.item() == pytest.approx(alone, rel=1e-6)

    def test_label_smoothing_changes_the_loss(self, ids):
        model = tiny().eval()
        plain, smooth = (model(ids, labels=ids, label_smoothing=e).loss.item() for e in (0.0, 0.2))
        assert plain != smooth

    def test_logits_are_made_only_where_wanted(self, ids):
        model = tiny()
        assert model(ids, labels=ids).logits is None
        assert model(ids, labels=ids, return_logits=True).logits.shape == (3, 9, 31)
        assert model.eval()(ids, labels=ids).logits.shape == (3, 9, 31)
        assert model(ids, labels=ids, return_logits=False).logits is None
        last = model(ids, logits_to_keep=2).logits
        np.testing.assert_allclose(last, model(ids).logits.data[:, -2:], atol=1e-6)

    def test_no_tape_is_kept_in_eval_mode_without_labels(self, ids):
        model = tiny()
        assert model(ids).logits.requires_grad
        assert not model.eval()(ids).logits.requires_grad
        assert model(ids, labels=ids).loss.requires_grad

    def test_ids_may_be_lists_arrays_or_tensors(self, ids):
        model = tiny().eval()
        outputs = [
            model(input_ids=x).logits.data.tobytes()
            for x in (ids, ids.tolist(), Tensor(ids), ids.astype(np.int16))
        ]
        assert len(set(outputs)) == 1

    def test_padding_changes_no_byte_of_the_rest(self, ids):
        model = tiny().eval()
        mask = np.ones_like(ids)
        mask[:, 6:] = 0
        other = ids.copy()
        other[:, 6:] = (ids[:, 6:] + 1) % 31
        first, second = (model(x, attention_mask=mask).logits.data for x in (ids, other))
        assert first[:, :6].tobytes() == second[:, :6].tobytes()


class TestGradients:
    @pytest.mark.parametrize(
        "options",
        [{}, NANOGPT, {"activation_function": "silu", "tie_word_embeddings": False}],
        ids=["gpt2", "nanogpt", "silu, untied"],
    )
    @pytest.mark.parametrize("recomputed", [False, True], ids=["kept", "recomputed"])
    def test_they_match_differences_with_dropout_on(self, ids, rng, options, recomputed):
        model = tiny(**options).to("float64")
        for parameter in model.parameters():  # larger weights, so that no gradient is negligible
            parameter.writable()[...] += 0.1 * rng.standard_normal(parameter.shape)
        if recomputed:
            model.gradient_checkpointing_enable()

        def loss():
            with dropout_state(5):
                return model(ids, labels=ids).loss

        loss().backward()
        for name, parameter in model.named_parameters():
            picks = rng.choice(parameter.size, 3, replace=False)
            wanted = numeric_gradient(lambda: loss().item(), parameter.writable(), picks)
            got = parameter.grad.reshape(-1)[picks]
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-8, err_msg=name)

    def test_a_block_is_seven_operations(self, ids, monkeypatch):
        made = []
        init = Node.__init__

        def counted(node, *args):
            made.append(node)
            init(node, *args)

        monkeypatch.setattr(Node, "__init__", counted)
        without_dropout()(ids, labels=ids)
        around = 5  # two embeddings and their sum, the last norm, the loss
        assert len(made) == around + 2 * 7

    def test_recomputation_changes_no_byte(self, ids):
        grads = []
        for enable in (False, True):
            model = tiny()
            if enable:
                model.gradient_checkpointing_enable()
            with dropout_state(7):
                model(ids, labels=ids).loss.backward()
            grads.append([p.grad.tobytes() for p in model.parameters()])
        assert grads[0] == grads[1]

    def test_micro_batches_add_up_to_the_whole_batch(self, rng):
        ids = rng.integers(0, 31, (4, 9))
        labels = ids.copy()
        labels[0, 2:] = -100
        whole, parts = without_dropout(), without_dropout()
        whole(ids, labels=labels).loss.backward()
        items = whole.count_labels({"input_ids": ids, "labels": labels})
        for rows in (slice(0, 1), slice(1, 4)):
            loss = parts(ids[rows], labels=labels[rows], num_items_in_batch=items).loss
            loss.backward()
        for (name, a), b in zip(whole.named_parameters(), parts.parameters()):
            np.testing.assert_allclose(b.grad, a.grad, atol=1e-6, err_msg=name)

    def test_frozen_parameters_get_none_and_change_no_other(self, ids):
        free, frozen = without_dropout(), without_dropout()
        names = frozen.freeze(["wte", "h.0"])
        for model in (free, frozen):
            model(ids, labels=ids).loss.backward()
        for (name, a), b in zip(free.named_parameters(), frozen.parameters()):
            if name in names:
                assert b.grad is None
            else:
                np.testing.assert_array_equal(a.grad, b.grad, err_msg=name)

    def test_bfloat16_gradients_are_near_float32_ones(self, ids):
        wide, narrow = without_dropout(), without_dropout().to("bfloat16")
        losses = []
        for model in (wide, narrow):
            loss = model(ids, labels=ids).loss
            loss.backward()
            losses.append(loss.item())
        assert losses[1] == pytest.approx(losses[0], rel=0.01)
        for (name, a), b in zip(wide.named_parameters(), narrow.parameters()):
            assert b.dtype == ml_dtypes.bfloat16
            error = np.linalg.norm(b.grad.astype(np.float32) - a.grad)
            assert error <= 0.1 * np.linalg.norm(a.grad), name


class TestDropout:
    def test_masks_follow_from_seed_and_offset(self, ids):
        model = tiny()
        losses = []
        for seed, offset in ((1, 0), (1, 0), (1, 100), (2, 0)):
            with dropout_state(seed, offset):
                losses.append(model(ids, labels=ids).loss.item())
        assert losses[0] == losses[1]
        assert len(set(losses)) == 3

    def test_one_probability_for_all(self, ids):
        model = tiny()
        assert model.set_dropout(0.0) == 7  # embeddings, and three in each of two blocks
        assert model.config.attn_pdrop == model.config.resid_pdrop == 0.0
        loss = model(ids, labels=ids, return_logits=False).loss.item()
        assert loss == model.eval()(ids, labels=ids).loss.item()


class TestErrors:
    @pytest.mark.parametrize(
        ("given", "error", "message"),
        [
            ({"input_ids": [[0.5]]}, DTypeError, "input_ids: got dtype float64"),
            ({"input_ids": [1, 2]}, ShapeError, r"input_ids: got shape \(2,\)"),
            ({"input_ids": [[1] * 17]}, ShapeError, "got 17 tokens.*n_positions = 16"),
            ({"labels": [[1]]}, ShapeError, r"labels: got shape \(1, 1\), expected \(1, 2\)"),
            ({"labels": [[1, 2]], "shift_labels": [[1, 2]]}, ConfigError, "expected one of them"),
            ({"attention_mask": [[1]]}, ShapeError, "attention_mask: got shape"),
            ({"labels": [[1, 2]], "num_items_in_batch": 0}, ConfigError, "num_items_in_batch"),
            ({"input_ids": [[31, 0]]}, ValueError, "31"),
        ],
        ids=str,
    )
    def test_a_wrong_argument_is_named(self, given, error, message):
        with pytest.raises(error, match=message):
            tiny()(**({"input_ids": [[1, 2]]} | given))


class TestDirectories:
    @pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
    def test_a_saved_model_comes_back_bit_for_bit(self, tmp_path, ids, dtype):
        model = tiny(**NANOGPT).to(dtype)
        model.save_pretrained(tmp_path)
        again = pf.load(tmp_path)
        assert not again.training
        assert again.config.to_dict() == {
            **model.config.to_dict(), "architectures": ["GPT2LMHeadModel"],
        }  # fmt: skip
        for (name, a), b in zip(model.named_parameters(), again.parameters()):
            assert a.dtype == b.dtype
            assert a.data.tobytes() == b.data.tobytes(), name
        assert model.eval()(ids).logits.data.tobytes() == again(ids).logits.data.tobytes()

    def test_the_tied_head_is_saved_once(self, tmp_path):
        tiny().save_pretrained(tmp_path)
        assert "lm_head.weight" not in load_file(tmp_path / "model.safetensors")

    def test_files_say_what_the_model_is(self, tmp_path):
        tiny().to("bfloat16").save_pretrained(tmp_path)
        config = json.loads((tmp_path / "config.json").read_text())
        assert config["architectures"] == ["GPT2LMHeadModel"]
        assert config["model_type"] == "gpt2"
        assert config["dtype"] == config["torch_dtype"] == "bfloat16"
        generation = json.loads((tmp_path / "generation_config.json").read_text())
        assert generation["eos_token_id"] == 50256

    def test_shards(self, tmp_path):
        model = tiny()
        model.save_pretrained(tmp_path, max_shard_size="4KB")
        assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
        for a, b in zip(model.parameters(), pf.load(tmp_path).parameters()):
            np.testing.assert_array_equal(a.data, b.data)

    def test_bare_names_old_buffers_and_a_repeated_head_are_read(self, tmp_path):
        model = tiny()
        model.save_pretrained(tmp_path)
        file = tmp_path / "model.safetensors"
        state = {n.removeprefix("transformer."): a for n, a in load_file(file).items()}
        state["h.0.attn.bias"] = np.ones((1, 1, 16, 16), np.float32)
        state["h.0.attn.masked_bias"] = np.array(-1e4, np.float32)
        state["lm_head.weight"] = state["wte.weight"].copy()
        save_file(state, file, {"format": "pt"})
        for a, b in zip(model.parameters(), pf.load(tmp_path).parameters()):
            np.testing.assert_array_equal(a.data, b.data)
        state["lm_head.weight"][0] += 1
        save_file(state, file, {"format": "pt"})
        with pytest.raises(CheckpointError, match=r"lm_head.weight: differs"):
            pf.load(tmp_path)

    def test_float16_is_read_as_float32(self, tmp_path):
        model = tiny()
        model.save_pretrained(tmp_path)
        file = tmp_path / "model.safetensors"
        halves = {name: a.astype(np.float16) for name, a in load_file(file).items()}
        save_file(halves, file, {"format": "pt"})
        config = json.loads((tmp_path / "config.json").read_text())
        config |= {"dtype": "float16", "torch_dtype": "float16"}
        (tmp_path / "config.json").write_text(json.dumps(config))
        loaded = pf.load(tmp_path)
        assert loaded.config.dtype == "float32"
        name = "transformer.wte.weight"
        wanted = halves[name].astype(np.float32)
        np.testing.assert_array_equal(loaded.state_dict()[name], wanted)

    def test_dtype_wins_over_the_file(self, tmp_path):
        tiny().save_pretrained(tmp_path)
        model = GPT2LMHeadModel.from_pretrained(tmp_path, dtype="bfloat16")
        assert {p.dtype for p in model.parameters()} == {np.dtype(ml_dtypes.bfloat16)}

    def test_every_array_that_does_not_fit_is_named(self, tmp_path):
        tiny().save_pretrained(tmp_path)
        file = tmp_path / "model.safetensors"
        state = load_file(file)
        state["transformer.ln_g.weight"] = state.pop("transformer.ln_f.weight")
        state["transformer.wpe.weight"] = np.zeros((3, 12), np.float32)
        save_file(state, file, {"format": "pt"})
        with pytest.raises(CheckpointError) as caught:
            pf.load(tmp_path)
        for part in ("ln_f.weight", "ln_g.weight", "wpe.weight"):
            assert part in str(caught.value)

    def test_unknown_families_are_named(self, tmp_path):
        tiny().save_pretrained(tmp_path)
        (tmp_path / "config.json").write_text('{"model_type": "mamba"}')
        with pytest.raises(ConfigError, match="model_type 'mamba', expected one of albert, bart"):
            pf.load(tmp_path)
        with pytest.raises(ConfigError, match="config: got model_type None"):
            from_config({})


def test_a_tiny_model_learns_a_pattern():
    model = without_dropout(n_embd=24, n_head=2)
    ids = np.tile(np.arange(8), (4, 2))
    first = model(ids, labels=ids).loss.item()
    for _ in range(150):
        model.zero_grad()
        model(ids, labels=ids).loss.backward()
        for parameter in model.parameters():
            parameter.writable()[...] -= 0.3 * parameter.grad
    last = model(ids, labels=ids).loss.item()
    assert first > 3
    assert last < 0.1
    assert model.generate([0, 1, 2], 8).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2]


@pytest.mark.parametrize(("tied", "products"), [(True, 124_439_808 - 1024 * 768), (False, None)])
def test_flops_per_token_of_gpt2_small(tied, products):
    config = GPT2Config(vocab_size=50257, tie_word_embeddings=tied, n_layer=12)
    model = GPT2LMHeadModel(config, seed=None)
    products = products or 163_037_184 - (1024 + 50257) * 768
    assert model.flops_per_token(1024) == 6 * products + 12 * 12 * 768 * 1024


class TestAttention:
    def make(self, rng, **options):
        attention = GPT2Attention(GPT2Config(**SIZES, **options), 0)
        for parameter in attention.parameters():
            parameter.assign(rng.standard_normal(parameter.shape).astype(np.float32))
        return attention

    def test_a_token_sees_only_what_came_before_in_its_sequence(self, rng):
        attention = self.make(rng).eval()
        rows = Sequences.from_lengths([6, 3])
        x = rng.standard_normal((9, 12)).astype(np.float32)
        stream = Tensor(x.copy())
        first = attention(Tensor(x), stream, rows).data
        x[4:6] += 1
        second = attention(Tensor(x), stream, rows).data
        assert first[:4].tobytes() == second[:4].tobytes()
        assert first[6:].tobytes() == second[6:].tobytes()
        assert not np.array_equal(first[4:6], second[4:6])

    def test_attention_dropout_acts_in_training_only(self, rng):
        attention = self.make(rng, attn_pdrop=0.5, resid_pdrop=0.0)
        x = Tensor(rng.standard_normal((12, 12)).astype(np.float32))
        rows = Sequences.uniform(2, 6)
        with dropout_state(1):
            first, second = attention(x, x, rows).data, attention(x, x, rows).data
        assert not np.array_equal(first, second)
        attention.eval()
        assert attention(x, x, rows).data.tobytes() == attention(x, x, rows).data.tobytes()
