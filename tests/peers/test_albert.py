"""ALBERT in transformers and here."""

from tests.peers import tasks
from tests.peers.harness import VOCAB, Case, PeerTests

CONFIG = {
    "model_type": "albert", "vocab_size": VOCAB, "hidden_size": 8, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 12, "max_position_embeddings": 12,
    "embedding_size": 6, "type_vocab_size": 2, "layer_norm_eps": 1e-5,
}  # fmt: skip
LABELS = {"num_labels": tasks.NUM_LABELS}
KEYS = ("*.key.bias",)
SHIFTS = ("qa_outputs.bias", "*full_layer_layer_norm.bias")  # of all logits at once
ONE = {"logits": None}
STATES = {"last_hidden_state": "attention_mask", "pooler_output": None}
SPANS = {"start_logits": "attention_mask", "end_logits": "attention_mask"}


class TestAlbert(PeerTests):
    cases = (
        Case("albert", "AlbertModel", CONFIG, tasks.pairs, STATES, KEYS),
        Case("albert_mlm", "AlbertForMaskedLM", CONFIG, tasks.masked_tokens, no_gradient=KEYS),
        Case(
            "albert_mlm_untied", "AlbertForMaskedLM", CONFIG | {"tie_word_embeddings": False},
            tasks.masked_tokens, no_gradient=KEYS, unused=("predictions.bias",),
        ),
        Case(
            "albert_classes", "AlbertForSequenceClassification", CONFIG | LABELS, tasks.classes,
            ONE, KEYS,
        ),
        Case(
            "albert_tags", "AlbertForTokenClassification", CONFIG | LABELS, tasks.tags,
            no_gradient=KEYS,
        ),
        Case("albert_answers", "AlbertForQuestionAnswering", CONFIG, tasks.answers, SPANS,
             (*KEYS, *SHIFTS)),
        Case(
            "albert_choices", "AlbertForMultipleChoice", CONFIG, tasks.choices, ONE,
            (*KEYS, "classifier.bias"),
        ),
        Case(
            "albert_groups", "AlbertModel",
            CONFIG | {"num_hidden_layers": 5, "num_hidden_groups": 2, "inner_group_num": 2},
            tasks.pairs, STATES, KEYS,
        ),
    )  # fmt: skip
