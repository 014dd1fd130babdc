"""Mistral in transformers and here."""

from tests.peers import tasks
from tests.peers.harness import Case, PeerTests, tokens
from tests.peers.test_gpt2 import language
from tests.peers.test_llama import CONFIG, LABELS, ONE, STATES

MISTRAL = CONFIG | {"model_type": "mistral", "sliding_window": 3}


class TestMistral(PeerTests):
    cases = (
        Case("mistral", "MistralForCausalLM", MISTRAL, language),
        Case(
            "mistral_full", "MistralForCausalLM",
            MISTRAL | {"sliding_window": None, "head_dim": 6, "tie_word_embeddings": True},
            language,
        ),
        Case("mistral_holes", "MistralModel", MISTRAL, tasks.holes(tokens), STATES),
        Case("mistral_classes", "MistralForSequenceClassification", MISTRAL | LABELS,
             tasks.classes_by_last, ONE),
        Case("mistral_tags", "MistralForTokenClassification", MISTRAL | LABELS,
             tasks.tags_of_texts),
    )  # fmt: skip
