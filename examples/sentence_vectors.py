"""Sentences to vectors: texts that mean the same stand near each other. Here: search in reviews.

An encoder gives each token a vector that knows of all the others; their mean is the vector of the
text, and the cosine of two vectors says how alike two texts are (Reimers and Gurevych,
"Sentence-BERT", arXiv:1908.10084). A text is then found by its meaning: the corpus becomes one
matrix, the query one vector, and a product of both ranks all texts exactly.

It learns from pairs that are alike, without any label: of a batch of pairs each first text must
find its own second text among all (multiple negatives ranking; Henderson and others,
arXiv:1705.00652). Triplets with a text that is less alike, and pairs with a number (STS), are
learned from too. What is told is how well texts find their pair: the mean of 1 / rank (mrr) and how
often it is first.

    python examples/sentence_vectors.py
    python examples/sentence_vectors.py --train pairs.jsonl --validation sts.csv \\
        --model all-MiniLM-L6-v2 --epochs 1 --learning-rate 2e-5 "a film to remember"

Pairs are {"sentence1": ..., "sentence2": ...} a line, triplets {"anchor": ..., "positive": ...,
"negative": ...}, and "score" is how alike two texts are. The same on the command line, and what a
directory of sentence-transformers such as all-MiniLM-L6-v2 does without any training:

    plainformer finetune sentence-similarity --model all-MiniLM-L6-v2 --train pairs.jsonl \\
        --validation sts.csv --learning-rate 2e-5 --output-dir out
    plainformer embed out --input reviews.txt --output reviews.npy
    plainformer search out --corpus reviews.txt --embeddings reviews.npy "a film to remember"

sentence-transformers opens `out` too.
"""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path

import click

import plainformer as pf

TASK = "sentence-similarity"
# An encoder so small that it learns from nothing in seconds; for real texts take one that is
# trained already.
CONFIG = {
    "model_type": "bert",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "max_position_embeddings": 64,
    "initializer_range": 0.1,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
TOKENIZER = "wordpiece:300"
QUERIES = ("I found the players fine", "the tale was weak")

SAME = {  # words for one thing
    "cast": ["cast", "actors", "players"],
    "music": ["music", "songs", "melody"],
    "story": ["story", "plot", "tale"],
    "ending": ["ending", "finale", "last scene"],
    "good": ["good", "great", "fine"],
    "bad": ["bad", "weak", "dull"],
}
THINGS = ("cast", "music", "story", "ending")
FRAMES = ("the {thing} was {word}", "I found the {thing} {word}", "{word} , this {thing}")


def make_text(draw: random.Random, thing: str, word: str) -> str:
    """One of many ways to say it."""
    frame = draw.choice(FRAMES)
    return frame.format(thing=draw.choice(SAME[thing]), word=draw.choice(SAME[word]))


def make_pairs(draw: random.Random, count: int) -> list[dict[str, str]]:
    """Two texts that say the same in other words, or at times in the same."""
    said = [(draw.choice(THINGS), draw.choice(["good", "bad"])) for _ in range(count)]
    return [{"sentence1": make_text(draw, *x), "sentence2": make_text(draw, *x)} for x in said]


def make_data(folder: Path) -> tuple[str, str]:
    """Write pairs to learn from, and one of each kind to test on."""
    draw = random.Random(0)
    kinds = [(thing, word) for thing in THINGS for word in ("good", "bad")]
    test = [{"sentence1": make_text(draw, *x), "sentence2": make_text(draw, *x)} for x in kinds]
    return (
        write_jsonl(folder / "train.jsonl", make_pairs(draw, 1500)),
        write_jsonl(folder / "validation.jsonl", test),
    )


def write_jsonl(path: Path, rows: list[dict]) -> str:
    """Write an object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@click.command()
@click.argument("queries", nargs=-1)
@click.option("--train", help="A file to learn from; without files, a small set is made.")
@click.option("--validation", help="A file to test on, before and after.")
@click.option("--model", help="A directory or a config.json; without it, a tiny new model.")
@click.option("--tokenizer", help="For a model without one, such as wordpiece:8000.")
@click.option("--output-dir", default="runs/sentence_vectors", show_default=True)
@click.option("--epochs", "num_train_epochs", default=3.0, show_default=True)
@click.option("--learning-rate", default=1e-3, show_default=True)
@click.option("--seed", default=42, show_default=True)
def main(queries, train, validation, model, tokenizer, output_dir, **options):
    """Fine-tune an encoder on pairs of texts, and search with it for QUERIES."""
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

    corpus = [row.text for row in pf.data.read_examples(train, TASK)]
    corpus = list(dict.fromkeys(corpus))[:300]
    embed = pf.pipeline("feature-extraction", output_dir)
    vectors = embed(corpus)  # one array, a row a text
    asked = list(queries or QUERIES)
    for query, found in zip(asked, pf.tasks.semantic_search(embed(asked), vectors, top_k=3)):
        print(query)
        for hit in found:
            print(f"  {hit['score']:.3f}  {corpus[hit['corpus_id']]}")


if __name__ == "__main__":
    main()
