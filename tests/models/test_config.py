"""Configurations: read both versions' words, refuse what would compute something else."""

import pytest

from plainformer.errors import ConfigError
from plainformer.models import (
    MODELS,
    AlbertConfig,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    GPT2Config,
    ModernBertConfig,
    MPNetConfig,
    Qwen2Config,
    RobertaConfig,
    XLMRobertaConfig,
    model_class,
)

# config.json of the published GPT-2 small, written by an old version of transformers.
PUBLISHED = {
    "activation_function": "gelu_new",
    "architectures": ["GPT2LMHeadModel"],
    "attn_pdrop": 0.1,
    "bos_token_id": 50256,
    "embd_pdrop": 0.1,
    "eos_token_id": 50256,
    "initializer_range": 0.02,
    "layer_norm_epsilon": 1e-05,
    "model_type": "gpt2",
    "n_ctx": 1024,
    "n_embd": 768,
    "n_head": 12,
    "n_layer": 12,
    "n_positions": 1024,
    "resid_pdrop": 0.1,
    "summary_activation": None,
    "summary_first_dropout": 0.1,
    "summary_proj_to_labels": True,
    "summary_type": "cls_index",
    "summary_use_proj": True,
    "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
    "vocab_size": 50257,
}


def test_the_published_file_is_the_default():
    config = GPT2Config.from_dict(PUBLISHED)
    config.extra = {}
    assert config == GPT2Config()


def test_what_is_read_is_written_back():
    written = GPT2Config.from_dict(PUBLISHED).to_dict()
    missing = {name: value for name, value in PUBLISHED.items() if written.get(name) != value}
    assert missing == {"n_ctx": 1024}  # the older name of n_positions
    assert written["dtype"] == written["torch_dtype"] == "float32"
    assert GPT2Config.from_dict(written) == GPT2Config.from_dict(PUBLISHED | {"n_ctx": 1024})


