"""RoBERTa in transformers and here."""

from tests.peers import tasks
from tests.peers.harness import VOCAB, Case, PeerTests

CONFIG = {
    "model_type": "roberta", "vocab_size": VOCAB, "hidden_size": 8, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 12, "max_position_embeddings": 12,
    "type_vocab_size": 2, "layer_norm_eps": 1e-5,
}  # fmt: skip
LABELS = {"num_labels": tasks.NUM_LABELS}
KEYS = ("*.key.bias",)
SHIFTS = ("qa_outputs.bias", "*.layer.1.output.LayerNorm.bias")  # of all logits at once
ONE = {"logits": None}
STATES = {"last_hidden_state": "attention_mask", "pooler_output": None}
SPANS = {"start_logits": "attention_mask", "end_logits": "attention_mask"}


def with_pad_tokens(rng):
    """Padding ids where the mask says token: positions skip them, and their vectors stay."""
    batch = tasks.pairs(rng)
    del batch["attention_mask"]
    batch["input_ids"][:, 2] = 1
    return batch


class TestRoberta(PeerTests):
    cases = (
        Case("roberta", "RobertaModel", CONFIG, tasks.pairs, STATES, KEYS),
        Case("roberta_pad_tokens", "RobertaModel", CONFIG, with_pad_tokens, STATES, KEYS),
        Case("roberta_holes", "RobertaModel", CONFIG, tasks.holes(tasks.pairs), STATES, KEYS),
        Case("roberta_mlm", "RobertaForMaskedLM", CONFIG, tasks.masked_tokens, no_gradient=KEYS),
        Case(
            "roberta_mlm_untied", "RobertaForMaskedLM", CONFIG | {"tie_word_embeddings": False},
            tasks.masked_tokens, no_gradient=KEYS, unused=("lm_head.bias",),
        ),
        Case(
            "roberta_classes", "RobertaForSequenceClassification", CONFIG | LABELS, tasks.classes,
            ONE, KEYS,
        ),
        Case(
            "roberta_score", "RobertaForSequenceClassification",
            CONFIG | {"num_labels": 1, "problem_type": "regression"}, tasks.scores, ONE, KEYS,
        ),
        Case(
            "roberta_tags", "RobertaForTokenClassification", CONFIG | LABELS, tasks.tags,
            no_gradient=KEYS,
        ),
        Case("roberta_answers", "RobertaForQuestionAnswering", CONFIG, tasks.answers, SPANS,
             (*KEYS, *SHIFTS)),
        Case(
            "roberta_choices", "RobertaForMultipleChoice", CONFIG, tasks.choices, ONE,
            (*KEYS, "classifier.bias"),
        ),
    )  # fmt: skip
