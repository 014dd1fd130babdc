"""What transformers makes of our directories: the same labels, entities, answers and texts.

Directories come from `finetune` on tiny data; transformers opens model and tokenizer by itself.
"""

import numpy as np
import pytest

import plainformer as pf
from plainformer.data import PairExample
from plainformer.tasks import open_task
from tests.tasks.tiny import CHOICES, DECODER, ENCODER, QUESTIONS, TEXTS, tune

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

DISTILBERT = {"model_type": "distilbert", "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32,
              "max_position_embeddings": 48, "dropout": 0.0, "attention_dropout": 0.0}  # fmt: skip
ROBERTA = {**ENCODER, "model_type": "roberta", "max_position_embeddings": 50}
BART = {
    "model_type": "bart", "d_model": 16, "encoder_layers": 1, "decoder_layers": 1,
    "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32, "max_position_embeddings": 48, "dropout": 0.0,
}  # fmt: skip
MARIAN = {**BART, "model_type": "marian"}
T5 = {"model_type": "t5", "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1,
      "num_decoder_layers": 1, "num_heads": 2, "dropout_rate": 0.0}  # fmt: skip
PAIRS = [PairExample(f"{a} {b}", f"{b} {a}") for a in "abc" for b in "xyz"]
ENCODERS = {
    "bert": (ENCODER, "wordpiece:120"),
    "bert-char": (ENCODER, "char"),
    "distilbert": (DISTILBERT, "wordpiece:120"),
    "roberta": (ROBERTA, "bpe:300"),
}
UNSEEN = ["so good it was", "what a bad day", "x", "good and bad and cold and warm"]


def made(task, directory, name, **options):
    config, tokenizer = ENCODERS[name]
    usual = {"max_steps": 20, "eval_strategy": "no", "model": config, "tokenizer": tokenizer}
    tune(task, directory, **{**usual, **options})
    return directory


def theirs(task, directory, **options):
    return transformers.pipeline(task, model=str(directory), tokenizer=str(directory), **options)


@pytest.mark.parametrize("name", ENCODERS)
def test_text_classification(tmp_path, name):
    directory = made("text-classification", tmp_path, name)
    ask, classify = theirs("text-classification", directory), pf.pipeline(None, directory)
    texts = [e.text for e in TEXTS] + UNSEEN
    for mine, other in zip(classify(texts), [ask(text)[0] for text in texts]):
        assert mine["label"] == other["label"]
        assert mine["score"] == pytest.approx(other["score"], abs=1e-5)
    every = ask("so good", top_k=None)
    assert [one["label"] for one in classify("so good", top_k=None)] == [e["label"] for e in every]


@pytest.mark.parametrize("name", ["bert", "distilbert"])
def test_token_classification(tmp_path, name):
    directory = made("token-classification", tmp_path, name, max_steps=60)
    ask = theirs("token-classification", directory, aggregation_strategy="first")
    tag = pf.pipeline(None, directory)
    for text in ("Ann Lee saw Paris .", "Bob Lee saw Rome .", "rain fell on Rome"):
        found = tag(text)
        assert found
        other = ask(text)
        assert [(e["entity_group"], e["start"], e["end"]) for e in found] == [
            (e["entity_group"], e["start"], e["end"]) for e in other
        ]
        assert [e["score"] for e in found] == pytest.approx([e["score"] for e in other], abs=1e-4)


@pytest.mark.parametrize("name", ["bert", "distilbert"])
def test_question_answering(tmp_path, name):
    """transformers 5 has no pipeline for it: its model's best span is our answer."""
    directory = made("question-answering", tmp_path, name, max_steps=60)
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(directory).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    ask = pf.pipeline(None, directory)
    for example in QUESTIONS:
        inputs = tokenizer(
            example.question, example.context, return_tensors="pt", return_offsets_mapping=True
        )
        offsets = inputs.pop("offset_mapping")[0].tolist()
        context = [i for i, s in enumerate(inputs.sequence_ids(0)) if s == 1]
        with torch.no_grad():
            output = model(**inputs)
        start, end = output.start_logits[0], output.end_logits[0]
        spans = [(float(start[i] + end[j]), i, j) for i in context for j in context if i <= j]
        _, i, j = max(spans)
        found = ask(example)
        assert (found["start"], found["end"]) == (offsets[i][0], offsets[j][1])
        assert found["answer"] == example.context[found["start"] : found["end"]]


@pytest.mark.parametrize("name", ["bert"])
def test_multiple_choice(tmp_path, name):
    directory = made("multiple-choice", tmp_path, name)
    model = transformers.AutoModelForMultipleChoice.from_pretrained(directory).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    choose = pf.pipeline(None, directory)
    for example in CHOICES:
        inputs = tokenizer(
            [example.question] * 2, list(example.choices), return_tensors="pt", padding=True
        )
        with torch.no_grad():
            chances = model(**{k: v[None] for k, v in inputs.items()}).logits.softmax(-1)[0]
        found = choose(example)
        assert found["label"] == int(chances.argmax())
        assert found["score"] == pytest.approx(float(chances.max()), abs=1e-5)


