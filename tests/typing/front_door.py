"""What people type first: `mypy --strict` infers every name and result, and it runs.

`tests/test_types.py` checks and runs it. A line a call; `assert_type` says what mypy must infer.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import plainformer as pf

if TYPE_CHECKING:
    from typing_extensions import assert_type
else:

    def assert_type(value: object, kind: object) -> object:
        return value


TEXTS = [{"text": "the quick brown fox jumps over the lazy dog. " * 4}]
SIZES = {"model_type": "gpt2", "n_layer": 1, "n_head": 2, "n_embd": 8, "n_positions": 32}
ENCODER = {
    "model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 16, "max_position_embeddings": 32,
}  # fmt: skip
LABELLED = [{"text": "so good", "label": "pos"}, {"text": "so bad", "label": "neg"}] * 4
QUICK: dict[str, Any] = {"max_steps": 2, "disable_tqdm": True}


def training(root: Path) -> None:
    """Nothing to a model of language, a classifier."""
    written = pf.pretrain(TEXTS, config=SIZES, tokenizer="char", output_dir=root / "lm", **QUICK)
    assert_type(written, pf.pretraining.PretrainResult)
    assert_type(written.metrics, dict[str, Any])
    assert_type(written.tokenizer, pf.PreTrainedTokenizer)
    tuned = pf.finetune(
        "text-classification", ENCODER, LABELLED, LABELLED, tokenizer="wordpiece:40",
        output_dir=root / "classifier", **QUICK,
    )  # fmt: skip
    assert_type(tuned, pf.tasks.FineTuneResult)
    assert_type(tuned.task, pf.tasks.Task)
    assert_type(str(tuned), str)


def models(root: Path) -> None:
    """From directories, or new."""
    model = pf.load(root / "lm")
    assert_type(model, pf.PreTrainedModel)
    assert_type(model.num_parameters(), int)
    assert_type(pf.load(root / "lm", "text-generation"), pf.models.causal_lm.CausalLM)
    assert_type(pf.GPT2LMHeadModel.from_pretrained(root / "lm"), pf.GPT2LMHeadModel)
    classifier = pf.load(root / "classifier", "sentiment-analysis", torch_dtype="float32")
    assert_type(classifier, pf.models.classifiers.SequenceClassifier)
    config = pf.GPT2Config(vocab_size=32, n_positions=16, n_embd=8, n_layer=1, n_head=2)
    assert_type(config, pf.GPT2Config)
    new = pf.GPT2LMHeadModel(config, seed=1)
    assert_type(new, pf.GPT2LMHeadModel)
    assert_type(new.config, pf.GPT2Config)
    assert_type(new.eval(), pf.GPT2LMHeadModel)
    assert_type(new.to("bfloat16"), pf.GPT2LMHeadModel)
    assert_type(new.state_dict(), dict[str, Any])
    assert_type(next(new.parameters()), pf.nn.Parameter)
    assert_type(repr(new), str)
    new.save_pretrained(root / "new")


def tokens(root: Path) -> pf.data.BatchEncoding:
    """Texts to ids and back."""
    tok = pf.load_tokenizer(root / "classifier")
    assert_type(tok, pf.PreTrainedTokenizer)
    assert_type(pf.PreTrainedTokenizer.from_pretrained(root / "lm"), pf.PreTrainedTokenizer)
    assert_type(tok.encode("so good"), list[int])
    assert_type(
        tok.encode("so good", return_tensors="np"), np.ndarray[tuple[Any, ...], np.dtype[Any]]
    )
    assert_type(tok.decode([1, 2]), str)
    assert_type(tok.batch_decode([[1, 2]], skip_special_tokens=True), list[str])
    assert_type(tok.tokenize("so good"), list[str])
    assert_type(tok.convert_ids_to_tokens([1]), list[str])
    assert_type(tok.convert_tokens_to_ids("so"), int | None)
    assert_type(tok.vocab_size, int)
    assert_type(tok.pad_token, str | None)
    assert_type(tok.pad_token_id, int | None)
    batch = tok(["so good", "bad"], padding=True, truncation=True, return_tensors="np")
    assert_type(batch, pf.data.BatchEncoding)
    return batch


def outputs(root: Path, batch: pf.data.BatchEncoding) -> None:
    """A call's output by name, key and position."""
    model = pf.BertForSequenceClassification.from_pretrained(root / "classifier")
    output = model(**batch, labels=[0, 1])
    assert_type(output, pf.models.SequenceClassifierOutput)
    loss = output.loss
    assert_type(loss, pf.Tensor | Any)
    assert_type(output.to_tuple(), tuple[Any, ...])
    found, logits = output[:2]
    assert found is loss is output["loss"]
    assert logits is output.logits
    loss.backward()
    assert_type(float(loss), float)
    assert_type(f"{loss:.3f}", str)
    with pf.no_grad():
        assert model(**batch).logits.shape == (2, 2)
    assert_type(np.asarray(output.logits), np.ndarray[tuple[Any, ...], np.dtype[Any]])


