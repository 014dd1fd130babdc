"""GPT-2 in transformers and here."""

import numpy as np

from tests.peers import tasks
from tests.peers.harness import VOCAB, Case, PeerTests, tokens

CONFIG = {
    "model_type": "gpt2", "vocab_size": VOCAB, "n_positions": 12, "n_embd": 8, "n_layer": 2,
    "n_head": 2, "bos_token_id": 0, "eos_token_id": 2,
}  # fmt: skip


LABELS = CONFIG | {"num_labels": tasks.NUM_LABELS, "pad_token_id": 1}
ONE = {"logits": None}


def language(rng):
    batch = tokens(rng)
    return batch | {"labels": np.where(batch["attention_mask"], batch["input_ids"], -100)}


class TestGPT2(PeerTests):
    cases = (
        Case("gpt2", "GPT2LMHeadModel", CONFIG, language),
        Case("gpt2_bare", "GPT2Model", CONFIG, tokens, {"last_hidden_state": "attention_mask"}),
        Case(
            "gpt2_untied", "GPT2LMHeadModel",
            CONFIG | {
                "tie_word_embeddings": False, "activation_function": "relu", "n_inner": 12,
                "scale_attn_by_inverse_layer_idx": True,
            },
            language,
        ),
        Case("gpt2_classes", "GPT2ForSequenceClassification", LABELS, tasks.classes_by_last, ONE),
        Case("gpt2_score", "GPT2ForSequenceClassification", LABELS | {"num_labels": 1},
             tasks.scores_by_last, ONE),
        Case("gpt2_tags", "GPT2ForTokenClassification", LABELS, tasks.tags_of_texts),
    )  # fmt: skip
