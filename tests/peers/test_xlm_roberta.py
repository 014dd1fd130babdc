"""XLM-RoBERTa in transformers and here."""

from tests.peers import tasks
from tests.peers.harness import VOCAB, Case, PeerTests

CONFIG = {
    "model_type": "xlm-roberta", "vocab_size": VOCAB, "hidden_size": 8, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 12, "max_position_embeddings": 12,
    "type_vocab_size": 2, "layer_norm_eps": 1e-5,
}  # fmt: skip
LABELS = {"num_labels": tasks.NUM_LABELS}
KEYS = ("*.key.bias",)
SHIFTS = ("qa_outputs.bias", "*.layer.1.output.LayerNorm.bias")  # of all logits at once
ONE = {"logits": None}
STATES = {"last_hidden_state": "attention_mask", "pooler_output": None}
SPANS = {"start_logits": "attention_mask", "end_logits": "attention_mask"}


class TestXLMRoberta(PeerTests):
    cases = (
        Case("xlm_roberta", "XLMRobertaModel", CONFIG, tasks.pairs, STATES, KEYS),
        Case(
            "xlm_roberta_mlm", "XLMRobertaForMaskedLM", CONFIG,
            tasks.masked_tokens, no_gradient=KEYS,
        ),
        Case(
            "xlm_roberta_mlm_untied", "XLMRobertaForMaskedLM",
            CONFIG | {"tie_word_embeddings": False},
            tasks.masked_tokens, no_gradient=KEYS, unused=("lm_head.bias",),
        ),
        Case(
            "xlm_roberta_classes", "XLMRobertaForSequenceClassification",
            CONFIG | LABELS, tasks.classes,
            ONE, KEYS,
        ),
        Case(
            "xlm_roberta_tags", "XLMRobertaForTokenClassification", CONFIG | LABELS, tasks.tags,
            no_gradient=KEYS,
        ),
        Case("xlm_roberta_answers", "XLMRobertaForQuestionAnswering", CONFIG, tasks.answers, SPANS,
             (*KEYS, *SHIFTS)),
        Case(
            "xlm_roberta_choices", "XLMRobertaForMultipleChoice", CONFIG, tasks.choices, ONE,
            (*KEYS, "classifier.bias"),
        ),
    )  # fmt: skip