def test_common_names_stand_for_ours():
    config = GPT2Config.from_dict({"hidden_size": 8, "num_attention_heads": 2, "torch_dtype": None})
    assert (config.n_embd, config.n_head, config.dtype) == (8, 2, "float32")
    assert GPT2Config.from_dict({"torch_dtype": "bfloat16"}).dtype == "bfloat16"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n_layers": 4}, "n_layers: unknown configuration field; did you mean n_layer"),
        ({"rope_scaling_of_mine": 1}, "rope_scaling_of_mine: unknown configuration field"),
        ({"add_cross_attention": True}, "add_cross_attention: got True, only False"),
        ({"model_type": "bert"}, "model_type: got 'bert', expected 'gpt2'"),
        ({"n_ctx": 5, "n_positions": 6}, "n_positions: got 6, but n_positions is 5"),
        ({"n_embd": "768"}, "n_embd: got '768', expected int"),
        ({"n_layer": True}, "n_layer: got True, expected int"),
        ({"n_head": 0}, "n_head: got 0, expected at least 1"),
        ({"attn_pdrop": 1.0}, "attn_pdrop: got 1.0, expected from 0 to below 1"),
        ({"activation_function": "gelu_fast"}, "activation_function: got 'gelu_fast', expected"),
        ({"n_embd": 10, "n_head": 3}, "n_head: got 3, expected a divisor of n_embd = 10"),
        ({"dtype": "int8"}, "dtype: got 'int8', expected one of"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_anything_else_is_an_error_that_names_it(values, message):
    with pytest.raises(ConfigError, match=message):
        GPT2Config.from_dict(values)


def test_values_that_change_nothing_are_accepted():
    values = {"add_cross_attention": False, "pruned_heads": None, "is_decoder": False}
    assert GPT2Config.from_dict(values).extra == values


def test_overrides_win():
    assert GPT2Config.from_dict(PUBLISHED, n_layer=2).n_layer == 2


@pytest.mark.parametrize(
    ("options", "scale"),
    [
        ({}, 0.5),
        ({"scale_attn_weights": False}, 1.0),
        ({"scale_attn_by_inverse_layer_idx": True}, 0.5 / 3),
    ],
    ids=str,
)
def test_attention_scale(options, scale):
    config = GPT2Config(n_embd=8, n_head=2, **options)
    assert config.attention_scale(2) == pytest.approx(scale)


# config.json files as published, shortened to what says something about the model.
ENCODERS = {
    "bert-base-uncased": (
        BertConfig,
        {
            "architectures": ["BertForMaskedLM"], "attention_probs_dropout_prob": 0.1,
            "gradient_checkpointing": False, "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
            "hidden_size": 768, "initializer_range": 0.02, "intermediate_size": 3072,
            "layer_norm_eps": 1e-12, "max_position_embeddings": 512, "model_type": "bert",
            "num_attention_heads": 12, "num_hidden_layers": 12, "pad_token_id": 0,
            "position_embedding_type": "absolute", "transformers_version": "4.6.0.dev0",
            "type_vocab_size": 2, "use_cache": True, "vocab_size": 30522,
        },
    ),
    "bert-base-multilingual": (
        BertConfig,
        {
            "architectures": ["BertForMaskedLM"], "directionality": "bidi",
            "model_type": "bert", "pooler_fc_size": 768, "pooler_num_attention_heads": 12,
            "pooler_num_fc_layers": 3, "pooler_size_per_head": 128,
            "pooler_type": "first_token_transform", "vocab_size": 119547,
        },
    ),
    "distilbert-base-uncased": (
        DistilBertConfig,
        {
            "activation": "gelu", "architectures": ["DistilBertForMaskedLM"],
            "attention_dropout": 0.1, "dim": 768, "dropout": 0.1, "hidden_dim": 3072,
            "initializer_range": 0.02, "max_position_embeddings": 512,
            "model_type": "distilbert", "n_heads": 12, "n_layers": 6, "pad_token_id": 0,
            "qa_dropout": 0.1, "seq_classif_dropout": 0.2, "sinusoidal_pos_embds": False,
            "tie_weights_": True, "transformers_version": "4.10.0.dev0", "vocab_size": 30522,
        },
    ),
    "roberta-base": (
        RobertaConfig,
        {
            "architectures": ["RobertaForMaskedLM"], "attention_probs_dropout_prob": 0.1,
            "bos_token_id": 0, "eos_token_id": 2, "hidden_act": "gelu",
            "hidden_dropout_prob": 0.1, "hidden_size": 768, "initializer_range": 0.02,
            "intermediate_size": 3072, "layer_norm_eps": 1e-05,
            "max_position_embeddings": 514, "model_type": "roberta",
            "num_attention_heads": 12, "num_hidden_layers": 12, "pad_token_id": 1,
            "type_vocab_size": 1, "vocab_size": 50265,
        },
    ),
    "xlm-roberta-base": (
        XLMRobertaConfig,
        {
            "architectures": ["XLMRobertaForMaskedLM"], "attention_probs_dropout_prob": 0.1,
            "bos_token_id": 0, "eos_token_id": 2, "hidden_act": "gelu",
            "hidden_dropout_prob": 0.1, "hidden_size": 768, "initializer_range": 0.02,
            "intermediate_size": 3072, "layer_norm_eps": 1e-05,
            "max_position_embeddings": 514, "model_type": "xlm-roberta",
            "num_attention_heads": 12, "num_hidden_layers": 12, "output_past": True,
            "pad_token_id": 1, "position_embedding_type": "absolute", "type_vocab_size": 1,
            "use_cache": True, "vocab_size": 250002,
        },
    ),
    "electra-small-generator": (
        ElectraConfig,
        {
            "architectures": ["ElectraForMaskedLM"], "attention_probs_dropout_prob": 0.1,
            "embedding_size": 128, "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
            "hidden_size": 256, "initializer_range": 0.02, "intermediate_size": 1024,
            "layer_norm_eps": 1e-12, "max_position_embeddings": 512, "model_type": "electra",
            "num_attention_heads": 4, "num_hidden_layers": 12, "pad_token_id": 0,
            "position_embedding_type": "absolute", "summary_activation": "gelu",
            "summary_last_dropout": 0.1, "summary_type": "first", "summary_use_proj": True,
            "type_vocab_size": 2, "vocab_size": 30522,
        },
    ),
    "all-mpnet-base-v2": (
        MPNetConfig,
        {
            "architectures": ["MPNetForMaskedLM"], "attention_probs_dropout_prob": 0.1,
            "bos_token_id": 0, "eos_token_id": 2, "gradient_checkpointing": False,
            "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "hidden_size": 768,
            "initializer_range": 0.02, "intermediate_size": 3072, "layer_norm_eps": 1e-05,
            "max_position_embeddings": 514, "model_type": "mpnet", "num_attention_heads": 12,
            "num_hidden_layers": 12, "pad_token_id": 1, "relative_attention_num_buckets": 32,
            "transformers_version": "4.8.2", "vocab_size": 30527,
        },
    ),
    "albert-base-v2": (
        AlbertConfig,
        {
            "architectures": ["AlbertForMaskedLM"], "attention_probs_dropout_prob": 0,
            "bos_token_id": 2, "classifier_dropout_prob": 0.1, "down_scale_factor": 1,
            "embedding_size": 128, "eos_token_id": 3, "gap_size": 0, "hidden_act": "gelu_new",
            "hidden_dropout_prob": 0, "hidden_size": 768, "initializer_range": 0.02,
            "inner_group_num": 1, "intermediate_size": 3072, "layer_norm_eps": 1e-12,
            "max_position_embeddings": 512, "model_type": "albert", "net_structure_type": 0,
            "num_attention_heads": 12, "num_hidden_groups": 1, "num_hidden_layers": 12,
            "num_memory_blocks": 0, "pad_token_id": 0, "type_vocab_size": 2,
            "vocab_size": 30000,
        },
    ),
    "deberta-v3-base": (
        DebertaV2Config,
        {
            "attention_probs_dropout_prob": 0.1, "hidden_act": "gelu",
            "hidden_dropout_prob": 0.1, "hidden_size": 768, "initializer_range": 0.02,
            "intermediate_size": 3072, "layer_norm_eps": 1e-07, "max_position_embeddings": 512,
            "max_relative_positions": -1, "model_type": "deberta-v2",
            "norm_rel_ebd": "layer_norm", "num_attention_heads": 12, "num_hidden_layers": 12,
            "pad_token_id": 0, "pooler_dropout": 0, "pooler_hidden_act": "gelu",
            "pooler_hidden_size": 768, "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False, "position_buckets": 256,
            "relative_attention": True, "share_att_key": True, "type_vocab_size": 0,
            "vocab_size": 128100,
        },
    ),
    "ModernBERT-base": (
        ModernBertConfig,
        {
            "architectures": ["ModernBertForMaskedLM"], "attention_bias": False,
            "attention_dropout": 0.0, "bos_token_id": 50281, "classifier_activation": "gelu",
            "classifier_bias": False, "classifier_dropout": 0.0, "classifier_pooling": "mean",
            "cls_token_id": 50281, "decoder_bias": True, "deterministic_flash_attn": False,
            "embedding_dropout": 0.0, "eos_token_id": 50282, "global_attn_every_n_layers": 3,
            "global_rope_theta": 160000.0, "gradient_checkpointing": False,
            "hidden_activation": "gelu", "hidden_size": 768, "initializer_cutoff_factor": 2.0,
            "initializer_range": 0.02, "intermediate_size": 1152, "layer_norm_eps": 1e-05,
            "local_attention": 128, "local_rope_theta": 10000.0,
            "max_position_embeddings": 8192, "mlp_bias": False, "mlp_dropout": 0.0,
            "model_type": "modernbert", "norm_bias": False, "norm_eps": 1e-05,
            "num_attention_heads": 12, "num_hidden_layers": 22, "pad_token_id": 50283,
            "position_embedding_type": "absolute", "reference_compile": True,
            "sep_token_id": 50282, "sparse_pred_ignore_index": -100,
            "sparse_prediction": False, "tie_word_embeddings": True,
            "torch_dtype": "float32", "vocab_size": 50368,
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ENCODERS)
def test_published_encoders_are_read_and_written_back(name):
    config_class, published = ENCODERS[name]
    written = config_class.from_dict(published).to_dict()
    assert {k: v for k, v in published.items() if written.get(k) != v} == {}
    assert config_class.from_dict(written).to_dict() == written


# What published files say beside that, by training scripts and other tools: nothing that counts.
ASIDES = {
    "bert": {  # dslim/bert-base-NER, cross-encoder/ms-marco-MiniLM-L6-v2
        "_num_labels": 9, "output_past": True, "directionality": "bidi",
        "sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"},
    },
    "distilbert": {"finetuning_task": "sst-2", "output_past": True, "_num_labels": 2},
    "roberta": {"language": "english", "name": "Roberta", "_num_labels": 3},  # deepset's
    "gpt2": {"_num_labels": 1, "predict_special_tokens": True, "summary_activation": None},
    "llama": {  # SmolLM, Vicuna, unsloth
        "is_llama_config": True, "rope_interleaved": False, "max_sequence_length": 2048,
        "transformers.js_config": {"kv_cache_dtype": {"fp16": "float16"}}, "unsloth_fixed": True,
    },
    "qwen2": {"use_mrope": False, "is_llama_config": True},
    "bart": {"_num_labels": 3, "output_past": True, "save_step": 58},
    "marian": {"_num_labels": 3, "output_past": True, "classif_dropout": 0.0},
    "t5": {"output_past": True, "n_positions": 512, "_num_labels": 2},
}  # fmt: skip


@pytest.mark.parametrize("family", ASIDES)
def test_what_published_files_say_aside_is_kept(family):
    written = MODELS[family].config_class.from_dict(ASIDES[family]).to_dict()
    assert {name: written[name] for name in ASIDES[family]} == ASIDES[family]


@pytest.mark.parametrize(
    ("family", "field"), [("llama", "rope_interleaved"), ("qwen2", "use_mrope")]
)
def test_asides_that_would_count_are_refused(family, field):
    with pytest.raises(ConfigError, match=f"{field}: got True, only False"):
        MODELS[family].config_class.from_dict({field: True})


def test_published_encoders_have_their_published_sizes():
    for name, count in (
        ("bert-base-uncased", 109_514_298),
        ("distilbert-base-uncased", 66_985_530),
        ("roberta-base", 124_697_433),
        ("xlm-roberta-base", 278_295_186),
        ("electra-small-generator", 13_546_682),
        ("all-mpnet-base-v2", 109_518_527),
        ("albert-base-v2", 11_221_680),
        ("ModernBERT-base", 149_655_232),
    ):
        values = ENCODERS[name][1]
        model = model_class(values)(ENCODERS[name][0].from_dict(values), seed=None)
        assert model.num_parameters() == count


class TestLabels:
    def test_two_classes_without_names_are_not_written(self):
        config = BertConfig()
        assert config.num_labels == 2
        assert config.id2label == {0: "LABEL_0", 1: "LABEL_1"}
        assert not {"num_labels", "id2label", "label2id", "problem_type"} & config.to_dict().keys()

    @pytest.mark.parametrize(
        "given",
        [
            {"id2label": {"1": "no", "0": "yes"}},
            {"label2id": {"yes": 0, "no": 1}},
            {"id2label": {0: "yes", 1: "no"}, "label2id": {"no": 1, "yes": 0}, "num_labels": 2},
        ],
        ids=str,
    )
    def test_one_follows_from_the_other(self, given):
        config = BertConfig.from_dict(given)
        assert config.num_labels == 2
        assert config.id2label == {0: "yes", 1: "no"}
        assert config.label2id == {"yes": 0, "no": 1}
        assert BertConfig.from_dict(config.to_dict()).to_dict() == config.to_dict()

    def test_a_number_alone_makes_names(self):
        assert BertConfig(num_labels=3).label2id == {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}

    def test_overrides_replace_all_that_a_file_says(self):
        file = {"id2label": {0: "a", 1: "b"}, "label2id": {"a": 0, "b": 1}}
        assert BertConfig.from_dict(file, num_labels=3).id2label[2] == "LABEL_2"
        assert BertConfig.from_dict(file, id2label={0: "x"}).label2id == {"x": 0}

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (
                {"num_labels": 3, "id2label": {0: "a", 1: "b"}},
                "num_labels: got 3, but id2label has",
            ),
            ({"id2label": {0: "a", 1: "b"}, "label2id": {"a": 1, "b": 0}}, "label2id: got"),
            ({"id2label": {1: "a", 2: "b"}}, r"id2label: got classes \[1, 2\], expected 0, 1"),
            ({"num_labels": 0}, "num_labels: got 0, expected at least 1"),
            ({"problem_type": "ranking"}, "problem_type: got 'ranking', expected one of"),
            (
                {"problem_type": "single_label_classification", "num_labels": 1},
                "num_labels: got 1, expected more",
            ),
        ],
        ids=str,
    )
    def test_contradictions_are_errors(self, values, message):
        with pytest.raises(ConfigError, match=message):
            BertConfig.from_dict(values)


def test_optional_fields_have_types_too():
    with pytest.raises(ConfigError, match=r"classifier_dropout: got '0\.1', expected float"):
        BertConfig(classifier_dropout="0.1")
    with pytest.raises(ConfigError, match=r"classifier_dropout: got 1\.5, expected from 0"):
        BertConfig(classifier_dropout=1.5)


def test_inherited_fields_may_be_fixed():
    with pytest.raises(ConfigError, match="attention_bias: got True, only False"):
        Qwen2Config.from_dict({"attention_bias": True})
