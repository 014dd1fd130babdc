"""ModernBERT in transformers and here."""

from tests.peers import tasks
from tests.peers.harness import VOCAB, Case, PeerTests
from tests.peers.tasks import without_types

CONFIG = {
    "model_type": "modernbert", "vocab_size": VOCAB, "hidden_size": 8, "num_hidden_layers": 3,
    "num_attention_heads": 2, "intermediate_size": 12, "max_position_embeddings": 12,
    "pad_token_id": 1, "global_attn_every_n_layers": 2, "local_attention": 4,
    "eos_token_id": 2, "bos_token_id": 0, "cls_token_id": 0, "sep_token_id": 2,
}  # fmt: skip
BIASES = {"norm_bias": True, "attention_bias": True, "mlp_bias": True, "classifier_bias": True}
LABELS = {"num_labels": tasks.NUM_LABELS}
ONE = {"logits": None}
STATES = {"last_hidden_state": "attention_mask"}
SPANS = {"start_logits": "attention_mask", "end_logits": "attention_mask"}
TEXTS = without_types(tasks.pairs)


class TestModernBert(PeerTests):
    cases = (
        Case("modernbert", "ModernBertModel", CONFIG, TEXTS, STATES),
        Case("modernbert_holes", "ModernBertModel", CONFIG, tasks.holes(TEXTS), STATES),
        Case(
            "modernbert_odd_window", "ModernBertModel",
            CONFIG | {"local_attention": 3, "layer_types": ["sliding_attention"] * 3},
            TEXTS, STATES,
        ),
        Case(
            "modernbert_thetas", "ModernBertModel",
            CONFIG | {"global_rope_theta": 70.0, "local_rope_theta": 30.0}, TEXTS, STATES,
        ),
        Case(
            "modernbert_mlm", "ModernBertForMaskedLM", CONFIG, without_types(tasks.masked_tokens),
        ),
        Case(
            "modernbert_mlm_untied", "ModernBertForMaskedLM",
            CONFIG | BIASES | {"tie_word_embeddings": False, "decoder_bias": False},
            without_types(tasks.masked_tokens), no_gradient=("*.Wqkv.bias",),
        ),
        Case(
            "modernbert_classes", "ModernBertForSequenceClassification", CONFIG | LABELS,
            without_types(tasks.classes), ONE,
        ),
        Case(
            "modernbert_mean", "ModernBertForSequenceClassification",
            CONFIG | LABELS | {"classifier_pooling": "mean", "classifier_activation": "silu"},
            without_types(tasks.classes), ONE,
        ),
        Case(
            "modernbert_tags", "ModernBertForTokenClassification",
            CONFIG | LABELS | {"hidden_activation": "silu"}, without_types(tasks.tags),
        ),
        Case(
            "modernbert_answers", "ModernBertForQuestionAnswering", CONFIG, tasks.answers, SPANS,
            ("classifier.bias",),
        ),
        Case(
            "modernbert_choices", "ModernBertForMultipleChoice", CONFIG,
            without_types(tasks.choices), ONE, ("classifier.bias",),
        ),
    )  # fmt: skip