def generation(root: Path) -> None:
    """Ids and texts."""
    model = pf.GPT2LMHeadModel.from_pretrained(root / "lm", dtype="auto")
    tok = pf.load_tokenizer(root / "lm")
    ids = model.generate(tok.encode("the"), 5, do_sample=True, top_k=5)
    assert_type(ids, np.ndarray[tuple[Any, ...], np.dtype[Any]])
    told = model.generate(tok.encode("the"), 5, do_sample=True, return_dict_in_generate=True)
    assert_type(told, pf.generation.GenerateOutput)
    assert_type(told.seed, int | None)
    assert_type(model.stream(tok.encode("the"), 5, tokenizer=tok), Iterator[Any])
    model.generation_config = pf.GenerationConfig(max_new_tokens=4)
    assert_type(model.generation_config, pf.GenerationConfig)


def answers(root: Path) -> None:
    """Pipelines."""
    classify = pf.pipeline("sentiment-analysis", root / "classifier", device="cpu")
    assert_type(classify("so good"), list[dict[str, Any]])
    assert_type(classify(["so good", "so bad"]), list[Any])
    assert_type(classify(np.array(["so good"])), list[Any])
    assert_type(list(classify.stream(["so good"])), list[Any])
    assert_type(pf.pipeline("feature-extraction", root / "classifier")(["so good"]).shape, Any)
    write = pf.pipeline("text-generation", pf.load(root / "lm"), root / "lm", max_new_tokens=3)
    assert_type(write("the")[0]["generated_text"], Any)


class Show(pf.TrainerCallback):
    """A callback of one's own."""


def trainer(root: Path) -> None:
    """Trainer and its arguments."""
    model = pf.BertForSequenceClassification.from_pretrained(root / "classifier")
    args = pf.TrainingArguments(
        str(root / "trained"), max_steps=2, learning_rate=1e-3, report_to="none", fp16=False
    )
    assert_type(args, pf.TrainingArguments)
    assert_type(args.learning_rate, float)
    rows = [{"input_ids": [1, 2, 3], "labels": 1}, {"input_ids": [2, 3], "labels": 0}] * 4
    work = pf.Trainer(model, args, rows, rows, callbacks=[Show(), pf.EarlyStoppingCallback(2)])
    assert_type(work, pf.Trainer)
    assert_type(work.train(), pf.training.TrainOutput)
    assert_type(work.evaluate(), dict[str, float])
    assert_type(work.predict(rows), pf.training.PredictionOutput)


class Net(pf.nn.Module):
    """A module of one's own."""

    def __init__(self) -> None:
        self.first, self.second = pf.nn.Linear(4, 8), pf.nn.Linear(8, 2)

    def forward(self, x: pf.Tensor) -> pf.Tensor:
        return self.second(pf.functional.relu(self.first(x)))


def by_hand() -> None:
    """A loop of one's own, modules, kernels, metrics."""
    net = Net()
    optimizer = pf.optim.AdamW(net.parameters(), lr=1e-2)
    assert_type(optimizer, pf.optim.AdamW)
    scheduler = pf.optim.get_scheduler("cosine", optimizer, 2, 10)
    assert_type(scheduler.get_last_lr(), list[float])
    x = pf.Tensor(np.ones((3, 4), np.float32))
    loss = pf.functional.cross_entropy(net(x), np.array([0, 1, 1]))
    assert_type(loss, pf.Tensor)
    loss.backward()
    assert_type(pf.optim.clip_grad_norm_(net.parameters(), 1.0), float)
    optimizer.step()
    scheduler.step()
    optimizer.zero_grad()
    assert_type(x * 2 + 1, pf.Tensor)
    assert_type(-x @ np.ones((4, 2), np.float32), pf.Tensor)
    assert_type(x[0].mean(), pf.Tensor)
    assert_type(x.sum().item(), float)
    assert_type(x.shape, tuple[int, ...])
    assert_type(x.numpy(), np.ndarray[tuple[Any, ...], np.dtype[Any]])
    assert_type(pf.functional.layer_norm(x), pf.Tensor)
    assert_type(pf.nn.Sequential(pf.nn.Linear(4, 4)), pf.nn.Sequential)
    x32 = np.ones((2, 3), np.float32)
    assert pf.kernels.softmax(pf.kernels.gelu(x32)).dtype == np.float32
    assert_type(pf.kernels.softmax(np.asarray(x)), np.ndarray[tuple[Any, ...], np.dtype[Any]])
    assert_type(pf.metrics.accuracy(references=[0, 1], predictions=[0, 0]), float)
    assert_type(pf.get_num_threads(), int)
    assert_type(pf.threadpool_info(), dict[str, Any])
    assert_type(pf.trim_memory(), int)
    with pf.num_threads(1):
        assert_type(pf.__version__, str)
    try:
        pf.load("nowhere")
    except pf.PlainformerError as error:
        assert_type(error, pf.PlainformerError)


def main(root: Path) -> None:
    """All of it, in an empty directory."""
    training(root)
    models(root)
    outputs(root, tokens(root))
    generation(root)
    answers(root)
    trainer(root)
    by_hand()
