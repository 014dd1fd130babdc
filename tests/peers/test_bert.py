"""BERT in transformers and here."""

from tests.peers import tasks
from tests.peers.harness import VOCAB, Case, PeerTests

CONFIG = {
    "model_type": "bert", "vocab_size": VOCAB, "hidden_size": 8, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 12, "max_position_embeddings": 10,
    "pad_token_id": 1,
}  # fmt: skip
LABELS = {"num_labels": tasks.NUM_LABELS}
KEYS = ("*.key.bias",)
SHIFTS = ("qa_outputs.bias", "*.layer.1.output.LayerNorm.bias")  # of all logits at once
ONE = {"logits": None}
STATES = {"last_hidden_state": "attention_mask", "pooler_output": None}
SPANS = {"start_logits": "attention_mask", "end_logits": "attention_mask"}
ACTIVATED = {"hidden_act": "gelu_new", "layer_norm_eps": 1e-5, "tie_word_embeddings": False}


class TestBert(PeerTests):
    cases = (
        Case("bert", "BertModel", CONFIG, tasks.pairs, STATES, KEYS),
        Case("bert_mlm", "BertForMaskedLM", CONFIG, tasks.masked_tokens, no_gradient=KEYS),
        Case(
            "bert_mlm_untied", "BertForMaskedLM", CONFIG | ACTIVATED, tasks.masked_tokens,
            no_gradient=KEYS, unused=("cls.predictions.bias",),
        ),
        Case(
            "bert_classes", "BertForSequenceClassification", CONFIG | LABELS, tasks.classes, ONE,
            KEYS,
        ),
        Case(
            "bert_many_classes", "BertForSequenceClassification", CONFIG | LABELS,
            tasks.many_classes, ONE, KEYS,
        ),
        Case(
            "bert_score", "BertForSequenceClassification", CONFIG | {"num_labels": 1},
            tasks.scores, ONE, KEYS,
        ),
        Case("bert_tags", "BertForTokenClassification", CONFIG | LABELS, tasks.tags,
             no_gradient=KEYS),
        Case("bert_answers", "BertForQuestionAnswering", CONFIG, tasks.answers, SPANS,
             (*KEYS, *SHIFTS)),
        Case("bert_spans", "BertForQuestionAnswering", CONFIG, tasks.spans, SPANS, KEYS),
        Case("bert_choices", "BertForMultipleChoice", CONFIG, tasks.choices, ONE,
             (*KEYS, "classifier.bias")),
    )  # fmt: skip
