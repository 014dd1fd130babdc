"""ELECTRA in transformers and here."""

from tests.peers import tasks
from tests.peers.harness import VOCAB, Case, PeerTests

CONFIG = {
    "model_type": "electra", "vocab_size": VOCAB, "hidden_size": 8, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 12, "max_position_embeddings": 12,
    "embedding_size": 6, "type_vocab_size": 2, "layer_norm_eps": 1e-5,
}  # fmt: skip
LABELS = {"num_labels": tasks.NUM_LABELS}
KEYS = ("*.key.bias",)
SHIFTS = ("qa_outputs.bias", "*.layer.1.output.LayerNorm.bias")  # of all logits at once
ONE = {"logits": None}
STATES = {"last_hidden_state": "attention_mask"}
SPANS = {"start_logits": "attention_mask", "end_logits": "attention_mask"}


def replaced(rng):
    batch = tasks.pairs(rng)
    return batch | {"labels": rng.integers(0, 2, batch["input_ids"].shape)}


class TestElectra(PeerTests):
    cases = (
        Case("electra", "ElectraModel", CONFIG, tasks.pairs, STATES, KEYS),
        Case("electra_mlm", "ElectraForMaskedLM", CONFIG, tasks.masked_tokens, no_gradient=KEYS),
        Case(
            "electra_mlm_untied", "ElectraForMaskedLM", CONFIG | {"tie_word_embeddings": False},
            tasks.masked_tokens, no_gradient=KEYS,
        ),
        Case(
            "electra_classes", "ElectraForSequenceClassification", CONFIG | LABELS, tasks.classes,
            ONE, KEYS,
        ),
        Case(
            "electra_tags", "ElectraForTokenClassification", CONFIG | LABELS, tasks.tags,
            no_gradient=KEYS,
        ),
        Case("electra_answers", "ElectraForQuestionAnswering", CONFIG, tasks.answers, SPANS,
             (*KEYS, *SHIFTS)),
        Case(
            "electra_choices", "ElectraForMultipleChoice", CONFIG, tasks.choices, ONE,
            (*KEYS, "classifier.bias"),
        ),
        Case(
            "electra_wide", "ElectraModel",
            CONFIG | {"embedding_size": 8}, tasks.pairs, STATES, KEYS,
        ),
        Case(
            "electra_replaced", "ElectraForPreTraining", CONFIG, replaced,
            {"logits": "attention_mask"}, KEYS,
        ),
    )  # fmt: skip
