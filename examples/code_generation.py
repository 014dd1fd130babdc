"""Code generation: complete functions. Here: from the standard library's own sources.

A causal language model learns Python as it learns any text: each token from those before it. Files
are documents of their own, byte-level BPE keeps every space of the indentation. To complete a
function it gets the head, and writes on until its indentation says that the body is over:

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
minute that this takes gives the look of Python more than its sense. The same on the command
line, for one's own sources (files without text are skipped with the bad lines):

    plainformer finetune language-modeling --model DIR --train 'src/**/*.py' --skip-bad-lines \\
        --output-dir out
    plainformer predict out --do-sample --temperature 0.5 'def size(path):'

With more steps, before and after fine-tuning: benchmarks/code_generation.py.
"""

from __future__ import annotations

import logging
from glob import glob
from pathlib import Path

import click

import plainformer as pf
from plainformer.data.corpus import python_sources, split_documents
from plainformer.metrics import function_body, function_heads, parse_rate

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
SOURCE_BYTES = 800_000


def copy_sources(folder: Path) -> tuple[str, str]:
    """Write modules of the standard library to learn from and to test on."""
    for name, documents in zip(
        ("train", "validation"), split_documents(python_sources(max_bytes=SOURCE_BYTES), 0.1)
    ):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for document in documents:
            file = folder / name / Path(document.file).name
            file.write_text(document.text, encoding="utf-8")
    return str(folder / "train" / "*.py"), str(folder / "validation" / "*.py")


def heads_of(files: str, longest: int, count: int) -> list[str]:
    """Heads of functions that are no longer than so many characters."""
    sources = [Path(file).read_text(encoding="utf-8") for file in sorted(glob(files))]
    heads = [head for source in sources for head in function_heads(source)]
    return [head for head in heads if len(head) <= longest][:count]


@click.command()
@click.option("--train", help="A glob of files to learn from [default: the standard library].")
@click.option("--validation", help="A glob of files whose functions are completed.")
@click.option("--model", help="A directory or a config.json; without it, a tiny new model.")
@click.option("--tokenizer", help="For a model without one, such as bpe:8000.")
@click.option("--output-dir", default="runs/code_generation", show_default=True)
@click.option("--max-steps", default=1200, show_default=True)
@click.option("--learning-rate", default=5e-3, show_default=True)
@click.option("--functions", default=40, show_default=True, help="How many are completed.")
@click.option("--seed", default=42, show_default=True)
def main(train, validation, model, tokenizer, output_dir, functions, **options):
    """Fine-tune a model on Python, let it complete functions, and count how many parse."""
    logging.basicConfig(level="INFO", format="%(message)s")  # show what is read and done
    if train is None and validation is None:
        train, validation = copy_sources(Path(output_dir, "sources"))
    if train is None or validation is None:
        raise click.UsageError("--train and --validation: give both, or none")
    if model is None:
        model, tokenizer = CONFIG, tokenizer or TOKENIZER

    result = pf.finetune(
        TASK,
        model,
        train,
        validation,
        output_dir=output_dir,
        tokenizer=tokenizer,
        skip_bad_lines=True,
        per_device_train_batch_size=4,
        adam_beta2=0.99,
        warmup_steps=0.1,
        eval_strategy="no",
        overwrite_output_dir=True,
        **options,
    )
    perplexity = "before_eval_perplexity", "eval_perplexity"
    print("\nperplexity before and after:", *(result.metrics.get(name) for name in perplexity))

    heads = heads_of(validation, longest=300, count=functions)
    if not heads:
        raise click.ClickException("no functions with a docstring in the validation files")
    write = pf.pipeline(TASK, output_dir, max_new_tokens=64, do_sample=True, temperature=0.5)
    written = [one["generated_text"][len(head) :] for head, one in zip(heads, write(heads))]
    for head, completion in list(zip(heads, written))[:3]:
        print(f"\n{head}{function_body(head, completion)}")
    print(f"\n{parse_rate(written, heads):.0%} of {len(heads)} completions parse")


if __name__ == "__main__":
    main()
