"""Tiny models of every family and task, for tests that hold for all of them."""

from __future__ import annotations

import numpy as np

from plainformer.models import MODELS, from_config

VOCAB = 31
ENCODERS = tuple(family for family in MODELS if "masked-lm" in MODELS[family].models)
# Families whose usual models read the first state through a pooling layer.
POOLING = ("albert", "bert", "mpnet", "roberta", "xlm-roberta")

BERT = {
    "vocab_size": VOCAB, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3,
    "intermediate_size": 20, "max_position_embeddings": 18, "pad_token_id": 1,
}  # fmt: skip
CONFIGS = {
    "bert": BERT,
    "roberta": BERT,
    "xlm-roberta": BERT,
    "mpnet": BERT,
    "electra": BERT | {"embedding_size": 8},
    "albert": BERT | {
        "embedding_size": 8, "num_hidden_groups": 2, "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
    },
    "distilbert": {
        "vocab_size": VOCAB, "dim": 12, "n_layers": 2, "n_heads": 3, "hidden_dim": 20,
        "max_position_embeddings": 18, "pad_token_id": 1,
    },
    "deberta-v2": BERT | {
        "relative_attention": True, "position_buckets": 4, "pos_att_type": ["c2p", "p2c"],
        "type_vocab_size": 2, "pooler_dropout": 0.1,
    },
    "modernbert": {
        "vocab_size": VOCAB, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3,
        "intermediate_size": 20, "max_position_embeddings": 18, "pad_token_id": 1,
        "global_attn_every_n_layers": 2, "local_attention": 4, "embedding_dropout": 0.1,
        "attention_dropout": 0.1, "mlp_dropout": 0.1, "classifier_dropout": 0.1,
    },
    "gpt2": {"vocab_size": VOCAB, "n_positions": 18, "n_embd": 12, "n_layer": 2, "n_head": 3},
    "llama": {
        "vocab_size": VOCAB, "hidden_size": 12, "intermediate_size": 20, "num_hidden_layers": 2,
        "num_attention_heads": 3, "num_key_value_heads": 1, "max_position_embeddings": 18,
    },
}  # fmt: skip
CONFIGS["qwen2"] = CONFIGS["llama"]
CONFIGS["qwen3"] = CONFIGS["llama"] | {"head_dim": 4}
CONFIGS["mistral"] = CONFIGS["llama"] | {"sliding_window": 4}
CONFIGS["phi3"] = CONFIGS["llama"] | {
    "pad_token_id": 1, "sliding_window": 4, "original_max_position_embeddings": 5,
    "rope_parameters": {
        "rope_type": "longrope", "short_factor": [1.0, 1.5], "long_factor": [2.0, 5.0],
    },
}  # fmt: skip
CONFIGS["gemma2"] = CONFIGS["llama"] | {
    "head_dim": 4, "sliding_window": 4, "query_pre_attn_scalar": 3,
    "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0, "hidden_act": "gelu",
    "layer_types": ["full_attention", "sliding_attention"],
}  # fmt: skip
CONFIGS["gemma3_text"] = CONFIGS["llama"] | {
    "head_dim": 4, "sliding_window": 4, "layer_types": ["full_attention", "sliding_attention"],
    "hidden_act": "gelu",
}  # fmt: skip
CONFIGS["marian"] = {
    "vocab_size": VOCAB, "max_position_embeddings": 18, "d_model": 12, "encoder_layers": 2,
    "encoder_attention_heads": 3, "encoder_ffn_dim": 20, "decoder_layers": 2,
    "decoder_attention_heads": 3, "decoder_ffn_dim": 16, "pad_token_id": 1,
    "decoder_start_token_id": 2,
}  # fmt: skip
CONFIGS["transformer"] = CONFIGS["marian"] | {
    "activation_function": "gelu", "scale_embedding": False,
}  # fmt: skip
# Any token may end a text: a classifier needs one in each.
CONFIGS["bart"] = CONFIGS["marian"] | {"eos_token_id": list(range(VOCAB))}
CONFIGS["t5"] = {
    "vocab_size": VOCAB, "d_model": 12, "d_kv": 5, "d_ff": 20, "num_layers": 2, "num_heads": 3,
    "relative_attention_num_buckets": 6, "relative_attention_max_distance": 5,
}  # fmt: skip

DECODERS = tuple(family for family in CONFIGS if "causal-lm" in MODELS[family].models)

SEQUENCE_TASKS = ("sequence-classification", "multiple-choice")


def config_of(family, **options):
    """The contents of a tiny config.json."""
    return CONFIGS[family] | {"model_type": family} | options


def make(family, task, seed=1, **options):
    """A new model; with larger weights than usual, so that nothing is negligible."""
    model = from_config(config_of(family, **options), task, seed=seed)
    rng = np.random.default_rng(seed)
    for parameter in model.parameters():
        parameter.writable()[...] += 0.1 * rng.standard_normal(parameter.shape)
    return model


def tasks_of(family):
    return list(MODELS[family].models)


def batch_for(task, rng, num_labels=2, lengths=(7, 4, 6)):
    """Arguments of a call with labels, padded on the right."""
    shape = (len(lengths), max(lengths))
    mask = (np.arange(shape[1]) < np.array(lengths)[:, None]).astype(np.int64)
    batch = {"input_ids": rng.integers(2, VOCAB, shape), "attention_mask": mask}
    if task == "sequence-classification":
        return batch | {"labels": rng.integers(0, num_labels, shape[0])}
    if task == "multiple-choice":
        ids = np.stack([batch["input_ids"], rng.integers(2, VOCAB, shape)], axis=1)
        batch = {"input_ids": ids, "attention_mask": np.stack([mask, mask[::-1]], axis=1)}
        return batch | {"labels": rng.integers(0, 2, shape[0])}
    if task == "question-answering":
        ends = np.array(lengths) - 1
        return batch | {"start_positions": ends // 2, "end_positions": ends}
    if task == "feature-extraction":
        return batch
    tops = {"token-classification": num_labels, "replaced-token-detection": 2}
    top = tops.get(task, VOCAB)
    return batch | {"labels": np.where(mask, rng.integers(0, top, shape), -100)}


OUTPUTS = {
    "feature-extraction": ("last_hidden_state",),
    "question-answering": ("start_logits", "end_logits"),
}


def outputs_of(output, task):
    """The Tensors that a call computed, besides the loss."""
    return [getattr(output, name) for name in OUTPUTS.get(task, ("logits",))]
