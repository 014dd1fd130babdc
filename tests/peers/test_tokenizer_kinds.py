"""Every family with every kind of tokenizer of our own making, through transformers' pipelines.

A directory that `finetune` wrote is opened by transformers alone: what it makes of a text must be
what ours makes of it, whatever kind of tokenizer the family was given.
"""

import numpy as np
import pytest

import plainformer as pf
from plainformer.models import MODELS
from plainformer.tasks import open_task
from tests.tasks.tiny import DECODER, ENCODER, PAIRS, PROSE, TEXTS, TOKENS, tune

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

LLAMA = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1,
         "num_attention_heads": 2, "max_position_embeddings": 256}  # fmt: skip
BART = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32,
        "max_position_embeddings": 64, "dropout": 0.0}  # fmt: skip
CONFIGS = {
    "bert": ENCODER,
    "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "dropout": 0.0,
                   "max_position_embeddings": 48, "attention_dropout": 0.0},
    "roberta": {**ENCODER, "max_position_embeddings": 50},
    "gpt2": {**DECODER, "n_positions": 256},
    "llama": LLAMA,
    "qwen2": LLAMA,
    "bart": BART,
    "marian": BART,
    "t5": {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_decoder_layers": 1,
           "num_heads": 2, "dropout_rate": 0.0},
}  # fmt: skip
KINDS = ("char", "char:24", "bpe:300", "wordpiece:120")
ASKED = ["a bad film", "so good it was", "what a warm day", "x", "Truly good, was it?"]


def made(task, directory, family, kind, **options):
    usual = {"max_steps": 12, "eval_strategy": "no", "tokenizer": kind, "learning_rate": 3e-3}
    model = {**CONFIGS[family], "model_type": family}
    tune(task, directory, model=model, **{**usual, **options})


def families(word):
    return [name for name in CONFIGS if word in MODELS[name].models]


def tokenizer_of(directory, family):
    """AutoTokenizer takes a class of its own for Qwen2, whatever the files say."""
    if family == "qwen2":
        return transformers.PreTrainedTokenizerFast.from_pretrained(directory)
    return transformers.AutoTokenizer.from_pretrained(directory)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", families("sequence-classification"))
def test_text_classification(tmp_path, family, kind):
    made("text-classification", tmp_path, family, kind, train=TEXTS)
    ask = transformers.pipeline("text-classification", model=str(tmp_path),
                                tokenizer=tokenizer_of(tmp_path, family))  # fmt: skip
    texts = [example.text for example in TEXTS] + ASKED
    for mine, other in zip(pf.pipeline(None, tmp_path)(texts), ask(texts)):
        assert mine["label"] == other["label"]
        assert mine["score"] == pytest.approx(other["score"], abs=2e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", families("token-classification"))
def test_token_classification(tmp_path, family, kind):
    """Scores of all tokens; how tokens join to words is each side's own."""
    made("token-classification", tmp_path, family, kind, train=TOKENS, validation=TOKENS)
    task = open_task(tmp_path)
    model = transformers.AutoModelForTokenClassification.from_pretrained(tmp_path).eval()
    tokenizer = tokenizer_of(tmp_path, family)
    for text in ("Ann Lee saw Paris .", "rain fell on Rome"):
        inputs = tokenizer(text, return_tensors="pt")
        [encoded] = task.encoder.encode([text])
        assert inputs["input_ids"][0].tolist() == encoded.input_ids.tolist()
        with torch.no_grad():
            expected = model(**inputs).logits.numpy()
        found = task.model(**{k: v[None] for k, v in task.inputs(encoded).items()}).logits.data
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("kind", ["bpe:300", "wordpiece:120"])
@pytest.mark.parametrize("family", families("causal-lm"))
def test_prose(tmp_path, family, kind):
    made("language-modeling", tmp_path, family, kind, train=PROSE, validation=PROSE,
         max_length=32, max_new_tokens=6)  # fmt: skip
    ask = transformers.pipeline("text-generation", model=str(tmp_path),
                                tokenizer=tokenizer_of(tmp_path, family))  # fmt: skip
    for prompt in ("the sun is", "rain", "the rain is wet ."):
        other = ask(prompt, max_new_tokens=6, do_sample=False, return_full_text=False)
        [mine] = pf.pipeline(None, tmp_path)(prompt)
        told = mine["generated_text"].removeprefix(prompt).split()
        assert told == other[0]["generated_text"].split()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", families("seq2seq-lm"))
def test_translation(tmp_path, family, kind):
    made("translation", tmp_path, family, kind, train=PAIRS, validation=PAIRS, num_beams=1,
         max_target_length=8, max_steps=30)  # fmt: skip
    task = open_task(tmp_path)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path).eval()
    tokenizer = tokenizer_of(tmp_path, family)
    for (_, mine), example in zip(task.predict(PAIRS), PAIRS):
        inputs = tokenizer(example.source, return_tensors="pt")
        with torch.no_grad():
            row = model.generate(**inputs, max_new_tokens=8, num_beams=1, do_sample=False)[0]
        assert tokenizer.decode(row, skip_special_tokens=True).split() == mine.split()
