"""Code generation: complete functions. Here: short ones of the standard library.

A causal language model learns Python as it learns any text, each token from those before it; byte-
level BPE keeps every space of the indentation. It learns from functions, each a text of its own. To
complete one it gets the head, and writes on until its indentation says that the body is over:

    def size(path):
        \"""Return the size of a file.\"""
        return os.stat(path).st_size        <- written
    def ...                                 <- the first line that is no part of it

Whether that is any good takes tests to know; whether it is Python at all, `ast.parse` says
(`metrics.parse_rate`). Modules are held back: none of their functions was learned from.

    python examples/code_generation.py
    python examples/code_generation.py --train 'src/**/*.py' --validation 'tests/*.py' \\
        --model DIR --max-steps 2000 --learning-rate 2e-4

Without files it reads the standard library; without a model it starts from nothing, which in the
minute that this takes gives the look of Python more than its sense. On the command line, for whole
files (those without text are skipped with the bad lines):

    plainformer finetune language-modeling --model DIR --train 'src/**/*.py' --skip-bad-lines \\
        --output-dir out
    plainformer predict out --do-sample --temperature 0.5 'def size(path):'

Whole files of the standard library, before and after: benchmarks/code_generation.py.
"""

from __future__ import annotations

import ast
import json
import logging
import textwrap
from glob import glob
from pathlib import Path

import click

import plainformer as pf
from plainformer.metrics import function_body, function_heads, parse_rate
from plainformer.quickstart.corpus import python_sources, split_documents

TASK = "language-modeling"
CONFIG = {  # a decoder so small that it learns from nothing in a minute
    "model_type": "gpt2",
    "n_layer": 2,
    "n_head": 4,
    "n_embd": 96,
    "n_positions": 256,
    "initializer_range": 0.1,  # a narrow model starts better from larger weights
    "resid_pdrop": 0.0,
    "embd_pdrop": 0.0,
    "attn_pdrop": 0.0,
}
TOKENIZER = "bpe:512"
SOURCE_BYTES, LONGEST = 4_000_000, 500


def short_functions(sources: list[str]) -> list[str]:
    """Functions with a docstring, each as it would stand at column 0."""
    found = []
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef) and ast.get_docstring(node):
                lines = source.split("\n")[node.lineno - 1 : node.end_lineno]
                found.append(textwrap.dedent("\n".join(lines)))
    return [function for function in dict.fromkeys(found) if len(function) <= LONGEST]


def read_sources(train: str | None, validation: str | None) -> tuple[list[str], list[str]]:
    """Texts of the modules to learn from and to test on."""
    if train and validation:
        files = (sorted(glob(pattern, recursive=True)) for pattern in (train, validation))
        first, second = (
            [Path(file).read_text(encoding="utf-8") for file in some] for some in files
        )
        return first, second
    if train or validation:
        raise click.UsageError("--train and --validation: give both, or none")
    training, held = split_documents(python_sources(max_bytes=SOURCE_BYTES), 0.1)
    return [document.text for document in training], [document.text for document in held]


def write_jsonl(path: Path, texts: list[str]) -> str:
    """Write an object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts), encoding="utf-8")
    return str(path)


@click.command()
@click.option("--train", help="A glob of files to learn from [default: the standard library].")
@click.option("--validation", help="A glob of files whose functions are completed.")
@click.option("--model", help="A directory or a config.json; without it, a tiny new model.")
@click.option("--tokenizer", help="For a model without one, such as bpe:8000.")
@click.option("--output-dir", default="runs/code_generation", show_default=True)
@click.option("--max-steps", default=1000, show_default=True)
@click.option("--learning-rate", default=5e-3, show_default=True)
@click.option("--functions", default=40, show_default=True, help="How many are completed.")
@click.option("--seed", default=42, show_default=True)
def main(train, validation, model, tokenizer, output_dir, functions, **options):
    """Fine-tune a model on Python, let it complete functions, and count how many parse."""
    logging.basicConfig(level="INFO", format="%(message)s")  # show what is read and done
    learned, held = map(short_functions, read_sources(train, validation))
    heads = [head for function in held for head in function_heads(function)[:1]][:functions]
    if not learned or not heads:
        raise click.ClickException(f"no functions with a docstring of up to {LONGEST} characters")
    if model is None:
        model, tokenizer = CONFIG, tokenizer or TOKENIZER

    result = pf.finetune(
        TASK,
        model,
        write_jsonl(Path(output_dir, "train.jsonl"), learned),
        write_jsonl(Path(output_dir, "validation.jsonl"), held),
        output_dir=output_dir,
        tokenizer=tokenizer,
        per_device_train_batch_size=4,
        adam_beta2=0.99,
        warmup_steps=0.1,
        eval_strategy="no",
        overwrite_output_dir=True,
        **options,
    )
    before, after = (result.metrics[f"{when}eval_perplexity"] for when in ("before_", ""))
    print(f"\nperplexity before and after: {before:.1f} {after:.1f}")

    write = pf.pipeline(TASK, output_dir, max_new_tokens=128, do_sample=True, temperature=0.5)
    written = [one["generated_text"][len(head) :] for head, one in zip(heads, write(heads))]
    for head, completion in list(zip(heads, written))[:3]:
        print(f"\n{head}{function_body(head, completion)}")
    print(f"\n{parse_rate(completions=written, heads=heads):.0%} of {len(heads)} completions parse")


if __name__ == "__main__":
    main()
