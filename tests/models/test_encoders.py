"""What holds for every encoder and every head: padding, batches, documents, gradients, files."""

import ml_dtypes
import numpy as np
import pytest

import plainformer as pf
from plainformer.errors import ConfigError, DTypeError, ShapeError
from plainformer.models import MODELS
from plainformer.nn import dropout_state
from plainformer.tape import run_backward
from tests.differences import numeric_gradient

from .tiny import DECODERS, ENCODERS, batch_for, config_of, make, outputs_of, tasks_of

TASKS = (
    "masked-lm",
    "sequence-classification",
    "token-classification",
    "question-answering",
    "multiple-choice",
    "feature-extraction",
)
ROWS = ("masked-lm", "token-classification", "feature-extraction")


@pytest.fixture(params=ENCODERS)
def family(request):
    return request.param


@pytest.fixture(params=TASKS)
def task(request):
    return request.param


def without_labels(batch):
    return {k: v for k, v in batch.items() if not k.endswith(("labels", "_positions"))}


def test_every_family_has_every_task_under_hugging_faces_names(family):
    ours = "relation-extraction"  # transformers has no head for it; its name follows theirs
    own = ["replaced-token-detection"] if family == "electra" else []
    assert sorted(tasks_of(family)) == sorted([*TASKS, ours, *own])
    prefix = MODELS[family].config_class.__name__.removesuffix("Config")
    assert prefix.lower() == family.replace("-", "")
    suffixes = {
        "masked-lm": "ForMaskedLM", "feature-extraction": "Model",
        "replaced-token-detection": "ForPreTraining",
    }  # fmt: skip
    for task, model in MODELS[family].models.items():
        suffix = suffixes.get(task, "For" + task.title().replace("-", ""))
        assert model.__name__ == prefix + suffix
        assert getattr(pf, model.__name__) is model


class TestRows:
    def test_padding_changes_no_byte_of_the_rest(self, family, task, rng):
        model = make(family, task).eval()
        batch = without_labels(batch_for(task, rng))
        mask = batch["attention_mask"]
        other = np.where(mask, batch["input_ids"], 3 + batch["input_ids"][..., ::-1] % 7)
        assert (other != batch["input_ids"]).any()
        first = outputs_of(model(**batch), task)
        second = outputs_of(model(**{**batch, "input_ids": other}), task)
        for a, b in zip(first, second):
            assert a.data.tobytes() == b.data.tobytes()

    def test_left_padding_is_right_padding(self, family, task, rng):
        model = make(family, task).eval()
        batch = without_labels(batch_for(task, rng))
        turned = {name: left(array, batch["attention_mask"]) for name, array in batch.items()}
        assert not turned["attention_mask"].all(axis=-1).all()
        for a, b in zip(outputs_of(model(**batch), task), outputs_of(model(**turned), task)):
            a, b = a.data, b.data
            if a.ndim > 1 and a.shape[:2] == batch["attention_mask"].shape:
                a = left(a, batch["attention_mask"])
            assert a.tobytes() == b.tobytes()

    def test_a_sequence_alone_is_the_same_bytes_as_in_a_batch(self, family, task, rng):
        model = make(family, task).eval()
        batch = without_labels(batch_for(task, rng))
        together = outputs_of(model(**batch), task)
        for i in range(3):
            own = {name: array[i : i + 1] for name, array in batch.items()}
            length = own["attention_mask"].sum(axis=-1).max()
            own = {name: array[..., :length] for name, array in own.items()}
            for whole, one in zip(together, outputs_of(model(**own), task)):
                kept = whole.data[i : i + 1]
                if task in (*ROWS, "question-answering"):
                    kept = kept[:, :length]
                assert kept.tobytes() == one.data.tobytes()

    @pytest.mark.parametrize("task", [*ROWS, "sequence-classification"])
    def test_packed_documents_do_not_see_each_other(self, family, task, rng):
        model = make(family, task).eval()
        ids = rng.integers(2, 31, (1, 12))
        borders = np.array([0, 5, 8, 12], np.int32)
        other = ids.copy()
        other[0, 5:8] = (ids[0, 5:8] - 1) % 29 + 2
        first, second = (
            outputs_of(model(x, cu_seqlens=borders), task)[0].data for x in (ids, other)
        )
        if task == "sequence-classification":
            assert first.shape == (3, 2)
            kept = np.array([0, 2])
        else:
            first, second = first[0], second[0]
            kept = np.r_[0:5, 8:12]
        assert first[kept].tobytes() == second[kept].tobytes()
        assert first.tobytes() != second.tobytes()
        alone = outputs_of(model(ids[:, 8:]), task)[0].data
        last = first[2:] if task == "sequence-classification" else first[None, 8:]
        assert alone.tobytes() == last.tobytes()

    def test_outputs_are_zero_at_padding(self, family, rng):
        batch = without_labels(batch_for("feature-extraction", rng))
        states = make(family, "feature-extraction").eval()(**batch).last_hidden_state.data
        assert not states[batch["attention_mask"] == 0].any()
        assert states[batch["attention_mask"] == 1].all()


