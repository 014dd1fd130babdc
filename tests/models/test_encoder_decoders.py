"""What holds for every encoder-decoder: caches, padding, batches, gradients, labels, files."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import plainformer as pf
from plainformer.errors import CheckpointError, ConfigError, DTypeError, ShapeError
from plainformer.models import from_config
from plainformer.nn import dropout_state

VOCAB = 23
SIZES = {
    "vocab_size": VOCAB, "max_position_embeddings": 14, "d_model": 8, "encoder_layers": 2,
    "encoder_attention_heads": 2, "encoder_ffn_dim": 12, "decoder_layers": 2,
    "decoder_attention_heads": 4, "decoder_ffn_dim": 10, "pad_token_id": 1, "eos_token_id": 2,
    "decoder_start_token_id": 1, "attention_dropout": 0.1, "activation_dropout": 0.1,
}  # fmt: skip
TWO_TABLES = {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": VOCAB + 2}
T5 = {
    "model_type": "t5", "vocab_size": VOCAB, "d_model": 8, "d_kv": 3, "d_ff": 12, "num_layers": 2,
    "num_heads": 2, "relative_attention_num_buckets": 6, "relative_attention_max_distance": 7,
}  # fmt: skip
CONFIGS = {
    "bart": SIZES | {"model_type": "bart"},
    "bart_untied": SIZES
    | {"model_type": "bart", "tie_word_embeddings": False, "scale_embedding": True},
    "marian": SIZES | {"model_type": "marian", "activation_function": "swish"},
    "marian_two_tables": SIZES | {"model_type": "marian"} | TWO_TABLES,
    "t5": T5,
    "t5_gated": T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    "transformer": SIZES | {"model_type": "transformer"},
    "transformer_pre_norm": SIZES
    | {"model_type": "transformer", "norm_first": True, "position_embedding_type": "learned"},
}
SOURCES = np.array([[3, 4, 5, 6, 7, 8], [9, 10, 11, 1, 1, 1], [12, 13, 14, 15, 1, 1]])
SOURCE_MASK = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 0, 0]])
LABELS = np.array([[5, 6, 2, -100, -100], [7, -100, 9, 10, 2], [8, 2, -100, -100, -100]])


@pytest.fixture(params=CONFIGS)
def family(request):
    return request.param


def make(family, seed=1, **options):
    """A new model with larger weights than usual, so that nothing is negligible."""
    model = from_config(CONFIGS[family] | options, seed=seed)
    rng = np.random.default_rng(seed)
    for _, parameter in model.named_state():
        parameter.writable()[...] += 0.2 * rng.standard_normal(parameter.shape)
    return model


def teacher_forced(model, sources, mask, targets):
    """Logits (M, V) of each ragged target, from calls without a cache."""
    result = []
    for source, own, target in zip(sources, mask, targets):
        output = model(source[None, own == 1], decoder_input_ids=np.array(target)[None])
        result.append(output.logits.data[0])
    return result


class TestCaches:
    def test_decoding_step_by_step_gives_the_logits_of_one_call(self, family):
        """Beams of several sources: ragged prompts, then a token each, then ragged again."""
        model = make(family).eval()
        targets = [[1, 3, 4, 5, 6, 7], [1, 9, 8, 3, 5], [1, 4, 4], [1, 5, 6, 3], [1, 8, 7, 3, 2],
                   [1, 3, 2, 4, 5, 6]]  # fmt: skip
        encoder = model.encode(SOURCES, SOURCE_MASK)
        cache = model.new_cache(6, 8, encoder=encoder)
        wanted = teacher_forced(
            model, np.repeat(SOURCES, 2, axis=0), np.repeat(SOURCE_MASK, 2, axis=0), targets
        )
        for ends in ([2, 3, 1, 1, 2, 3], [3, 4, 2, 2, 3, 4], [6, 5, 3, 4, 5, 6]):
            starts = cache.lengths.tolist()
            logits = model.next_logits([t[a:b] for t, a, b in zip(targets, starts, ends)], cache)
            for own, whole, end in zip(logits, wanted, ends):
                np.testing.assert_allclose(own, whole[end - 1], atol=1e-5)
        assert cache.lengths.tolist() == [len(t) for t in targets]

    def test_reordered_beams_go_on_from_the_chosen_ones(self, family):
        model = make(family).eval()
        cache = model.new_cache(6, 5, encoder=model.encode(SOURCES, SOURCE_MASK))
        targets = np.array([[1, 3], [1, 4], [1, 5], [1, 6], [1, 7], [1, 8]])
        model.next_logits(targets, cache)
        index = np.array([1, 0, 3, 3, 4, 4])
        cache.reorder(index)
        step = np.array([[9], [10], [11], [12], [13], [14]])
        logits = model.next_logits(step, cache)
        chosen = np.concatenate([targets[index], step], axis=1)
        sources, mask = (np.repeat(x, 2, axis=0) for x in (SOURCES, SOURCE_MASK))
        for own, whole in zip(logits, teacher_forced(model, sources, mask, chosen)):
            np.testing.assert_allclose(own, whole[-1], atol=1e-5)

    def test_a_full_cache_and_a_batch_that_does_not_fit_are_refused(self):
        model = make("bart").eval()
        encoder = model.encode(SOURCES, SOURCE_MASK)
        with pytest.raises(ShapeError, match="got 4 sequences, expected a multiple of the 3"):
            model.new_cache(4, 5, encoder=encoder)
        cache = model.new_cache(3, 1, encoder=encoder)
        with pytest.raises(ShapeError, match="2 tokens do not fit a cache with capacity 1"):
            model.next_logits([[1, 3], [1], [1]], cache)


class TestRows:
    def test_padding_changes_no_byte(self, family):
        model = make(family).eval()
        target_mask = np.array([[1, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 0]])
        targets = np.array([[1, 3, 4, 5], [1, 6, 7, 8], [1, 9, 10, 11]])
        outputs = [
            model(
                np.where(SOURCE_MASK, SOURCES, filler), SOURCE_MASK,
                np.where(target_mask, targets, filler), target_mask,
            ).logits.data
            for filler in (1, 17)
        ]  # fmt: skip
        assert outputs[0].tobytes() == outputs[1].tobytes()
        assert not outputs[0][target_mask == 0].any()
        assert outputs[0][target_mask == 1].any(axis=1).all()

    def test_left_padding_is_right_padding(self, family):
        model = make(family).eval()
        right = model(SOURCES[1:2], SOURCE_MASK[1:2], [[1, 3, 4]]).logits.data
        turned = np.roll(SOURCES[1:2], 3, axis=1), np.roll(SOURCE_MASK[1:2], 3, axis=1)
        left = model(*turned, [[7, 1, 3, 4]], [[0, 1, 1, 1]]).logits.data
        assert right.tobytes() == left[:, 1:].tobytes()

    def test_one_alone_is_the_same_bytes_as_in_a_batch(self, family):
        model = make(family).eval()
        targets = np.array([[1, 3, 4], [1, 6, 7], [1, 9, 10]])
        together = model(SOURCES, SOURCE_MASK, targets)
        for i, length in enumerate(SOURCE_MASK.sum(axis=1)):
            alone = model(SOURCES[i : i + 1, :length], decoder_input_ids=targets[i : i + 1])
            states = together.encoder_last_hidden_state.data[i, :length]
            assert states.tobytes() == alone.encoder_last_hidden_state.data.tobytes()
            assert together.logits.data[i].tobytes() == alone.logits.data.tobytes()

    def test_encoder_outputs_stand_for_the_source(self, family):
        model = make(family).eval()
        whole = model(SOURCES, SOURCE_MASK, labels=LABELS)
        encoded = model.encode(SOURCES, SOURCE_MASK)
        assert not encoded.states.requires_grad
        again = model(encoder_outputs=encoded, labels=LABELS)
        assert whole.loss.item() == again.loss.item()
        assert whole.logits.data.tobytes() == again.logits.data.tobytes()


class TestLabels:
    def test_they_are_moved_right_behind_the_start_token(self, family):
        model = make(family).eval()
        start, pad = model.start_token, model.config.pad_token_id
        shifted = np.array([[start, 5, 6, 2, pad], [start, 7, pad, 9, 10], [start, 8, 2, pad, pad]])
        np.testing.assert_array_equal(model.shift_right(LABELS), shifted)
        loss = model(SOURCES, SOURCE_MASK, labels=LABELS).loss
        given = model(SOURCES, SOURCE_MASK, shifted, labels=LABELS).loss
        assert loss.item() == given.item()

    def test_the_loss_is_the_mean_over_labels_that_count(self, family):
        model = make(family).eval()
        output = model(SOURCES, SOURCE_MASK, labels=LABELS)
        logits = output.logits.data.astype(np.float64)
        counts = LABELS != -100
        log_sum = np.log(np.exp(logits).sum(axis=-1))
        picked = np.take_along_axis(logits, np.where(counts, LABELS, 0)[..., None], -1)[..., 0]
        wanted = (log_sum - picked)[counts].mean()
        assert output.loss.item() == pytest.approx(wanted, rel=1e-5)
        assert model.count_labels({"labels": LABELS}) == counts.sum() == 9
        summed = model(SOURCES, SOURCE_MASK, labels=LABELS, num_items_in_batch=18).loss
        assert summed.item() == pytest.approx(wanted / 2, rel=1e-5)

    def test_a_longer_tail_changes_no_byte(self, family):
        def losses(labels):
            model = make(family)
            model.set_dropout(0.0)
            loss = model(SOURCES, SOURCE_MASK, labels=labels).loss
            loss.backward()
            return [loss.data.tobytes(), *(p.grad is not None and p.grad.tobytes()
                                           for p in model.parameters())]  # fmt: skip

        tail = np.full((3, 4), -100)
        assert losses(LABELS) == losses(np.concatenate([LABELS, tail], axis=1))

    def test_labels_that_are_hidden_do_not_count(self):
        model = make("bart").eval()
        mask = np.array([[1, 1, 0, 0, 0]] * 3)
        batch = {
            "decoder_input_ids": model.shift_right(LABELS),
            "decoder_attention_mask": mask,
            "labels": LABELS,
        }
        assert model.count_labels(batch) == 5
        shown = model(SOURCES, SOURCE_MASK, **batch).loss.item()
        cut = np.where(mask, LABELS, -100)
        assert shown == model(SOURCES, SOURCE_MASK, labels=cut).loss.item()

    def test_a_row_without_labels_takes_no_part(self, family):
        model = make(family).eval()
        labels = LABELS.copy()
        labels[1] = -100
        loss = model(SOURCES, SOURCE_MASK, labels=labels).loss.item()
        others = model(SOURCES[::2], SOURCE_MASK[::2], labels=LABELS[::2]).loss.item()
        assert loss == pytest.approx(others, rel=1e-6)

    def test_label_smoothing_and_the_logits_wanted(self, family):
        model = make(family)
        model.set_dropout(0.0)
        plain = model(SOURCES, SOURCE_MASK, labels=LABELS)
        smooth = model(SOURCES, SOURCE_MASK, labels=LABELS, label_smoothing=0.2)
        assert plain.logits is None
        assert plain.loss.item() != smooth.loss.item()
        shown = model(SOURCES, SOURCE_MASK, labels=LABELS, return_logits=True).logits
        assert shown.shape == (3, 5, model.config.__dict__.get("decoder_vocab_size") or VOCAB)


class TestGradients:
    def test_they_match_differences_with_dropout_on(self, family, rng):
        """Along a random direction in each parameter; a padding row is half trained, see below."""
        model = make(family).to("float64")
        unread = {"model.shared.weight"} if family == "bart_untied" else set()

        def loss():
            with dropout_state(5):
                return model(SOURCES, SOURCE_MASK, labels=LABELS).loss

        loss().backward()
        for name, parameter in model.named_parameters():
            if name in unread:
                assert parameter.grad is None
                continue
            direction = rng.standard_normal(parameter.shape)
            if family.startswith(("bart", "marian")) and ("shared" in name or "tokens" in name):
                direction[1] = 0
            array, kept = parameter.writable(), parameter.data.copy()
            sides = []
            for step in (1e-5, -1e-5):
                array[...] = kept + step * direction
                sides.append(loss().item())
            array[...] = kept
            wanted = (sides[0] - sides[1]) / 2e-5
            got = float((parameter.grad * direction).sum())
            assert got == pytest.approx(wanted, rel=1e-5, abs=1e-8), name

    def test_recomputation_changes_no_byte(self, family):
        grads = []
        for enable in (False, True):
            model = make(family)
            if enable:
                model.gradient_checkpointing_enable()
            with dropout_state(7):
                loss = model(SOURCES, SOURCE_MASK, labels=LABELS).loss
            loss.backward()
            grads.append([p.grad is not None and p.grad.tobytes() for p in model.parameters()])
        assert grads[0] == grads[1]

    def test_micro_batches_add_up_to_the_whole_batch(self, family):
        whole, parts = make(family), make(family)
        for model in (whole, parts):
            model.set_dropout(0.0)
        whole(SOURCES, SOURCE_MASK, labels=LABELS).loss.backward()
        for rows in (slice(0, 1), slice(1, 3)):
            loss = parts(
                SOURCES[rows], SOURCE_MASK[rows], labels=LABELS[rows], num_items_in_batch=9
            ).loss
            loss.backward()
        for (name, a), b in zip(whole.named_parameters(), parts.parameters()):
            if a.grad is not None:
                limit = 1e-6 * max(1.0, np.abs(a.grad).max())
                np.testing.assert_allclose(b.grad, a.grad, rtol=0, atol=limit, err_msg=name)

    def test_constants_of_a_checkpoint_are_never_trained(self):
        model = make("bart")
        model.freeze(["encoder"])
        model(SOURCES, SOURCE_MASK, labels=LABELS).loss.backward()
        assert "final_logits_bias" in model.state_dict()
        assert "final_logits_bias" not in dict(model.named_parameters())
        assert not model.final_logits_bias.requires_grad
        assert model.final_logits_bias.grad is None

    def test_the_padding_row_is_not_trained_by_looking_it_up(self, rng):
        """Marian's targets start with padding, whose row stays as it is, but for a tied head."""
        row = {}
        for family, name in (
            ("marian_two_tables", "model.encoder.embed_tokens.weight"),
            ("transformer", "model.shared.weight"),
        ):
            model = make(family, tie_word_embeddings=True)
            states = model.encode([[1, 3, 1, 4]]).states
            states.backward(rng.standard_normal(states.shape).astype(np.float32))
            row[family] = dict(model.named_parameters())[name].grad[1]
        assert not row["marian_two_tables"].any()
        assert row["transformer"].any()


