"""Every field of every configuration changes what a model computes, or is refused by name.

A family joins with a line in tests/models/tiny.py; a field joins with another value for it in
VALUES.
"""

import dataclasses
import functools
import json

import numpy as np
import pytest

import plainformer as pf
from plainformer.errors import ConfigError, PlainformerError
from plainformer.models import MODELS, from_config
from plainformer.models.config import FIXED
from plainformer.nn import dropout_state

from .tiny import CONFIGS, batch_for, config_of, outputs_of

# Another value for each field: one that is possible, and far from the one in tiny.py.
VALUES = {
    "activation": "relu", "activation_dropout": 0.4, "activation_function": "relu",
    "attention_bias": True, "attention_dropout": 0.4, "attention_probs_dropout_prob": 0.4,
    "attn_logit_softcapping": 1.0, "attn_pdrop": 0.4, "bias": False, "classifier_dropout": 0.4,
    "classifier_activation": "relu", "classifier_bias": True, "classifier_dropout_prob": 0.4,
    "classifier_pooling": "mean", "d_ff": 28, "d_kv": 6,
    "d_model": 24, "decoder_attention_heads": 4, "decoder_ffn_dim": 28, "decoder_layers": 1,
    "decoder_start_token_id": 3, "decoder_vocab_size": 37, "decoder_bias": False,
    "dense_act_fn": "silu", "dim": 24,
    "dropout": 0.4, "dropout_rate": 0.4, "embd_pdrop": 0.4, "embedding_size": 10,
    "embedding_dropout": 0.4, "global_attn_every_n_layers": 1, "global_rope_theta": 3.0,
    "hidden_activation": "silu", "initializer_cutoff_factor": 1.0, "local_attention": 2,
    "local_rope_theta": 3.0, "mlp_dropout": 0.4, "norm_bias": True, "norm_eps": 0.1,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 28, "encoder_layers": 1, "feed_forward_proj": "gated-gelu",
    "final_logit_softcapping": 1.0,
    "forced_bos_token_id": 4, "forced_eos_token_id": 4, "head_dim": 6, "hidden_act": "gelu_new",
    "hidden_dim": 28, "hidden_dropout": 0.4, "hidden_dropout_prob": 0.4, "hidden_size": 24,
    "cls_dropout": 0.4, "max_relative_positions": 9, "norm_rel_ebd": "layer_norm",
    "pooler_dropout": 0.4, "pooler_hidden_act": "relu", "pooler_hidden_size": 24,
    "pos_att_type": ["c2p"], "position_biased_input": False, "position_buckets": 6,
    "relative_attention": False, "share_att_key": True,
    "init_std": 0.1, "inner_group_num": 2, "initializer_factor": 2.0, "initializer_range": 0.1,
    "intermediate_size": 28, "is_gated_act": True, "layer_norm_eps": 0.1,
    "layer_norm_epsilon": 0.1, "layer_types": ["sliding_attention", "full_attention"],
    "max_position_embeddings": 20, "max_window_layers": 1, "mlp_bias": True, "n_embd": 24,
    "n_head": 4, "n_heads": 4, "n_inner": 28, "n_layer": 1, "n_layers": 1, "n_positions": 20,
    "norm_first": True, "num_attention_heads": 4, "num_decoder_layers": 1, "num_heads": 4,
    "num_hidden_groups": 1, "summary_last_dropout": 0.4,
    "num_hidden_layers": 1, "num_key_value_heads": 3, "num_labels": 4, "num_layers": 1,
    "original_max_position_embeddings": 3,
    "output_attentions": True, "output_hidden_states": True, "pad_token_id": 5,
    "position_embedding_type": "learned", "problem_type": "multi_label_classification",
    "qa_dropout": 0.4, "query_pre_attn_scalar": 7, "relative_attention_max_distance": 7,
    "relative_attention_num_buckets": 8, "resid_pdrop": 0.4, "rms_norm_eps": 0.1,
    "rope_parameters": {"rope_type": "linear", "factor": 2.0},
    "scale_attn_by_inverse_layer_idx": True, "scale_attn_weights": False,
    "scale_decoder_outputs": False, "scale_embedding": True, "seq_classif_dropout": 0.4,
    "share_encoder_decoder_embeddings": False, "sinusoidal_pos_embds": True,
    "sliding_window": 2, "type_vocab_size": 3, "use_sliding_window": True, "vocab_size": 37,
}  # fmt: skip