def left(array, mask):
    """A right-padded array (..., L, *) padded on the left instead."""
    flat = mask.reshape(-1, mask.shape[-1])
    rows = array.reshape(*flat.shape, *array.shape[mask.ndim :])
    moved = [np.roll(row, int((m == 0).sum()), axis=0) for row, m in zip(rows, flat)]
    return np.stack(moved).reshape(array.shape)


class TestTraining:
    @pytest.mark.parametrize("recomputed", [False, True], ids=["kept", "recomputed"])
    def test_gradients_match_differences_with_dropout_on(self, family, task, rng, recomputed):
        model = make(family, task).to("float64")
        batch = batch_for(task, rng)
        if recomputed:
            model.gradient_checkpointing_enable()
        weights = rng.standard_normal((3, 7, 12))

        def value(backward=False):
            with dropout_state(5):
                output = model(**batch)
            if output.loss is not None:
                if backward:
                    output.loss.backward()
                return output.loss.item()
            if backward:
                run_backward([output.last_hidden_state], [weights])
            return float((output.last_hidden_state.data * weights).sum())

        value(backward=True)
        for name, parameter in model.named_parameters():
            if parameter.grad is None:
                assert "pooler" in name
                continue
            picks = rng.choice(parameter.size, min(2, parameter.size), replace=False)
            wanted = numeric_gradient(value, parameter.writable(), picks)
            got = parameter.grad.reshape(-1)[picks]
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-8, err_msg=name)

    def test_recomputation_changes_no_byte(self, family, rng):
        batch, grads = batch_for("masked-lm", rng), []
        for enable in (False, True):
            model = make(family, "masked-lm")
            if enable:
                model.gradient_checkpointing_enable()
            with dropout_state(7):
                model(**batch).loss.backward()
            grads.append([p.grad.tobytes() for p in model.parameters()])
        assert grads[0] == grads[1]

    def test_micro_batches_add_up_to_the_whole_batch(self, family, task, rng):
        if task == "feature-extraction":
            return
        whole, parts = make(family, task), make(family, task)
        batch = batch_for(task, rng)
        for model in (whole, parts):
            model.set_dropout(0.0)
        whole(**batch).loss.backward()
        items = whole.count_labels(batch)
        for rows in (slice(0, 1), slice(1, 3)):
            part = {name: array[rows] for name, array in batch.items()}
            parts(**part, num_items_in_batch=items).loss.backward()
        for (name, a), b in zip(whole.named_parameters(), parts.parameters()):
            np.testing.assert_allclose(b.grad, a.grad, atol=2e-6, err_msg=name)

    def test_no_tape_is_kept_in_eval_mode_without_labels(self, family, task, rng):
        model = make(family, task)
        batch = without_labels(batch_for(task, rng))
        assert outputs_of(model(**batch), task)[0].requires_grad
        assert not outputs_of(model.eval()(**batch), task)[0].requires_grad

    def test_one_probability_for_all_dropouts(self, family, task, rng):
        model = make(family, task)
        batch = without_labels(batch_for(task, rng))
        with dropout_state(3):
            noisy = outputs_of(model(**batch), task)[0].data
        assert model.set_dropout(0.0) >= 1 + 2 * 2
        assert all(getattr(model.config, name) == 0 for name in model.config.dropout_fields)
        quiet = outputs_of(model(**batch), task)[0].data
        assert quiet.tobytes() == outputs_of(model.eval()(**batch), task)[0].data.tobytes()
        assert noisy.tobytes() != quiet.tobytes()

    def test_bfloat16_is_near_float32(self, family, task, rng):
        wide, narrow = make(family, task).eval(), make(family, task).to("bfloat16").eval()
        batch = without_labels(batch_for(task, rng))
        for a, b in zip(outputs_of(wide(**batch), task), outputs_of(narrow(**batch), task)):
            assert b.dtype == ml_dtypes.bfloat16
            shown = np.abs(a.data) < 1e9  # the lowest numbers of a span stand for padding
            error = (b.data.astype(np.float32) - a.data)[shown]
            assert np.linalg.norm(error) <= 0.05 * np.linalg.norm(a.data[shown])

    def test_work_is_counted_for_the_layers_alone(self, family, task):
        model = make(family, task)
        width, inner = 12, 20
        layer = 4 * (width * width + width) + 2 * width * inner + inner + width + 4 * width
        layers = 2 * layer
        if family == "deberta-v2":  # projections of the vectors of distances
            layers += 2 * 2 * (width * width + width)
        if family == "modernbert":  # no biases, a gate, and no norm before the first attention
            layers = 2 * (4 * width * width + 3 * width * inner) + 3 * width
        assert model.flops_per_token(10) == 6 * layers + 2 * 12 * width * 10


