"""Multiple choice: which of some answers fits best. Here: everyday things and what is said of them.

The model reads the question with each answer in turn:

    [CLS] what does a lemon taste like ? [SEP] sour  [SEP]      score 2.1   <- the highest
    [CLS] what does a lemon taste like ? [SEP] round [SEP]      score 0.3
    [CLS] what does a lemon taste like ? [SEP] cold  [SEP]      score -1.2

The head is one linear layer with a single row, on the vector of [CLS]: it gives a score a pair.
Softmax over the scores of a question makes probabilities of them, and the loss is the cross entropy
with the right answer (Radford and others, "Improving Language Understanding by Generative
Pre-Training", 2018, figure 1; Devlin and others, "BERT", arXiv:1810.04805, section 4.4).

    python examples/multiple_choice.py
    python examples/multiple_choice.py --train train.jsonl --validation validation.jsonl \\
        --model all-MiniLM-L6-v2 --epochs 3 --learning-rate 2e-4 "rain makes streets" wet dry

Without files it makes a small data set, {"question": ..., "choices": [...], "label": 0} a line, the
label counted from 0; without a model it starts from nothing. The same on the command line:

    plainformer finetune multiple-choice --model all-MiniLM-L6-v2 --train train.jsonl \\
        --validation validation.jsonl --num-train-epochs 3 --learning-rate 2e-4 --output-dir out
    plainformer predict out --input questions.jsonl

Recipe on public data: codah, in benchmarks/recipes. What such data asks is in no training file of
that size: a model knows it from what it read before, or hardly at all.
"""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path

import click

import plainformer as pf

TASK = "multiple-choice"
CONFIG = {  # an encoder so small that it learns from nothing in seconds
    "model_type": "bert",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "max_position_embeddings": 64,
    "initializer_range": 0.1,  # a narrow model starts better from larger weights
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
TOKENIZER = "wordpiece:300"
QUESTIONS = (
    ("what is a lemon like ?", "sour", "square", "hot"),
    ("people know that ice is", "loud", "red", "cold"),
)

FACTS = {
    "a lemon": "sour", "sugar": "sweet", "ice": "cold", "fire": "hot", "a ball": "round",
    "a box": "square", "the sea": "deep", "a hill": "high", "a stone": "hard", "wool": "soft",
    "a drum": "loud", "a mouse": "quiet", "blood": "red", "grass": "green", "snow": "white",
    "coal": "black",
}  # fmt: skip
FRAMES = ["{} is", "everyone knows that {} is", "what is {} like ?", "people say : {} is"]
FRAMES += ["have you seen {} ? it is", "how would you describe {} ?", "people know that {} is"]


def make_question(draw: random.Random) -> dict:
    """A question about a thing, what it is like, and two things that it is not."""
    thing = draw.choice(list(FACTS))
    right = FACTS[thing]
    wrong = draw.sample([other for other in FACTS.values() if other != right], 2)
    choices = draw.sample([right, *wrong], 3)
    question = draw.choice(FRAMES).format(thing)
    return {"question": question, "choices": choices, "label": choices.index(right)}


def make_data(folder: Path) -> tuple[str, str]:
    """Write a file to learn from and one to test on, which share no question with its choices."""
    draw = random.Random(0)
    rows = {json.dumps(row): row for row in (make_question(draw) for _ in range(1200))}
    return (
        write_jsonl(folder / "train.jsonl", list(rows.values())[200:]),
        write_jsonl(folder / "validation.jsonl", list(rows.values())[:200]),
    )


def write_jsonl(path: Path, rows: list[dict]) -> str:
    """Write an object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@click.command()
@click.argument("words", nargs=-1, metavar="[QUESTION CHOICE CHOICE...]")
@click.option("--train", help="A file to learn from; without files, a small set is made.")
@click.option("--validation", help="A file to test on, before and after.")
@click.option("--model", help="A directory or a config.json; without it, a tiny new model.")
@click.option("--tokenizer", help="For a model without one, such as wordpiece:8000.")
@click.option("--output-dir", default="runs/multiple_choice", show_default=True)
@click.option("--epochs", "num_train_epochs", default=5.0, show_default=True)
@click.option("--learning-rate", default=1e-3, show_default=True)
@click.option("--seed", default=42, show_default=True)
def main(words, train, validation, model, tokenizer, output_dir, **options):
    """Fine-tune a model that chooses, test it before and after, and let it answer QUESTION."""
    if len(words) in (1, 2):
        raise click.UsageError("QUESTION: expected two choices or more behind it")
    logging.basicConfig(level="INFO", format="%(message)s")  # show what is read and done
    if train is None and validation is None:
        train, validation = make_data(Path(output_dir))
    if model is None:
        model, tokenizer = CONFIG, tokenizer or TOKENIZER

    result = pf.finetune(
        TASK,
        model,
        train,
        validation,
        output_dir=output_dir,
        tokenizer=tokenizer,
        per_device_train_batch_size=16,
        warmup_steps=0.1,
        overwrite_output_dir=True,
        **options,
    )
    print(f"\n{result}\n")

    choose = pf.pipeline(TASK, output_dir)
    for question, *choices in [words] if words else QUESTIONS:
        best = choose(question=question, choices=choices)
        print(f"{question} {best['answer']} ({best['score']:.0%} of {', '.join(choices)})")


if __name__ == "__main__":
    main()
