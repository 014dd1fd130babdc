"""The model that the encoder's scripts time where they are given none."""

from __future__ import annotations

import itertools

from plainformer.data.special_tokens import BERT_TOKENS
from plainformer.data.tokenizer import save_tokenizer
from plainformer.data.vocab_files import enclose, wordpiece
from plainformer.models import from_config

MINILM = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "max_position_embeddings": 512,
}


def made_up_words(count: int) -> list[str]:
    """Words of three syllables."""
    syllables = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
    return [
        "".join(three) for three in itertools.islice(itertools.product(*[syllables] * 3), count)
    ]


def words_of(config: dict[str, object]) -> list[str]:
    """As many words as the vocabulary of `config` has beside its special tokens."""
    return made_up_words(int(str(config["vocab_size"])) - len(BERT_TOKENS))


def write_model(folder: str, config: dict[str, object] = MINILM) -> None:
    """A classifier of random weights, MiniLM's shape, that knows `words_of(config)`."""
    words = words_of(config)
    tokenizer = wordpiece({token: i for i, token in enumerate([*BERT_TOKENS, *words])})
    tokenizer.add_special_tokens(BERT_TOKENS)
    enclose(tokenizer, "[CLS]", "[SEP]")
    save_tokenizer(tokenizer, folder, model_max_length=512)
    values = {**config, "id2label": {0: "negative", 1: "positive"}, "pad_token_id": 0}
    from_config(values, task="sequence-classification").save_pretrained(folder)
