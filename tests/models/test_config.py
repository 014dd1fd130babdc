"""Configurations: read both versions' words, refuse what would compute something else."""

import pytest

from plainformer.errors import ConfigError
from plainformer.models import GPT2Config

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
        ({"attn_pdrop": 1.0}, "attn_pdrop: got 1.0, expected at least 0 and below 1"),
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
