"""Measure written Python: how many bodies of functions parse, before and after fine-tuning on it.

    python benchmarks/code_generation.py [--seed N] [--heads N] [--output F.json]

A small GPT learns the docstrings of the standard library, then its sources; modules are held back
from both. For functions of those modules it gets `def name(arguments):` and the docstring and
writes the body, which ends by its indentation and must parse (`metrics.parse_rate`). A bigram model
of the same sources, drawn from alike, shows what short memory gives. `goes_on` counts bodies that
reach the limit of tokens: few of those can parse.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from typing import Any

import click
import numpy as np

import plainformer as pf
from plainformer.bench import machine
from plainformer.bench.session import write_json
from plainformer.data import Document, TextExample, encode_documents, save_tokenizer
from plainformer.data.tokenizer import encode_text, train_bpe, vocab_size
from plainformer.generation.sampling import Sampling
from plainformer.metrics import function_body, function_heads, parse_rate
from plainformer.quickstart.corpus import python_documents, python_sources, split_documents

MODEL: dict[str, Any] = {
    "model_type": "gpt2", "n_layer": 3, "n_head": 4, "n_embd": 128, "n_positions": 256,
    "initializer_range": 0.1, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0,
}  # fmt: skip
TRAINING: dict[str, Any] = {
    "per_device_train_batch_size": 8, "learning_rate": 5e-3, "warmup_steps": 0.05,
    "lr_scheduler_type": "cosine", "adam_beta2": 0.99, "weight_decay": 0.1,
    "eval_strategy": "no", "save_strategy": "no", "logging_steps": 100, "disable_tqdm": True,
}  # fmt: skip
VOCABULARY, NEW_TOKENS, BATCH = 1024, 96, 32
SOURCE_BYTES = 4_000_000
SAMPLING = {"temperature": 0.5, "top_p": 0.95}
Writer = Callable[[list[list[int]]], list[list[int]]]


def examples(documents: Iterable[Document]) -> list[TextExample]:
    """Documents as the task takes them."""
    return [TextExample(d.text, None, d.file) for d in documents]


def model_writer(model: Any, seed: int) -> Writer:
    """Completions (T tokens each) drawn from a model."""

    def write(prompts: list[list[int]]) -> list[list[int]]:
        rows = model.generate(prompts, NEW_TOKENS, do_sample=True, seed=seed, **SAMPLING)
        return [row[max(map(len, prompts)) :].tolist() for row in rows]

    return write


def bigram_writer(tokens: np.ndarray, size: int, seed: int) -> Writer:
    """Completions drawn from how often a token followed another."""
    pairs, counts = np.unique(tokens[:-1].astype(np.int64) * size + tokens[1:], return_counts=True)
    logits = np.full((size, size), -30, np.float32)
    logits[pairs // size, pairs % size] = np.log(counts)
    rng, sampling = np.random.default_rng(seed), Sampling(**SAMPLING)

    def write(prompts: list[list[int]]) -> list[list[int]]:
        rows = np.array([[prompt[-1]] for prompt in prompts])
        for _ in range(NEW_TOKENS):
            rows = np.append(rows, sampling.draw(logits[rows[:, -1]], rng)[:, None], axis=1)
        return rows[:, 1:].tolist()

    return write


def measure(name: str, write: Writer, tokenizer: Any, heads: list[str]) -> dict[str, float]:
    """How many completions parse, and how long they are."""
    end = tokenizer.token_to_id("<|endoftext|>")
    ids = [encode_text(tokenizer, head).tolist() for head in heads]
    rows = [row for i in range(0, len(ids), BATCH) for row in write(ids[i : i + BATCH])]
    texts = [tokenizer.decode(row[: row.index(end)] if end in row else row) for row in rows]
    bodies = [function_body(head, text) for head, text in zip(heads, texts)]
    goes_on = [
        end not in row and body == text.rstrip() for row, body, text in zip(rows, bodies, texts)
    ]
    rate = parse_rate(completions=texts, heads=heads)
    click.echo(
        f"{name}: {rate:.3f} of {len(heads)} parse, {np.mean(goes_on):.3f} go on; the first:"
    )
    click.echo(heads[0] + bodies[0] + "\n")
    return {
        f"parse_rate_{name}": rate,
        f"goes_on_{name}": float(np.mean(goes_on)),
        f"lines_{name}": float(np.mean([len(body.split("\n")) - 1 for body in bodies])),
    }


@click.command()
@click.option("--text-steps", type=click.IntRange(1), default=200, show_default=True)
@click.option("--source-steps", type=click.IntRange(1), default=1000, show_default=True)
@click.option("--heads", type=click.IntRange(1), default=200, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--output", type=click.Path(dir_okay=False), help="Write JSON here.")
def main(text_steps: int, source_steps: int, heads: int, seed: int, output: str | None) -> None:
    """Measure how many written function bodies parse."""
    start = time.perf_counter()
    training, held = split_documents(python_sources(max_bytes=SOURCE_BYTES), 0.1)
    files = {document.file for document in held}
    texts = [document for document in python_documents() if document.file not in files]
    tokenizer = train_bpe((d.text for d in [*texts, *training]), VOCABULARY)
    found = [head for document in held for head in function_heads(document.text)]
    found = [h for h in found if len(encode_text(tokenizer, h)) <= 256 - NEW_TOKENS][:heads]
    tokens = encode_documents(tokenizer, training)
    usual = {**TRAINING, "seed": seed}
    with tempfile.TemporaryDirectory() as root:
        save_tokenizer(tokenizer, f"{root}/tokenizer")
        before = pf.finetune(
            "language-modeling", MODEL, examples(texts), output_dir=f"{root}/text",
            tokenizer=f"{root}/tokenizer", max_steps=text_steps, **usual,
        )  # fmt: skip
        after = pf.finetune(
            "language-modeling", f"{root}/text", examples(training), examples(held),
            output_dir=f"{root}/source", max_steps=source_steps, **usual,
        )  # fmt: skip
    writers = {
        "bigram": bigram_writer(tokens, vocab_size(tokenizer), seed),
        "before": model_writer(before.task.model, seed),
        "after": model_writer(after.task.model, seed),
    }
    result: dict[str, Any] = {
        "machine": machine.describe(),
        "seed": seed,
        "parameters": after.metrics["parameters"],
        "source_tokens": len(tokens),
        "text_steps": text_steps,
        "source_steps": source_steps,
        "sampling": SAMPLING,
        "new_tokens": NEW_TOKENS,
        "functions": len(found),
        "before_eval_perplexity": after.metrics["before_eval_perplexity"],
        "eval_perplexity": after.metrics["eval_perplexity"],
    }
    for name, write in writers.items():
        result |= measure(name, write, tokenizer, found)
    result["seconds"] = round(time.perf_counter() - start, 1)
    for name, value in result.items():
        click.echo(f"{name:<24} {value:.4f}" if isinstance(value, float) else f"{name:<24} {value}")
    if output:
        write_json(result, output)


if __name__ == "__main__":
    main()