class TestErrors:
    @pytest.mark.parametrize(
        ("given", "error", "message"),
        [
            ({"input_ids": [[0.5]]}, DTypeError, "input_ids: got dtype float64"),
            ({"input_ids": None}, ConfigError, "expected either input_ids or encoder_outputs"),
            ({"input_ids": [[3] * 15]}, ShapeError, "15 tokens.*max_position_embeddings = 14"),
            ({"attention_mask": [[1]]}, ShapeError, "attention_mask: got shape"),
            ({"labels": None}, ConfigError, "decoder_input_ids: got None, expected them or labels"),
            ({"labels": [[3]] * 2}, ConfigError, "decoder_input_ids: got 2 targets for 1 sources"),
            ({"labels": [[3] * 15]}, ShapeError, "15 tokens.*max_position_embeddings = 14"),
            ({"decoder_input_ids": [[1]]}, ShapeError, r"labels: got shape \(1, 2\), expected"),
            ({"num_items_in_batch": 0}, ConfigError, "num_items_in_batch: got 0"),
        ],
        ids=str,
    )
    def test_a_wrong_argument_is_named(self, given, error, message):
        with pytest.raises(error, match=message):
            make("bart")(**({"input_ids": [[3, 4]], "labels": [[5, 6]]} | given))

    def test_a_mask_beside_encoder_outputs_is_refused(self):
        model = make("bart")
        encoded = model.encode(SOURCES, SOURCE_MASK)
        with pytest.raises(ConfigError, match="attention_mask: got encoder_outputs too"):
            model(attention_mask=SOURCE_MASK, encoder_outputs=encoded, labels=LABELS)

    def test_a_missing_start_token_is_named(self):
        model = make("transformer", decoder_start_token_id=None)
        with pytest.raises(ConfigError, match="decoder_start_token_id: got None"):
            model([[3]], labels=[[4]])
        assert make("transformer", decoder_start_token_id=None, bos_token_id=5).start_token == 5

    def test_a_source_of_padding_alone_is_no_source(self):
        model = make("t5").eval()
        mask = np.array([[1, 1], [0, 0]])
        logits = model([[3, 4], [5, 6]], mask, [[0], [0]]).logits.data
        assert np.isfinite(logits).all()