class TestDirectories:
    @pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
    def test_a_saved_model_comes_back_bit_for_bit(self, family, task, tmp_path, rng, dtype):
        model = make(family, task).to(dtype).eval()
        model.save_pretrained(tmp_path)
        again = pf.load(tmp_path)
        assert type(again) is type(model)
        assert pf.load(tmp_path, task=task).state_dict().keys() == again.state_dict().keys()
        assert again.config.to_dict() == {
            **model.config.to_dict(), "architectures": [type(model).__name__],
        }  # fmt: skip
        for (name, a), b in zip(model.named_parameters(), again.parameters()):
            assert a.data.tobytes() == b.data.tobytes(), name
        batch = without_labels(batch_for(task, rng))
        for a, b in zip(outputs_of(model(**batch), task), outputs_of(again(**batch), task)):
            assert a.data.tobytes() == b.data.tobytes()

    def test_the_tied_projection_is_saved_once(self, family, tmp_path):
        names = dict(make(family, "masked-lm").named_parameters())
        assert not [n for n in names if n.endswith(("decoder.weight", "vocab_projector.weight"))]
        untied = dict(make(family, "masked-lm", tie_word_embeddings=False).named_parameters())
        assert len(untied) == len(names) + 1


class TestErrors:
    @pytest.mark.parametrize(
        ("given", "error", "message"),
        [
            ({"input_ids": [[0.5]]}, DTypeError, "input_ids: got dtype float64"),
            ({"input_ids": [1, 2]}, ShapeError, r"input_ids: got shape \(2,\)"),
            ({"input_ids": [[2] * 19]}, ShapeError, "tokens in a sequence, the model has max_pos"),
            ({"attention_mask": [[1]]}, ShapeError, "attention_mask: got shape"),
            ({"attention_mask": [[0, 0]]}, ShapeError, "attention_mask: row 0 has no token"),
            ({"input_ids": [[31, 0]]}, ValueError, "31"),
            ({"labels": [1, 1]}, ShapeError, r"labels: got int64 \(2,\), expected .*\(1,\)"),
            ({"labels": [2]}, ValueError, "2"),
            ({"labels": [[0.5]]}, ShapeError, r"labels: got float64 \(1, 1\), expected numbers"),
            ({"labels": [1], "num_items_in_batch": 0}, ConfigError, "num_items_in_batch"),
            ({"labels": [1], "class_weight": [1.0]}, ShapeError, r"class_weight: got .* \(1,\)"),
            ({"position_ids": [[1]]}, ShapeError, "position_ids: got shape"),
            ({"cu_seqlens": [0, 3]}, ShapeError, "cu_seqlens: got 0 to 3"),
        ],
        ids=str,
    )
    def test_a_wrong_argument_is_named(self, family, given, error, message):
        with pytest.raises(error, match=message):
            make(family, "sequence-classification")(**({"input_ids": [[2, 3]]} | given))

    def test_token_types_are_refused_where_there_are_none(self):
        with pytest.raises(ConfigError, match="token_type_ids: DistilBertModel has none"):
            make("distilbert", "feature-extraction")([[2]], token_type_ids=[[0]])

    def test_the_configuration_is_checked(self, family):
        heads = "n_heads" if family == "distilbert" else "num_attention_heads"
        for options, message in (
            ({heads: 5}, f"{heads}: got 5, expected a divisor"),
            ({"vocab_size": 0}, "vocab_size: got 0"),
            ({"is_decoder": True}, "is_decoder: got True, only False"),
            ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
            ({"pad_token_id": "0"}, "pad_token_id: got '0', expected int"),
        ):
            with pytest.raises(ConfigError, match=message):
                make(family, "masked-lm", **options)

    def test_roberta_needs_a_padding_token(self):
        with pytest.raises(ConfigError, match="pad_token_id: got None, RoBERTa counts"):
            make("roberta", "masked-lm", pad_token_id=None)

    def test_question_answering_has_two_outputs(self, family):
        with pytest.raises(ConfigError, match="num_labels: got 3, question answering has 2"):
            make(family, "question-answering", num_labels=3)


