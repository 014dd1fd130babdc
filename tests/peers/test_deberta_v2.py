"""DeBERTa-v2 in transformers and here."""

from tests.peers import tasks
from tests.peers.harness import VOCAB, Case, PeerTests, tokens

CONFIG = {
    "model_type": "deberta-v2", "vocab_size": VOCAB, "hidden_size": 8, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 12, "max_position_embeddings": 12,
    "pad_token_id": 1, "layer_norm_eps": 1e-5, "relative_attention": True,
    "position_buckets": 4, "norm_rel_ebd": "layer_norm", "share_att_key": True,
    "pos_att_type": "p2c|c2p", "position_biased_input": False, "type_vocab_size": 0,
}  # fmt: skip
V2 = CONFIG | {
    "share_att_key": False, "position_biased_input": True, "norm_rel_ebd": "none",
    "position_buckets": -1, "max_relative_positions": 4, "type_vocab_size": 2,
}  # fmt: skip
LABELS = {"num_labels": tasks.NUM_LABELS}
SHIFTS = ("qa_outputs.bias", "*.layer.1.output.LayerNorm.bias")  # of all logits at once
ONE = {"logits": None}
STATES = {"last_hidden_state": "attention_mask"}
SPANS = {"start_logits": "attention_mask", "end_logits": "attention_mask"}
KEYS = ("*.key_proj.bias", "*.pos_key_proj.bias")


def far(rng):
    """Distances of every bucket, and beyond the last one."""
    return tokens(rng, (50, 20))


class TestDebertaV2(PeerTests):
    cases = (
        Case("deberta_v2", "DebertaV2Model", CONFIG, tasks.pairs, STATES, KEYS),
        Case("deberta_v2_holes", "DebertaV2Model", CONFIG, tasks.holes(tasks.pairs), STATES, KEYS),
        Case(
            "deberta_v2_far", "DebertaV2Model",
            CONFIG | {"max_position_embeddings": 64, "position_buckets": 16}, far, STATES, KEYS,
        ),
        Case("deberta_v2_apart", "DebertaV2Model", V2, tasks.pairs, STATES, KEYS),
        Case(
            "deberta_v2_c2p", "DebertaV2Model", V2 | {"pos_att_type": ["c2p"]}, tasks.pairs, STATES,
            KEYS,
        ),
        Case(
            "deberta_v2_plain", "DebertaV2Model", V2 | {"relative_attention": False}, tasks.pairs,
            STATES, KEYS,
        ),
        Case(
            "deberta_v2_mlm", "DebertaV2ForMaskedLM", CONFIG, tasks.masked_tokens, no_gradient=KEYS
        ),
        Case(
            "deberta_v2_mlm_untied", "DebertaV2ForMaskedLM", V2 | {"tie_word_embeddings": False},
            tasks.masked_tokens, no_gradient=KEYS, unused=("cls.predictions.bias",),
        ),
        Case(
            "deberta_v2_classes", "DebertaV2ForSequenceClassification", CONFIG | LABELS,
            tasks.classes, ONE, KEYS,
        ),
        Case(
            "deberta_v2_tags", "DebertaV2ForTokenClassification", CONFIG | LABELS, tasks.tags,
            no_gradient=KEYS,
        ),
        Case(
            "deberta_v2_answers", "DebertaV2ForQuestionAnswering", CONFIG, tasks.answers, SPANS,
            (*KEYS, *SHIFTS),
        ),
        Case(
            "deberta_v2_choices", "DebertaV2ForMultipleChoice", CONFIG, tasks.choices, ONE,
            (*KEYS, "classifier.bias"),
        ),
    )  # fmt: skip
