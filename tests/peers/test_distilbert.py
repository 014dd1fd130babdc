"""DistilBERT in transformers and here."""

from tests.peers import tasks
from tests.peers.harness import VOCAB, Case, PeerTests
from tests.peers.tasks import without_types

CONFIG = {
    "model_type": "distilbert", "vocab_size": VOCAB, "dim": 8, "n_layers": 2, "n_heads": 2,
    "hidden_dim": 12, "max_position_embeddings": 10, "pad_token_id": 1,
}  # fmt: skip
LABELS = {"num_labels": tasks.NUM_LABELS}
KEYS = ("*.k_lin.bias",)
SHIFTS = ("qa_outputs.bias", "*.layer.1.output_layer_norm.bias")  # of all logits at once
ONE = {"logits": None}
SPANS = {"start_logits": "attention_mask", "end_logits": "attention_mask"}


class TestDistilBert(PeerTests):
    cases = (
        Case(
            "distilbert", "DistilBertModel", CONFIG, tasks.texts,
            {"last_hidden_state": "attention_mask"}, KEYS,
        ),
        Case(
            "distilbert_mlm", "DistilBertForMaskedLM", CONFIG,
            without_types(tasks.masked_tokens), no_gradient=KEYS,
        ),
        Case(
            "distilbert_mlm_untied", "DistilBertForMaskedLM",
            CONFIG | {"tie_word_embeddings": False, "activation": "relu"},
            without_types(tasks.masked_tokens), no_gradient=KEYS,
        ),
        Case(
            "distilbert_classes", "DistilBertForSequenceClassification", CONFIG | LABELS,
            without_types(tasks.classes), ONE, KEYS,
        ),
        Case(
            "distilbert_many_classes", "DistilBertForSequenceClassification", CONFIG | LABELS,
            without_types(tasks.many_classes), ONE, KEYS,
        ),
        Case(
            "distilbert_tags", "DistilBertForTokenClassification", CONFIG | LABELS,
            without_types(tasks.tags), no_gradient=KEYS,
        ),
        Case(
            "distilbert_answers", "DistilBertForQuestionAnswering", CONFIG, tasks.answers, SPANS,
            (*KEYS, *SHIFTS),
        ),
        Case(
            "distilbert_choices", "DistilBertForMultipleChoice", CONFIG, tasks.choices, ONE,
            (*KEYS, "classifier.bias"),
        ),
    )  # fmt: skip
