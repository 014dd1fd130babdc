"""Measure control: how often a text written for a label has it, as a classifier sees it.

    python benchmarks/controllable.py --data F.jsonl --validation F.jsonl [--encoder DIR]
                                      [--seed N] [--count N] [--output F.json]

Three models learn the same labelled texts: one with the control codes of the labels, one with
a single code for all texts, which is the same model without a say, and a classifier. Each
label's texts and those without one are drawn alike; the classifier says what they are. Beside it
stand the classifier's accuracy on real texts, which bounds what can be seen, distinct-1 and -2, and
the perplexity of validation texts behind their own code and behind the code of another label.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from typing import Any

import click

import plainformer as pf
from plainformer.bench import machine
from plainformer.bench.session import write_json
from plainformer.data import TextExample, read_examples
from plainformer.metrics import distinct_n
from plainformer.pipelines import Pipeline
from plainformer.tasks import FineTuneResult

WRITER: dict[str, Any] = {
    "model_type": "gpt2", "n_layer": 2, "n_head": 4, "n_embd": 128, "n_positions": 64,
    "resid_pdrop": 0.1, "embd_pdrop": 0.1, "attn_pdrop": 0.1,
}  # fmt: skip
READER: dict[str, Any] = {
    "model_type": "bert", "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 128,
    "intermediate_size": 256, "max_position_embeddings": 64, "initializer_range": 0.05,
}  # fmt: skip
TRAINING: dict[str, Any] = {
    "per_device_train_batch_size": 32, "learning_rate": 3e-3, "warmup_steps": 0.1,
    "weight_decay": 0.01, "logging_steps": 200, "disable_tqdm": True,
}  # fmt: skip
SAMPLING = {"do_sample": True, "temperature": 0.8, "top_p": 0.95}
ANY = "any"


def train_writer(
    folder: str, train: list[TextExample], validation: list[TextExample], epochs: int, seed: int
) -> FineTuneResult:
    """A model that has learned the texts behind the codes of their labels."""
    return pf.finetune(
        "language-modeling", WRITER, train, validation, output_dir=folder, tokenizer="bpe:2000",
        control_codes=True, num_train_epochs=epochs, seed=seed, **TRAINING,
    )  # fmt: skip


def train_reader(
    folder: str, encoder: str | None, train: Any, validation: Any, seed: int
) -> FineTuneResult:
    """A classifier of the same texts."""
    own = {"model": encoder, "num_train_epochs": 1, "learning_rate": 2e-4}
    if encoder is None:
        own = {
            "model": READER,
            "tokenizer": "wordpiece:4000",
            "learning_rate": 1e-3,
            "num_train_epochs": 3,
        }
    return pf.finetune(
        "text-classification", train=train, validation=validation, output_dir=folder, seed=seed,
        **{**TRAINING, **own},
    )  # fmt: skip


def written(folder: str, label: str, count: int, seed: int) -> list[str]:
    """Texts drawn for a label; blank ones are counted as texts of no label later."""
    write = pf.pipeline(None, folder, num_return_sequences=count, sampling_seed=seed, **SAMPLING)
    return [one["generated_text"] for one in write({"label": label})]


def share(classify: Pipeline, texts: list[str], label: str) -> float:
    """The fraction of texts that the classifier gives a label."""
    real = [text for text in texts if text.strip()]
    return sum(one["label"] == label for one in classify(real)) / len(texts)


@click.command()
@click.option("--data", required=True, help="JSONL of text, label to learn from.")
@click.option("--validation", required=True, help="JSONL of text, label to test on.")
@click.option(
    "--encoder",
    type=click.Path(exists=True, file_okay=False),
    help="A pretrained encoder for the classifier [default: from scratch].",
)
@click.option("--epochs", type=click.IntRange(1), default=6, show_default=True)
@click.option("--count", type=click.IntRange(1), default=200, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--output", type=click.Path(dir_okay=False), help="Write JSON here.")
def main(
    data: str, validation: str, encoder: str | None, epochs: int, count: int, seed: int,
    output: str | None,
) -> None:  # fmt: skip
    """Measure control over the label of generated text."""
    start = time.perf_counter()
    train, held = (list(read_examples(f, "text-classification")) for f in (data, validation))
    labels = sorted({example.label for example in train})
    with tempfile.TemporaryDirectory() as root:
        free = [[replace(e, label=ANY) for e in some] for some in (train, held)]
        reader = train_reader(f"{root}/reader", encoder, train, held, seed)
        with_codes = train_writer(f"{root}/codes", train, held, epochs, seed)
        without = train_writer(f"{root}/free", *free, epochs, seed)
        classify = pf.pipeline(None, f"{root}/reader", batch_size=32)
        texts = {label: written(f"{root}/codes", label, count, seed) for label in labels}
        texts[ANY] = written(f"{root}/free", ANY, count, seed)
    after = dict(zip(labels, [*labels[1:], labels[0]]))
    swapped = [replace(example, label=after[example.label]) for example in held]
    result: dict[str, Any] = {
        "machine": machine.describe(),
        "seed": seed,
        "epochs": epochs,
        "count": count,
        "sampling": SAMPLING,
        "encoder": "from scratch" if encoder is None else "pretrained",
        "classifier_accuracy": reader.metrics["eval_accuracy"],
        "perplexity": with_codes.metrics["eval_perplexity"],
        "perplexity_other_code": with_codes.task.evaluate(swapped)["perplexity"],
        "perplexity_one_code": without.metrics["eval_perplexity"],
    }
    for label in labels:
        result[f"{label}_with_code"] = share(classify, texts[label], label)
        result[f"{label}_without"] = share(classify, texts[ANY], label)
    for name in ("with_code", "without"):
        result[name] = sum(result[f"{label}_{name}"] for label in labels) / len(labels)
    every = [text for label in labels for text in texts[label]]
    for n in (1, 2):
        result[f"distinct_{n}"] = distinct_n(every, n)
        result[f"distinct_{n}_without"] = distinct_n(texts[ANY], n)
        result[f"distinct_{n}_real"] = distinct_n([e.text for e in held[: len(every)]], n)
    result["seconds"] = round(time.perf_counter() - start, 1)
    for name, value in result.items():
        click.echo(f"{name:<24} {value:.4f}" if isinstance(value, float) else f"{name:<24} {value}")
    if output:
        write_json(result, output)


if __name__ == "__main__":
    main()
