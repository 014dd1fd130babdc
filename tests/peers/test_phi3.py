"""Phi-3 in transformers and here."""

from tests.peers import tasks
from tests.peers.harness import Case, PeerTests, tokens
from tests.peers.test_gpt2 import language
from tests.peers.test_llama import CONFIG, LABELS, ONE, STATES

PHI3 = CONFIG | {
    "model_type": "phi3", "hidden_size": 16, "sliding_window": 3,
    "original_max_position_embeddings": 16,
}  # fmt: skip


def longrope(original, **more):
    """Sequences of more tokens than `original` are long."""
    return {
        "original_max_position_embeddings": original,
        "rope_parameters": {
            "rope_type": "longrope", "rope_theta": 500.0, "short_factor": [1.0, 1.5],
            "long_factor": [2.0, 5.0], **more,
        },
    }  # fmt: skip


class TestPhi3(PeerTests):
    cases = (
        Case("phi3", "Phi3ForCausalLM", PHI3, language),
        Case("phi3_short", "Phi3ForCausalLM", PHI3 | longrope(12), language),
        Case("phi3_long", "Phi3ForCausalLM", PHI3 | {"sliding_window": None} | longrope(2),
             language),
        Case("phi3_part", "Phi3ForCausalLM",
             PHI3 | {"hidden_size": 32, "tie_word_embeddings": True}
             | longrope(2, partial_rotary_factor=0.5), language),
        Case("phi3_holes", "Phi3Model", PHI3, tasks.holes(tokens), STATES),
        Case("phi3_classes", "Phi3ForSequenceClassification", PHI3 | LABELS,
             tasks.classes_by_last, ONE),
        Case("phi3_tags", "Phi3ForTokenClassification", PHI3 | LABELS, tasks.tags_of_texts),
    )  # fmt: skip
