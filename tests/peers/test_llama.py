"""Llama and Qwen2 in transformers and here."""

from tests.peers import tasks
from tests.peers.harness import VOCAB, Case, PeerTests, tokens
from tests.peers.test_gpt2 import language

CONFIG = {
    "model_type": "llama", "vocab_size": VOCAB, "hidden_size": 8, "intermediate_size": 12,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 16, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1,
}  # fmt: skip
QWEN2 = CONFIG | {"model_type": "qwen2"}
WINDOW = {"use_sliding_window": True, "sliding_window": 3, "max_window_layers": 1}
LABELS = {"num_labels": tasks.NUM_LABELS}
ONE = {"logits": None}
STATES = {"last_hidden_state": "attention_mask"}
KEYS = ("*.k_proj.bias",)
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 8,
}  # fmt: skip
YARN = {
    "rope_type": "yarn", "rope_theta": 500.0, "factor": 4.0, "original_max_position_embeddings": 8,
}  # fmt: skip


class TestLlama(PeerTests):
    cases = (
        Case("llama", "LlamaForCausalLM", CONFIG, language),
        Case("llama_bare", "LlamaModel", CONFIG, tokens, STATES),
        Case(
            "llama_tied", "LlamaForCausalLM",
            CONFIG | {
                "tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True,
                "head_dim": 6, "rope_parameters": LLAMA3, "hidden_act": "gelu",
            },
            language,
        ),
        Case("llama_yarn", "LlamaForCausalLM", CONFIG | {"rope_parameters": YARN}, language),
        Case(
            "llama_linear", "LlamaForCausalLM",
            CONFIG | {
                "rope_parameters": {"rope_type": "linear", "rope_theta": 500.0, "factor": 2.0}
            },
            language,
        ),
        Case("llama_classes", "LlamaForSequenceClassification", CONFIG | LABELS,
             tasks.classes_by_last, ONE),
        Case("llama_many_classes", "LlamaForSequenceClassification",
             CONFIG | LABELS | {"problem_type": "multi_label_classification"},
             tasks.many_by_last, ONE),
        Case("llama_tags", "LlamaForTokenClassification", CONFIG | LABELS, tasks.tags_of_texts),
    )  # fmt: skip


class TestQwen2(PeerTests):
    cases = (
        Case("qwen2", "Qwen2ForCausalLM", QWEN2, language),
        Case("qwen2_bare", "Qwen2Model", QWEN2, tokens, STATES),
        Case("qwen2_window", "Qwen2ForCausalLM", QWEN2 | WINDOW, language),
        Case("qwen2_window_holes", "Qwen2Model", QWEN2 | WINDOW, tasks.holes(tokens), STATES),
        Case("qwen2_classes", "Qwen2ForSequenceClassification", QWEN2 | LABELS,
             tasks.classes_by_last, ONE),
        Case("qwen2_score", "Qwen2ForSequenceClassification", QWEN2 | {"num_labels": 1},
             tasks.scores_by_last, ONE),
    )  # fmt: skip