# Fields that change something only beside another one.
BESIDE = {
    ("deberta-v2", "max_relative_positions"): {"position_buckets": -1},
    ("qwen2", "sliding_window"): {"use_sliding_window": True, "max_window_layers": 0},
    ("qwen2", "max_window_layers"): {"use_sliding_window": True, "sliding_window": 2},
    ("qwen2", "use_sliding_window"): {"sliding_window": 2, "max_window_layers": 0},
    ("qwen2", "layer_types"): {"use_sliding_window": True, "sliding_window": 2},
}
BESIDE |= {("qwen3", field): beside for (family, field), beside in BESIDE.items()}

# Tested below, or kept for others and written back: names of classes, tokens of generators.
BY_BATCHES = {("mpnet", "pad_token_id")}  # transformers' MPNet has its own
ELSEWHERE = {"dtype", "extra", "id2label", "label2id", "bos_token_id", "eos_token_id"}

# Fields of all families that only classifiers read.
OF_CLASSIFIERS = {"num_labels", "problem_type", "classifier_pooling"}


def fields():
    for family in CONFIGS:
        classifies = any("classification" in task for task in MODELS[family].models)
        unread = ELSEWHERE if classifies else ELSEWHERE | OF_CLASSIFIERS
        for field in dataclasses.fields(MODELS[family].config_class):
            if field.name not in unread and (family, field.name) not in BY_BATCHES:
                yield pytest.param(family, field.name, id=f"{family}-{field.name}")


def everything(family, options):
    """All that a model of each task shows: weights as drawn, outputs, gradients, messages."""
    shown = []
    for task in MODELS[family].models:
        try:
            shown.append(numbers(family, task, options))
        except PlainformerError as error:
            shown.append(str(error))
    return shown


@functools.cache
def everything_before(family, beside):
    return everything(family, dict(beside))


def numbers(family, task, options):
    model = from_config(config_of(family, **options), task, seed=3)
    drawn = [parameter.data.tobytes() for parameter in model.parameters()]
    rng = np.random.default_rng(4)
    for parameter in model.parameters():
        parameter.writable()[...] += 0.3 * rng.standard_normal(parameter.shape)
    batch = batch_for(task, rng)
    batch["input_ids"][0] = batch["input_ids"][0] % 4 + 2  # 5 among them, a padding token later
    with dropout_state(1):
        output = model(**batch)
    if output.loss is not None:
        output.loss.backward()
    gradients = [None if p.grad is None else p.grad.tobytes() for p in model.parameters()]
    outputs = [x.data.tobytes() for x in outputs_of(model.eval()(**batch), task)]
    longest = longest_input(model, task)
    states = [any(n.endswith(kind) for n in output) for kind in ("hidden_states", "attentions")]
    return drawn, gradients, outputs, longest, states, model.generation_values()


def longest_input(model, task):
    """The message about a text of 19 tokens, one too many."""
    target = {"labels": [[2]]} if task == "seq2seq-lm" else {}
    try:
        model(np.full((1, 19), 2), **target)
    except PlainformerError as error:
        return str(error)


@pytest.mark.parametrize(("family", "name"), list(fields()))
def test_another_value_changes_what_a_model_computes_or_raises(family, name):
    if name == "tie_word_embeddings":
        other = not MODELS[family].config_class().tie_word_embeddings
    else:
        assert name in VALUES, f"{name}: give tests/models/test_config_walk.py another value"
        other = VALUES[name]
    beside = BESIDE.get((family, name), {})
    before = everything_before(family, tuple(beside.items()))
    assert before != everything(family, {**beside, name: other})


@pytest.mark.parametrize("family", list(CONFIGS))
def test_the_same_values_change_nothing(family):
    assert everything(family, {}) == everything_before(family, ())


@pytest.mark.parametrize("family", list(CONFIGS))
def test_dtype_is_that_of_loaded_weights(family, tmp_path):
    from_config(config_of(family)).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for dtype in ("float32", "bfloat16"):
        changed = config | {"dtype": dtype, "torch_dtype": dtype}
        (tmp_path / "config.json").write_text(json.dumps(changed))
        assert {str(p.dtype) for p in pf.load(tmp_path).parameters()} == {dtype}


@pytest.mark.parametrize("family", list(CONFIGS))
def test_other_values_of_fixed_fields_are_refused_by_name(family):
    config_class = MODELS[family].config_class
    for name, only in (FIXED | config_class.fixed).items():
        other = not only if isinstance(only, bool) else "something else"
        with pytest.raises(ConfigError, match=f"{name}: got {other!r}, only"):
            config_class.from_dict(config_of(family) | {name: other})


@pytest.mark.parametrize("family", list(CONFIGS))
def test_unknown_fields_are_refused_by_name(family):
    with pytest.raises(ConfigError, match="layer_scale_of_mine: unknown configuration field"):
        MODELS[family].config_class.from_dict(config_of(family) | {"layer_scale_of_mine": 1})
