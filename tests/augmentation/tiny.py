"""A tiny masked language model with its tokenizer, for tests of augmentation."""

from pathlib import Path

from plainformer.data import make_tokenizer, parse_spec, save_tokenizer
from plainformer.data.text import Document
from plainformer.data.tokenizer import vocab_size
from plainformer.models import from_config
from tests.tasks.tiny import BAD, ENCODER, GOOD, WORDPIECE


def tokenizer_of(texts, spec=WORDPIECE, objective="mlm"):
    """One trained on texts, with the special tokens of masked language models."""
    return make_tokenizer(parse_spec(spec), [Document(text, "") for text in texts], objective)


def masked_lm(tokenizer, seed=1, **changes):
    """A model for a tokenizer, with random weights."""
    config = {**ENCODER, "vocab_size": vocab_size(tokenizer), "pad_token_id": 0, **changes}
    return from_config(config, "masked-lm", seed=seed).eval()


def save_masked_lm(directory: Path, texts=(*GOOD, *BAD, "pos neg")) -> Path:
    """The directory, with a model and its tokenizer in it."""
    tokenizer = tokenizer_of(texts)
    masked_lm(tokenizer).save_pretrained(directory)
    save_tokenizer(tokenizer, directory)
    return directory
