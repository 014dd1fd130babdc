"""What a tokenizer's files say that the model takes, for every family and kind of tokenizer."""

import json

import pytest

from plainformer.data.tokenizer import train_char, train_wordpiece
from plainformer.models import MODELS, from_config
from plainformer.pretraining.building import SavedTokenizer
from plainformer.tasks.directory import TaskFiles
from plainformer.tasks.registry import TASKS
from tests.models.tiny import CONFIGS

TEXT = ["a bad film", "so good it was"]
TOKENIZERS = {
    "char": lambda: train_char(TEXT, objective="mlm"),
    "wordpiece": lambda: train_wordpiece(TEXT, 40),
}
WORDS = {
    "sequence-classification": "text-classification",
    "token-classification": "token-classification",
    "seq2seq-lm": "translation",
    "causal-lm": "language-modeling",
}
TYPED = ("albert", "bert", "deberta-v2", "electra", "roberta", "xlm-roberta")
CASES = [(f, w) for f, family in MODELS.items() for w in WORDS if w in family.models]


def inputs_in(directory):
    return json.loads((directory / "tokenizer_config.json").read_text())["model_input_names"]


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize(("family", "word"), CASES, ids=lambda x: x)
def test_token_types_are_an_input_where_the_model_has_them(tmp_path, family, word, kind):
    """transformers' GPT-2 adds embeddings for token types that it is given."""
    tokenizer = TOKENIZERS[kind]()
    config = {**CONFIGS[family], "model_type": family, "vocab_size": 64}
    model = from_config(config, word)
    task = TASKS[WORDS[word]](tokenizer, model)
    TaskFiles(task).save_pretrained(tmp_path)
    typed = family in TYPED
    assert ("token_type_ids" in inputs_in(tmp_path)) is typed
    SavedTokenizer(tokenizer, 8, typed).save_pretrained(tmp_path)
    assert ("token_type_ids" in inputs_in(tmp_path)) is typed


def test_wordpiece_of_a_language_model_ends_no_prompt():
    """A text goes on behind its last word, in transformers' pipelines too."""
    ids = train_wordpiece(TEXT, 40, "clm").encode("a bad film").tokens
    assert not {"[CLS]", "[SEP]"} & set(ids)
    assert train_wordpiece(TEXT, 40, "mlm").encode("a bad film").tokens[0] == "[CLS]"