@pytest.mark.parametrize("config", [BART, MARIAN, T5], ids=lambda c: c["model_type"])
@pytest.mark.parametrize("task", ["translation", "summarization"])
@pytest.mark.parametrize("beams", [1, 3])
def test_encoder_decoders_write_the_same(tmp_path, config, task, beams):
    tune(task, tmp_path, model=config, tokenizer="bpe:300", train=PAIRS, validation=PAIRS,
         max_steps=60, num_beams=beams, max_target_length=8, eval_strategy="no")  # fmt: skip
    ours = open_task(tmp_path)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for (_, mine), example in zip(ours.predict(PAIRS), PAIRS):
        [[feature]] = ours.encode([example], labelled=False)
        ids = torch.tensor(feature.place[None].astype(np.int64))
        with torch.no_grad():
            rows = model.generate(
                input_ids=ids, num_beams=beams, max_new_tokens=8, do_sample=False,
                eos_token_id=ours.end, pad_token_id=ours.encoder.special.pad_token_id,
            )  # fmt: skip
        assert tokenizer.decode(rows[0], skip_special_tokens=True).strip() == mine


@pytest.mark.parametrize("beams", [1, 3])
def test_decoders_write_the_same(tmp_path, beams):
    tune("summarization", tmp_path, model=DECODER, tokenizer="bpe:300", train=PAIRS,
         validation=PAIRS, max_steps=60, num_beams=beams, max_target_length=8,
         eval_strategy="no")  # fmt: skip
    ours = open_task(tmp_path)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for (_, mine), example in zip(ours.predict(PAIRS), PAIRS):
        [[feature]] = ours.encode([example], labelled=False)
        ids = torch.tensor(feature.place[None].astype(np.int64))
        with torch.no_grad():
            rows = model.generate(
                input_ids=ids, num_beams=beams, max_new_tokens=8, do_sample=False,
                eos_token_id=ours.end, pad_token_id=ours.end,
            )  # fmt: skip
        new = rows[0, ids.shape[1] :]
        assert tokenizer.decode(new, skip_special_tokens=True).strip() == mine


def test_prose_goes_on_the_same(tmp_path):
    tune("language-modeling", tmp_path, max_steps=60, max_length=16, max_new_tokens=6,
         eval_strategy="no")  # fmt: skip
    write = pf.pipeline(None, tmp_path)
    ask = theirs("text-generation", tmp_path)
    for prompt in ("the sun is", "rain", "the rain is wet ."):
        other = ask(prompt, max_new_tokens=6, do_sample=False)
        assert write(prompt) == other


@pytest.mark.parametrize("name", ENCODERS)
def test_pairs_of_texts(tmp_path, name):
    """Token types, separators and what is cut of two texts are transformers' own."""
    rows = [{"text": a, "text_pair": b, "label": str(a == b)}
            for a in ("good day", "so bad") for b in ("good day", "so bad")]  # fmt: skip
    directory = made("text-classification", tmp_path, name, train=rows, validation=rows)
    ask, classify = theirs("text-classification", directory), pf.pipeline(None, directory)
    for row in [*rows, {"text": "so " * 60, "text_pair": "what a bad day"}]:
        given = {key: row[key] for key in ("text", "text_pair")}
        mine, other = classify(given), ask(given, truncation=True)
        assert mine["label"] == other["label"]
        assert mine["score"] == pytest.approx(other["score"], abs=1e-5)


@pytest.mark.parametrize("name", ["bert", "distilbert", "roberta"])
def test_fill_mask(tmp_path, name):
    config, tokenizer = ENCODERS[name]
    texts = ["the sun is warm and wet .", "the rain is up .", "a sea is cold and warm ."]
    pf.pretrain(
        [{"text": text} for text in texts * 8], config=config, tokenizer=tokenizer,
        objective="mlm", packing=True, block_size=24, max_steps=40, learning_rate=1e-2,
        output_dir=tmp_path, save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    ask, fill = theirs("fill-mask", tmp_path), pf.pipeline("fill-mask", tmp_path)
    mask, tokens = ask.tokenizer.mask_token, ask.tokenizer.convert_ids_to_tokens(range(10, 30, 3))
    asked = [f"the sun is {mask} .", f"the {mask} is wet and {mask} ."]
    for text in asked:
        for options in ({}, {"top_k": 3}, {"targets": tokens}, {"targets": tokens, "top_k": 2}):
            _same_tokens(fill(text, **options), ask(text, **options))
    for mine, other in zip(fill(asked), ask(asked), strict=True):
        _same_tokens(mine, other)


def _same_tokens(mine, other):
    """Of each mask the same tokens and texts in the same order, scores within 1e-5."""
    if isinstance(other[0], list):
        assert len(mine) == len(other)
        for one, more in zip(mine, other):
            _same_tokens(one, more)
        return
    for name in ("token", "token_str", "sequence"):
        assert [one[name] for one in mine] == [one[name] for one in other]
    assert [one["score"] for one in mine] == pytest.approx([o["score"] for o in other], abs=1e-5)
