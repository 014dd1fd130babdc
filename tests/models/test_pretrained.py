"""Directories that do not quite fit: heads of other tasks, old names, labels, dtypes."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import plainformer as pf
from plainformer.errors import CheckpointError, ConfigError, PlainformerWarning
from plainformer.models import MODELS

from .tiny import ENCODERS, make

WEIGHTS = "model.safetensors"


@pytest.fixture
def saved(tmp_path):
    """A masked language model in a directory, and that directory."""
    model = make("bert", "masked-lm")
    model.save_pretrained(tmp_path)
    return model, tmp_path


def rewrite(folder, change):
    """Let `change` edit the arrays of a directory."""
    state = load_file(folder / WEIGHTS)
    change(state)
    save_file(state, folder / WEIGHTS, {"format": "pt"})


class TestHeads:
    def test_a_new_head_is_drawn_and_named_in_one_warning(self, saved):
        model, folder = saved
        with pytest.warns(PlainformerWarning, match="new weights.*classifier.weight") as caught:
            tagger, report = pf.BertForTokenClassification.from_pretrained(
                folder, num_labels=5, output_loading_info=True
            )
        assert len(caught) == 1
        assert report.missing_keys == ["classifier.weight", "classifier.bias"]
        assert [name.split(".")[0] for name in report.unexpected_keys] == ["cls"] * 5
        assert report.mismatched_keys == []
        weight = tagger.classifier.weight.data
        assert weight.shape == (5, 12)
        assert weight.std() == pytest.approx(0.02, rel=0.3)
        assert not tagger.classifier.bias.data.any()
        for name, array in tagger.bert.state_dict().items():
            assert array.tobytes() == model.bert.state_dict()[name].tobytes(), name

    @pytest.mark.filterwarnings("ignore:.*new weights")
    def test_the_seed_decides_the_new_head(self, saved):
        first, again, other = (
            pf.BertForTokenClassification.from_pretrained(saved[1], seed=s).classifier.weight.data
            for s in (1, 1, 2)
        )
        assert first.tobytes() == again.tobytes() != other.tobytes()

    def test_a_classifier_needs_a_new_pooler_too(self, saved):
        with pytest.warns(PlainformerWarning, match=r"bert.pooler.dense.weight"):
            _, report = pf.load(saved[1], task="sequence-classification", output_loading_info=True)
        assert len(report.missing_keys) == 4

    def test_a_missing_body_is_an_error(self, saved):
        rewrite(saved[1], lambda state: state.pop("bert.encoder.layer.1.output.dense.bias"))
        with pytest.raises(CheckpointError, match=r"missing keys .*layer.1.output.dense.bias"):
            pf.load(saved[1])

    def test_an_unknown_key_is_an_error(self, saved):
        extra = {"bert.encoder.layer.2.output.dense.bias": np.zeros(12, np.float32)}
        rewrite(saved[1], lambda state: state.update(extra))
        with pytest.raises(CheckpointError, match=r"unexpected keys .*layer.2.output.dense.bias"):
            pf.load(saved[1])

    def test_a_head_of_another_size_starts_anew_only_on_request(self, tmp_path):
        make("bert", "sequence-classification").save_pretrained(tmp_path)
        kind = pf.BertForSequenceClassification
        with pytest.raises(CheckpointError, match=r"classifier.weight: got \(2, 12\), expected"):
            kind.from_pretrained(tmp_path, num_labels=3)
        with pytest.warns(PlainformerWarning, match=r"new weights \(2\): classifier.weight"):
            model, report = kind.from_pretrained(
                tmp_path, num_labels=3, ignore_mismatched_sizes=True, output_loading_info=True
            )
        assert report.new_keys == ["classifier.weight", "classifier.bias"]
        assert model.classifier.weight.data.any()

    def test_a_bare_model_reads_the_body_of_any(self, saved):
        model, folder = saved
        with pytest.warns(PlainformerWarning, match="pooler"):
            bare = pf.load(folder, task="feature-extraction")
        body = model.bert.state_dict()
        for name, array in body.items():
            assert array.tobytes() == bare.state_dict()[name].tobytes(), name

    def test_any_model_reads_a_bare_one(self, tmp_path):
        bare = make("bert", "feature-extraction")
        bare.save_pretrained(tmp_path)
        assert "embeddings.word_embeddings.weight" in load_file(tmp_path / WEIGHTS)
        with pytest.warns(PlainformerWarning, match=r"new weights \(2\): classifier"):
            model = pf.load(tmp_path, task="sequence-classification")
        for name, array in bare.state_dict().items():
            assert array.tobytes() == model.bert.state_dict()[name].tobytes(), name

    def test_a_task_that_a_family_does_not_have_is_an_error(self, saved):
        with pytest.raises(ConfigError, match="task: got 'causal-lm', bert has models for masked"):
            pf.load(saved[1], task="causal-lm")


class TestOldFiles:
    def test_gamma_beta_and_position_buffers_are_read(self, saved):
        model, folder = saved

        def older(state):
            for name in [n for n in state if "LayerNorm" in n]:
                old = name.replace("LayerNorm.weight", "LayerNorm.gamma")
                state[old.replace("LayerNorm.bias", "LayerNorm.beta")] = state.pop(name)
            state["bert.embeddings.position_ids"] = np.arange(18)[None]

        rewrite(folder, older)
        again, report = pf.BertForMaskedLM.from_pretrained(folder, output_loading_info=True)
        assert report.unexpected_keys == report.new_keys == []
        for (name, a), b in zip(model.named_parameters(), again.parameters()):
            assert a.data.tobytes() == b.data.tobytes(), name

    @pytest.mark.parametrize("family", ENCODERS)
    def test_a_repeated_projection_must_be_equal(self, family, tmp_path):
        model = make(family, "masked-lm")
        model.save_pretrained(tmp_path)
        copies = {
            name: model.state_dict()[original].copy() for name, original in model.tied_keys.items()
        }
        rewrite(tmp_path, lambda state: state.update(copies))
        again = pf.load(tmp_path)
        for a, b in zip(model.parameters(), again.parameters()):
            assert a.data.tobytes() == b.data.tobytes()
        name = next(iter(copies))
        copies[name][0] += 1
        rewrite(tmp_path, lambda state: state.update(copies))
        with pytest.raises(CheckpointError, match=f"{name}: differs from"):
            pf.load(tmp_path)

    def test_heads_of_bert_for_pretraining_are_left_out(self, saved):
        folder = saved[1]
        pair = {"cls.seq_relationship.weight": np.ones((2, 12), np.float32)}
        rewrite(folder, lambda state: state.update(pair))
        config = json.loads((folder / "config.json").read_text())
        config["architectures"] = ["BertForPreTraining"]
        (folder / "config.json").write_text(json.dumps(config))
        model, report = pf.load(folder, output_loading_info=True)
        assert type(model) is pf.BertForMaskedLM
        assert report.unexpected_keys == ["cls.seq_relationship.weight"]

    def test_float16_is_read_as_float32(self, saved):
        model, folder = saved
        rewrite(
            folder, lambda state: state.update({n: a.astype(np.float16) for n, a in state.items()})
        )
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(
            json.dumps(config | {"torch_dtype": "float16", "dtype": "float16"})
        )
        again = pf.load(folder)
        for a, b in zip(model.parameters(), again.parameters()):
            assert b.dtype == np.float32
            np.testing.assert_array_equal(a.data.astype(np.float16), b.data)


class TestOverrides:
    @pytest.mark.filterwarnings("ignore:.*new weights")
    def test_names_of_classes_go_in_and_out(self, saved, tmp_path):
        names = {0: "O", 1: "B-PER", 2: "I-PER"}
        model = pf.BertForTokenClassification.from_pretrained(
            saved[1], id2label=names, hidden_dropout_prob=0.25
        )
        assert model.config.num_labels == 3
        assert model.bert.embeddings.dropout.p == model.dropout.p == 0.25
        model.save_pretrained(tmp_path / "again")
        written = json.loads((tmp_path / "again" / "config.json").read_text())
        assert written["id2label"] == {"0": "O", "1": "B-PER", "2": "I-PER"}
        assert written["label2id"] == {"O": 0, "B-PER": 1, "I-PER": 2}
        again = pf.load(tmp_path / "again")
        assert again.config.id2label == names
        assert again.config.hidden_dropout_prob == 0.25

    def test_an_unknown_field_is_an_error(self, saved):
        with pytest.raises(ConfigError, match="num_label: unknown configuration field; did you"):
            pf.load(saved[1], num_label=3)

    def test_dtype(self, saved):
        assert pf.load(saved[1], dtype="bfloat16").config.dtype == "bfloat16"


class TestMapping:
    def test_weights_stay_in_the_file_until_they_are_written(self, saved):
        _, folder = saved
        before = (folder / WEIGHTS).read_bytes()
        model = pf.load(folder)
        assert not any(p.data.flags.owndata or p._array.flags.writeable for p in model.parameters())
        for parameter in model.parameters():
            parameter.writable()[...] += 1
        assert (folder / WEIGHTS).read_bytes() == before

    def test_a_model_may_be_saved_where_it_came_from(self, saved):
        model, folder = saved
        pf.load(folder).save_pretrained(folder)
        for a, b in zip(model.parameters(), pf.load(folder).parameters()):
            assert a.data.tobytes() == b.data.tobytes()

    @pytest.mark.filterwarnings("ignore:.*new weights")
    def test_old_and_new_weights_have_the_wanted_dtype(self, saved):
        model = pf.load(saved[1], task="token-classification", dtype="bfloat16")
        assert {str(p.dtype) for p in model.parameters()} == {"bfloat16"}
        assert model.classifier.weight.data.any()
        assert model.config.dtype == "bfloat16"


class TestConfiguration:
    def test_one_may_be_given_in_place_of_the_directorys(self, saved):
        model, folder = saved
        config = pf.BertConfig.from_dict(model.config.to_dict(), hidden_dropout_prob=0.5)
        for given in (config, config.to_dict()):
            other = pf.BertForMaskedLM.from_pretrained(folder, config=given)
            assert other.config.hidden_dropout_prob == 0.5
            assert other.config is not config
            for name, array in other.state_dict().items():
                np.testing.assert_array_equal(array, model.state_dict()[name])

    def test_another_thing_is_an_error(self, saved):
        with pytest.raises(ConfigError, match="config: got 'bert', expected"):
            pf.BertForMaskedLM.from_pretrained(saved[1], config="bert")


@pytest.mark.parametrize("family", MODELS)
def test_the_base_model_is_what_a_head_stands_on(family):
    for task in MODELS[family].models:
        model = make(family, task)
        prefix = model.base_prefix.removesuffix(".")
        assert model.base_model is (getattr(model, prefix) if hasattr(model, prefix) else model)
        if task == "feature-extraction":
            assert model.base_model is model
