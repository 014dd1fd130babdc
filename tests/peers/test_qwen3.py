"""Qwen3 in transformers and here."""

from tests.peers import tasks
from tests.peers.harness import Case, PeerTests, tokens
from tests.peers.test_gpt2 import language
from tests.peers.test_llama import CONFIG, LABELS, ONE, STATES, WINDOW

QWEN3 = CONFIG | {"model_type": "qwen3", "head_dim": 6}


class TestQwen3(PeerTests):
    cases = (
        Case("qwen3", "Qwen3ForCausalLM", QWEN3, language),
        Case("qwen3_tied", "Qwen3ForCausalLM",
             QWEN3 | {"tie_word_embeddings": True, "attention_bias": True}, language,
             no_gradient=("*.k_proj.bias",)),
        Case("qwen3_window", "Qwen3ForCausalLM", QWEN3 | WINDOW, language),
        Case("qwen3_window_holes", "Qwen3Model", QWEN3 | WINDOW, tasks.holes(tokens), STATES),
        Case("qwen3_classes", "Qwen3ForSequenceClassification", QWEN3 | LABELS,
             tasks.classes_by_last, ONE),
        Case("qwen3_tags", "Qwen3ForTokenClassification", QWEN3 | LABELS, tasks.tags_of_texts),
    )  # fmt: skip
