"""MPNet in transformers and here."""

from tests.peers import tasks
from tests.peers.harness import VOCAB, Case, PeerTests, tokens
from tests.peers.tasks import without_types

CONFIG = {
    "model_type": "mpnet", "vocab_size": VOCAB, "hidden_size": 8, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 12, "max_position_embeddings": 12,
    "layer_norm_eps": 1e-5,
}  # fmt: skip
LABELS = {"num_labels": tasks.NUM_LABELS}
KEYS = ("*.k.bias",)
SHIFTS = ("qa_outputs.bias", "*.layer.1.output.LayerNorm.bias")  # of all logits at once
ONE = {"logits": None}
STATES = {"last_hidden_state": "attention_mask", "pooler_output": None}
SPANS = {"start_logits": "attention_mask", "end_logits": "attention_mask"}


def far(rng):
    """Distances of every bucket, beyond the last one too."""
    return tokens(rng, (150, 40))


class TestMPNet(PeerTests):
    cases = (
        Case("mpnet", "MPNetModel", CONFIG, without_types(tasks.pairs), STATES, KEYS),
        Case(
            "mpnet_holes", "MPNetModel", CONFIG,
            tasks.holes(without_types(tasks.pairs)), STATES, KEYS,
        ),
        Case(
            "mpnet_mlm", "MPNetForMaskedLM", CONFIG,
            without_types(tasks.masked_tokens), no_gradient=KEYS,
        ),
        Case(
            "mpnet_mlm_untied", "MPNetForMaskedLM", CONFIG | {"tie_word_embeddings": False},
            without_types(tasks.masked_tokens), no_gradient=KEYS, unused=("lm_head.bias",),
        ),
        Case(
            "mpnet_classes", "MPNetForSequenceClassification",
            CONFIG | LABELS, without_types(tasks.classes),
            ONE, KEYS,
        ),
        Case(
            "mpnet_tags", "MPNetForTokenClassification", CONFIG | LABELS, without_types(tasks.tags),
            no_gradient=KEYS,
        ),
        Case("mpnet_answers", "MPNetForQuestionAnswering", CONFIG, tasks.answers, SPANS,
             (*KEYS, *SHIFTS)),
        Case(
            "mpnet_choices", "MPNetForMultipleChoice", CONFIG, without_types(tasks.choices), ONE,
            (*KEYS, "classifier.bias"),
        ),
        Case(
            "mpnet_far", "MPNetModel", CONFIG | {"max_position_embeddings": 160}, far, STATES, KEYS
        ),
    )  # fmt: skip
