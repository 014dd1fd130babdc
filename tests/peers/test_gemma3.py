"""Gemma 3, for text, in transformers and here."""

from tests.peers import tasks
from tests.peers.harness import Case, PeerTests, tokens
from tests.peers.test_gpt2 import language
from tests.peers.test_llama import CONFIG, LABELS, ONE, STATES

GEMMA3 = CONFIG | {
    "model_type": "gemma3_text", "head_dim": 6, "sliding_window": 3, "query_pre_attn_scalar": 5,
    "layer_types": ["sliding_attention", "full_attention"],
    "rope_parameters": {
        "sliding_attention": {"rope_type": "default", "rope_theta": 10.0},
        "full_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 500.0},
    },
}  # fmt: skip


class TestGemma3(PeerTests):
    cases = (
        Case("gemma3", "Gemma3ForCausalLM", GEMMA3, language),
        Case(
            "gemma3_untied", "Gemma3ForCausalLM",
            GEMMA3 | {
                "tie_word_embeddings": False, "attention_bias": True,
                "final_logit_softcapping": 3.0, "layer_types": None, "rope_parameters": None,
            },
            language, no_gradient=("*.k_proj.bias",),
        ),
        Case("gemma3_holes", "Gemma3TextModel", GEMMA3, tasks.holes(tokens), STATES),
        Case("gemma3_classes", "Gemma3TextForSequenceClassification", GEMMA3 | LABELS,
             tasks.classes_by_last, ONE),
    )  # fmt: skip
