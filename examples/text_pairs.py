"""Two texts and what one says of the other: entailment (NLI), paraphrases, answers to rank.

What the model sees are both texts, with a token between them, and types that tell them apart:

    [CLS] the cast was clever [SEP] they called the cast clever [SEP]     yes
    0     0   0    0   0      0     1    1      1   1    1      1

Every token attends to both texts, and the head reads [CLS] as for one text (Devlin and others,
"BERT", arXiv:1810.04805, section 4.1; sentence-transformers calls such a model a cross-encoder).
Where a pair is too long, tokens are taken from the longer text. Data has the two texts under
text and text_pair, premise and hypothesis, sentence1 and sentence2, question1 and question2, query
and passage; `columns` names others. A number for a label ("label": 4.2) makes a regression, a
reranker is that with one output.

    python examples/text_pairs.py
    python examples/text_pairs.py --train train.jsonl --validation validation.jsonl \\
        --model all-MiniLM-L6-v2 --epochs 3 --learning-rate 2e-4

Afterwards the page prints the report of the model on the validation data: precision, recall and F1
of each label, what was taken for what, whether probabilities can be believed (ECE: how far they
are from the share that is right; Guo and others, arXiv:1706.04599), and the most confident errors,
in which wrong labels of data are found first. Labels are rare here and there: class weights of
"balanced" let all of them weigh the same. The same on the command line:

    plainformer finetune text-classification --model all-MiniLM-L6-v2 --train train.jsonl \\
        --validation validation.jsonl --class-weights balanced --learning-rate 2e-4 --output-dir out
    plainformer evaluate out --data validation.jsonl --output errors.csv --report figures.json \\
        --confusion-matrix confusion.png
    plainformer predict out '{"text": "it was fine", "text_pair": "they called it fine"}'
"""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path

import click

import plainformer as pf
from plainformer.data import read_examples

TASK = "text-classification"
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
ASKED = [
    {"text": "the cast was clever", "text_pair": "they called the cast clever"},
    {"text": "the cast was clever", "text_pair": "nobody called the cast clever"},
    {"text": "the cast was clever", "text_pair": "they called the music clever"},
]

NOUNS = ["film", "story", "cast", "ending", "music", "script"]
WORDS = ["good", "great", "fresh", "moving", "clever", "weak", "dull", "flat", "clumsy", "silly"]
PREMISES = ["the {} was {}", "we found the {} {}", "a {} that is so {}"]
SAME = ["they called the {} {}", "people say that the {} is {}"]
OTHERWISE = ["nobody called the {} {}", "people deny that the {} is {}"]


def make_pair(draw: random.Random) -> dict[str, str]:
    """Two sentences, and whether the second follows: yes, no, or unknown where they speak of
    different things."""
    follows, speaks_of_it = draw.random() < 0.5, draw.random() < 0.75
    (noun, other), word = draw.sample(NOUNS, 2), draw.choice(WORDS)
    premise = draw.choice(PREMISES).format(noun, word)
    frame = draw.choice(SAME if follows else OTHERWISE)
    label = "unknown" if not speaks_of_it else "yes" if follows else "no"
    hypothesis = frame.format(noun if speaks_of_it else other, word)
    return {"premise": premise, "hypothesis": hypothesis, "label": label}


def make_data(folder: Path) -> tuple[str, str]:
    """Write a file to learn from and one to test on, which share no pair."""
    draw = random.Random(0)
    made = (make_pair(draw) for _ in range(2400))
    rows = list({(row["premise"], row["hypothesis"]): row for row in made}.values())
    return (
        write_jsonl(folder / "train.jsonl", rows[200:]),
        write_jsonl(folder / "validation.jsonl", rows[:200]),
    )


def write_jsonl(path: Path, rows: list[dict]) -> str:
    """Write an object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@click.command()
@click.option("--train", help="A file to learn from; without files, a small set is made.")
@click.option("--validation", help="A file to test on, before and after.")
@click.option("--model", help="A directory or a config.json; without it, a tiny new model.")
@click.option("--tokenizer", help="For a model without one, such as wordpiece:8000.")
@click.option("--output-dir", default="runs/text_pairs", show_default=True)
@click.option("--epochs", "num_train_epochs", default=12.0, show_default=True)
@click.option("--learning-rate", default=2e-3, show_default=True)
@click.option("--seed", default=42, show_default=True)
def main(train, validation, model, tokenizer, output_dir, **options):
    """Fine-tune a model on pairs of texts, test it before and after, and report on it."""
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
        class_weights="balanced",
        overwrite_output_dir=True,
        **options,
    )
    print(f"\n{result}\n")

    examples = read_examples(validation or train, TASK)
    _, report = result.task.judge(examples)
    print(f"{report}\n\nto be looked at first:")
    for row in report.rows()[:3]:  # confident errors, then doubtful answers
        print(f"  {row['prediction']} for {row['gold']}: {row['text']} | {row.get('text_pair')}")

    classify = pf.pipeline(TASK, output_dir)
    for pair, found in zip(ASKED, classify(ASKED)):
        print(f"{pair['text']} | {pair['text_pair']}: {found['label']} ({found['score']:.0%})")


if __name__ == "__main__":
    main()
