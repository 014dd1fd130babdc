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
    "activation": "relu", "activation_function": "relu", "attention_bias": True,
    "attention_dropout": 0.4, "attention_probs_dropout_prob": 0.4, "attn_pdrop": 0.4,
    "bias": False, "classifier_dropout": 0.4, "dim": 24, "dropout": 0.4,
    "embd_pdrop": 0.4, "head_dim": 6, "hidden_act": "gelu_new", "hidden_dim": 28,
    "hidden_dropout": 0.4, "hidden_dropout_prob": 0.4, "hidden_size": 24, "initializer_range": 0.1,
    "intermediate_size": 28, "layer_norm_epsilon": 0.1, "layer_norm_eps": 0.1,
    "layer_types": ["sliding_attention", "full_attention"], "max_position_embeddings": 20,
    "max_window_layers": 1, "mlp_bias": True, "n_embd": 24, "n_head": 4, "n_heads": 4,
    "n_inner": 28, "n_layer": 1, "n_layers": 1, "n_positions": 20, "num_attention_heads": 4,
    "num_hidden_layers": 1, "num_key_value_heads": 3, "num_labels": 3,
    "output_attentions": True, "output_hidden_states": True, "pad_token_id": 5,
    "problem_type": "multi_label_classification", "qa_dropout": 0.4, "resid_pdrop": 0.4,
    "rms_norm_eps": 0.1, "rope_parameters": {"rope_type": "linear", "factor": 2.0},
    "scale_attn_by_inverse_layer_idx": True, "scale_attn_weights": False,
    "seq_classif_dropout": 0.4, "sinusoidal_pos_embds": True, "sliding_window": 2,
    "type_vocab_size": 3, "use_sliding_window": True, "vocab_size": 37,
}  # fmt: skip

# Fields that change something only beside another one.
BESIDE = {
    ("qwen2", "sliding_window"): {"use_sliding_window": True, "max_window_layers": 0},
    ("qwen2", "max_window_layers"): {"use_sliding_window": True, "sliding_window": 2},
    ("qwen2", "use_sliding_window"): {"sliding_window": 2, "max_window_layers": 0},
    ("qwen2", "layer_types"): {"use_sliding_window": True, "sliding_window": 2},
}

# Tested below, or kept for others and written back: names of classes, tokens of generators.
ELSEWHERE = {"dtype", "extra", "id2label", "label2id", "bos_token_id", "eos_token_id"}


def fields():
    for family in CONFIGS:
        for field in dataclasses.fields(MODELS[family].config_class):
            if field.name not in ELSEWHERE:
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
    longest = longest_input(model)
    states = [x is None for x in (output.hidden_states, output.attentions)]
    return drawn, gradients, outputs, longest, states, model.generation_config()


def longest_input(model):
    """The message about a text of 19 tokens, one too many."""
    try:
        model(np.full((1, 19), 2))
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