def test_roberta_counts_positions_from_the_padding_token():
    config = make("roberta", "masked-lm").config
    assert (config.first_position, config.context_length) == (2, 16)
    model = make("roberta", "feature-extraction")
    ids, given = np.array([[5, 1, 6, 7]]), np.array([[2, 1, 3, 4]])
    rows = model.rows(ids)
    np.testing.assert_array_equal(rows.positions, given[0])
    packed = model.rows(ids, cu_seqlens=[0, 3, 4])
    np.testing.assert_array_equal(packed.positions, [2, 1, 3, 2])
    assert model.rows([[5] * 16]).positions.max() == 17
    with pytest.raises(ShapeError, match=r"got 17 tokens .* = 18, of which 2 are reserved"):
        model([[5] * 17])


def test_distilbert_may_start_from_sinusoids():
    plain, waves = (
        pf.models.from_config(config_of("distilbert", sinusoidal_pos_embds=on), seed=1)
        for on in (False, True)
    )
    name = "distilbert.embeddings.position_embeddings.weight"
    table = waves.state_dict()[name]
    np.testing.assert_allclose(table[3, :2], [np.sin(3), np.cos(3)], rtol=1e-6)
    np.testing.assert_allclose(table[2, 4], np.sin(2 / 10000 ** (4 / 12)), rtol=1e-6)
    assert plain.state_dict()[name].std() < 0.05


@pytest.mark.parametrize("family", [*ENCODERS, *DECODERS])
class TestSentenceEmbeddings:
    def test_they_are_pooled_states(self, family, rng):
        model = make(family, "feature-extraction").eval()
        batch = batch_for("feature-extraction", rng)
        states = model(**batch).last_hidden_state.data
        lengths = batch["attention_mask"].sum(axis=1)
        wanted = {
            "cls": states[:, 0],
            "last": states[np.arange(3), lengths - 1],
            "mean": states.sum(axis=1) / lengths[:, None],
        }
        for pooling, vectors in wanted.items():
            got = model.sentence_embeddings(**batch, pooling=pooling, normalize=False)
            np.testing.assert_allclose(got, vectors, atol=1e-6)
            unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
            got = model.sentence_embeddings(**batch, pooling=pooling)
            np.testing.assert_allclose(got, unit, atol=1e-6)

    def test_they_are_on_the_tape_in_training_only(self, family, rng):
        model = make(family, "feature-extraction")
        batch = batch_for("feature-extraction", rng)
        vectors = model.sentence_embeddings(**batch)
        run_backward([vectors], [np.ones(vectors.shape, np.float32)])
        assert all(p.grad is not None for n, p in model.named_parameters() if "pooler" not in n)
        assert not model.eval().sentence_embeddings(**batch).requires_grad

    @pytest.mark.filterwarnings("ignore:.*new weights.*pooler")
    def test_any_checkpoint_of_the_family_will_do(self, family, tmp_path, rng):
        model = make(family, tasks_of(family)[0])
        model.save_pretrained(tmp_path)
        bare, report = pf.load(tmp_path, "feature-extraction", output_loading_info=True)
        assert not [name for name in report.new_keys if "pooler" not in name]
        for name, array in bare.state_dict().items():
            if "pooler" not in name:
                assert array.tobytes() == model.state_dict()[model.base_prefix + name].tobytes()

    def test_an_unknown_pooling_is_an_error(self, family):
        with pytest.raises(
            ConfigError, match="pooling: got 'max', expected one of cls, mean, last"
        ):
            make(family, "feature-extraction").sentence_embeddings([[2]], pooling="max")