class TestInside:
    def test_states_and_weights_of_both_stacks_are_shown(self, family):
        model = make(family).eval()
        output = model(
            SOURCES, SOURCE_MASK, [[1, 3, 4]] * 3, output_hidden_states=True, output_attentions=True
        )
        assert [x.shape for x in output.encoder_hidden_states] == [(3, 6, 8)] * 3
        assert [x.shape for x in output.decoder_hidden_states] == [(3, 3, 8)] * 3
        heads = 2 if family.startswith("t5") else 4
        assert [x.shape for x in output.cross_attentions] == [(3, heads, 3, 6)] * 2
        sums = output.cross_attentions[0].data.sum(axis=-1)
        np.testing.assert_allclose(sums, 1, rtol=1e-5)
        last = output.encoder_hidden_states[-1].data
        assert last.tobytes() == output.encoder_last_hidden_state.data.tobytes()


class TestDirectories:
    @pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
    def test_a_saved_model_comes_back_bit_for_bit(self, family, tmp_path, dtype):
        model = make(family).to(dtype)
        model.save_pretrained(tmp_path)
        again = pf.load(tmp_path)
        assert type(again) is type(model)
        assert again.config.to_dict() == {
            **model.config.to_dict(), "architectures": [type(model).__name__],
        }  # fmt: skip
        for (name, a), (_, b) in zip(model.named_state(), again.named_state(), strict=True):
            assert a.dtype == b.dtype
            assert a.data.tobytes() == b.data.tobytes(), name
        outputs = [
            m(SOURCES, SOURCE_MASK, [[1, 3, 4]] * 3).logits.data.tobytes()
            for m in (model.eval(), again)
        ]
        assert outputs[0] == outputs[1]

    def test_tied_tables_are_saved_once_and_computed_ones_never(self, tmp_path):
        for family in ("bart", "marian", "t5", "transformer"):
            make(family).save_pretrained(tmp_path)
            names = load_file(tmp_path / "model.safetensors")
            tables = [n for n in names if "embed_tokens" in n or "shared" in n or "lm_head" in n]
            assert len(tables) == 1
            assert tables[0].endswith("shared.weight")
            assert (family == "bart") == any("embed_positions" in n for n in names)

    def test_bare_names_and_a_table_under_another_name_are_read(self, tmp_path):
        model = make("bart")
        model.final_logits_bias.assign(np.zeros_like(model.final_logits_bias.data))
        model.save_pretrained(tmp_path)
        file = tmp_path / "model.safetensors"
        state = {name.removeprefix("model."): a for name, a in load_file(file).items()}
        del state["final_logits_bias"]  # zeros where it is missing
        state["decoder.embed_tokens.weight"] = state.pop("shared.weight")
        state["encoder.version"] = np.array([3.0], np.float32)
        save_file(state, file, {"format": "pt"})
        for (name, a), (_, b) in zip(model.named_state(), pf.load(tmp_path).named_state()):
            np.testing.assert_array_equal(a.data, b.data, err_msg=name)
        state["lm_head.weight"] = state["decoder.embed_tokens.weight"] + 1
        save_file(state, file, {"format": "pt"})
        with pytest.raises(CheckpointError, match=r"lm_head\.weight: differs from decoder"):
            pf.load(tmp_path)

    @pytest.mark.parametrize("prefix", ["model.", ""])
    def test_one_table_of_an_untied_model_serves_both_stacks(self, tmp_path, prefix):
        """As version 4 of transformers wrote it."""
        model = make("bart_untied")
        tables = [stack.embed_tokens.weight for stack in (model.model.encoder, model.model.decoder)]
        for table in tables:
            table.assign(model.model.shared.weight.data)
        model.save_pretrained(tmp_path)
        file = tmp_path / "model.safetensors"
        state = {n: a for n, a in load_file(file).items() if "embed_tokens" not in n}
        state = {n.replace("model.", prefix): a for n, a in state.items()}
        save_file(state, file, {"format": "pt"})
        for (name, a), (_, b) in zip(model.named_state(), pf.load(tmp_path).named_state()):
            np.testing.assert_array_equal(a.data, b.data, err_msg=name)

    def test_generation_config_has_the_special_ids(self, tmp_path):
        make("marian").save_pretrained(tmp_path)
        written = json.loads((tmp_path / "generation_config.json").read_text())
        assert written["decoder_start_token_id"] == written["pad_token_id"] == 1
        assert written["forced_eos_token_id"] == 0


def test_a_tiny_model_learns_to_copy():
    model = make("transformer_pre_norm", seed=3, d_model=16)
    model.set_dropout(0.0)
    rng = np.random.default_rng(0)
    first = None
    for _ in range(200):
        ids = rng.integers(3, 8, (16, 4))
        model.zero_grad()
        loss = model(ids, labels=ids).loss
        loss.backward()
        first = first or loss.item()
        for parameter in model.parameters():
            parameter.writable()[...] -= 0.2 * parameter.grad
    assert first > 2
    assert loss.item() < 0.7 * first
