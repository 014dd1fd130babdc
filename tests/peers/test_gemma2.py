"""Gemma 2 in transformers and here."""

from tests.peers import tasks
from tests.peers.harness import Case, PeerTests, tokens
from tests.peers.test_gpt2 import language
from tests.peers.test_llama import CONFIG, LABELS, ONE, STATES

GEMMA2 = CONFIG | {
    "model_type": "gemma2", "head_dim": 6, "sliding_window": 3, "query_pre_attn_scalar": 5,
    "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0,
}  # fmt: skip


class TestGemma2(PeerTests):
    cases = (
        Case("gemma2", "Gemma2ForCausalLM", GEMMA2, language),
        Case(
            "gemma2_untied", "Gemma2ForCausalLM",
            GEMMA2 | {
                "tie_word_embeddings": False, "attention_bias": True,
                "attn_logit_softcapping": None, "final_logit_softcapping": None,
                "layer_types": ["full_attention", "sliding_attention"],
            },
            language, no_gradient=("*.k_proj.bias",),
        ),
        Case("gemma2_holes", "Gemma2Model", GEMMA2, tasks.holes(tokens), STATES),
        Case("gemma2_classes", "Gemma2ForSequenceClassification", GEMMA2 | LABELS,
             tasks.classes_by_last, ONE),
        Case("gemma2_tags", "Gemma2ForTokenClassification", GEMMA2 | LABELS,
             tasks.tags_of_texts),
    )  # fmt: skip
