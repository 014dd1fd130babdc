"""BART: its configuration, and the heads that classify what the decoder made of the source."""

import numpy as np
import pytest

import plainformer as pf
from plainformer.errors import ConfigError, PlainformerWarning, ShapeError
from plainformer.models import BartConfig, BartForConditionalGeneration, from_config

from .test_encoder_decoders import CONFIGS

# Fields as in the config.json of published summarizers, bart-large-cnn and its students.
PUBLISHED = {
    "_num_labels": 3, "activation_dropout": 0.0, "activation_function": "gelu",
    "add_bias_logits": False, "add_final_layer_norm": False,
    "architectures": ["BartForConditionalGeneration"], "attention_dropout": 0.0,
    "bos_token_id": 0, "classif_dropout": 0.0, "classifier_dropout": 0.0, "d_model": 1024,
    "decoder_attention_heads": 16, "decoder_ffn_dim": 4096, "decoder_layerdrop": 0.0,
    "decoder_layers": 12, "decoder_start_token_id": 2, "dropout": 0.1, "early_stopping": True,
    "encoder_attention_heads": 16, "encoder_ffn_dim": 4096, "encoder_layerdrop": 0.0,
    "encoder_layers": 12, "eos_token_id": 2, "force_bos_token_to_be_generated": True,
    "forced_bos_token_id": 0, "forced_eos_token_id": 2, "gradient_checkpointing": False,
    "id2label": {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}, "init_std": 0.02,
    "is_encoder_decoder": True, "label2id": {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2},
    "length_penalty": 2.0, "max_length": 142, "max_position_embeddings": 1024, "min_length": 56,
    "model_type": "bart", "no_repeat_ngram_size": 3, "normalize_before": False,
    "num_beams": 4, "num_hidden_layers": 12, "output_past": True, "pad_token_id": 1,
    "prefix": " ", "replacing_rate": 0, "save_step": 58, "scale_embedding": False,
    "student_decoder_layers": None, "student_encoder_layers": None,
    "task_specific_params": {"summarization": {"num_beams": 4}}, "use_cache": True,
    "vocab_size": 50264,
}  # fmt: skip


class TestConfig:
    def test_a_published_file_is_read_and_written_back(self):
        config = BartConfig.from_dict(PUBLISHED)
        assert (config.encoder_layers, config.num_decoder_layers) == (12, 12)
        assert config.forced_bos_token_id == 0
        written = config.to_dict()
        known = {name for name, value in PUBLISHED.items() if written.get(name) == value}
        changed = set(PUBLISHED) - known
        assert changed == {"num_hidden_layers", "id2label"}  # an alias; keys are integers here
        assert BartConfig.from_dict(written) == config

    def test_three_classes_unless_labels_are_named(self):
        assert BartConfig().num_labels == 3
        assert BartConfig(id2label={0: "a", 1: "b"}).num_labels == 2

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"encoder_layerdrop": 0.1}, "encoder_layerdrop: got 0.1, only 0.0"),
            ({"normalize_before": True}, "normalize_before: got True, only False"),
            ({"is_encoder_decoder": False}, "is_encoder_decoder: got False, only True"),
            ({"extra_pos_embeddings": 0}, "extra_pos_embeddings: got 0, only 2"),
            ({"decoder_attention_heads": 3}, "decoder_attention_heads: got 3, expected a divisor"),
            ({"decoder_layers": 0}, "decoder_layers: got 0, expected at least 1"),
            ({"activation_dropout": 1.0}, "activation_dropout: got 1.0"),
            ({"activation_function": "tanhh"}, "activation_function: got 'tanhh'"),
            ({"pad_token_id": 60000}, "pad_token_id: got 60000, expected an id below"),
        ],
        ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
    )
    def test_what_is_not_supported_is_named(self, values, message):
        with pytest.raises(ConfigError, match=message):
            BartConfig.from_dict(values)


class TestInitialValues:
    def test_deviations_and_the_padding_row(self):
        model = BartForConditionalGeneration(
            BartConfig.from_dict(CONFIGS["bart"] | {"init_std": 0.1, "vocab_size": 500})
        )
        shared = model.model.shared.weight.data
        assert not shared[1].any()
        assert np.std(shared) == pytest.approx(0.1, rel=0.1)
        assert np.std(model.model.encoder.layers[0].fc1.weight.data) == pytest.approx(0.1, rel=0.3)
        assert not model.model.encoder.layers[0].fc1.bias.data.any()
        assert not model.final_logits_bias.data.any()


IDS = np.array([[3, 4, 2, 5, 2, 1], [6, 7, 8, 2, 1, 1]])
MASK = np.array([[1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 0, 0]])


class TestSequenceClassification:
    def test_the_state_at_the_last_end_token_is_classified(self):
        model = from_config(CONFIGS["bart"], "sequence-classification").eval()
        logits = model(IDS, MASK).logits.data
        assert logits.shape == (2, 3)
        after = np.where(MASK, IDS, 9)
        assert model(after, MASK).logits.data.tobytes() == logits.tobytes()
        cut = model(IDS[:1, :5]).logits.data
        assert cut.tobytes() == logits[:1].tobytes()
        assert model(IDS[:1, :3]).logits.data.tobytes() != logits[:1].tobytes()

    def test_a_sequence_without_an_end_token_is_named(self):
        model = from_config(CONFIGS["bart"], "sequence-classification")
        with pytest.raises(ShapeError, match="row 1 has no end token"):
            model([[3, 2], [3, 4]])

    @pytest.mark.parametrize("task", ["sequence-classification", "question-answering"])
    def test_a_language_model_gets_a_new_head(self, tmp_path, task):
        base = from_config(CONFIGS["bart"])
        base.save_pretrained(tmp_path)
        with pytest.warns(PlainformerWarning, match="new weights"):
            model = pf.load(tmp_path, task)
        assert model.model.shared.weight.data.tobytes() == base.model.shared.weight.data.tobytes()


class TestQuestionAnswering:
    def test_answers_are_found_and_trained(self):
        model = from_config(CONFIGS["bart"], "question-answering").eval()
        output = model(IDS, MASK, start_positions=[1, 0], end_positions=[2, 3])
        assert output.start_logits.shape == output.end_logits.shape == (2, 6)
        assert (output.start_logits.data[MASK == 0] < -1e30).all()
        output.loss.backward()
        assert model.qa_outputs.weight.grad.any()
        assert model.model.encoder.layers[0].fc1.weight.grad.any()
