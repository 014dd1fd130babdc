"""Chinese: the same tasks, with characters for tokens. Here: does a guest like the hotel?

There are no spaces between Chinese words, so each character is a token:

    [CLS] 房 间 一 点 也 不 脏 [SEP]

`--tokenizer char:SIZE` makes it so, for every character of a text; the SIZE - 5 most frequent ones
have a token, others are [UNK]. `--tokenizer wordpiece:SIZE` takes Chinese characters one by one
too, and in other scripts pieces of words, which suits mixed texts; it is what bert-base-chinese
has. Head and loss are those of examples/text_classification.py: a linear layer on the vector of
[CLS], and the cross entropy (Devlin and others, "BERT", arXiv:1810.04805, section 4.1). All other
tasks take Chinese as well; BLEU and ROUGE then count characters.

    python examples/chinese.py
    python examples/chinese.py --tokenizer wordpiece:300
    python examples/chinese.py --train train.jsonl --validation validation.jsonl \\
        --model config.json --tokenizer char:3000 --epochs 5 --learning-rate 5e-4 "房间很干净"

Without files it makes a small data set, {"text": ..., "label": ...} a line, and without a model it
starts from a tiny new one. The same on the command line:

    plainformer finetune text-classification --model config.json --tokenizer char:3000 \\
        --train train.jsonl --validation validation.jsonl --num-train-epochs 5 \\
        --learning-rate 5e-4 --output-dir out
    plainformer predict out "房间很干净"

Recipes on public data: zh_hotel (sentiment), zh_toutiao (topics), in benchmarks/recipes; both start
from nothing.
"""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path

import click

import plainformer as pf

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
TOKENIZER = "char:200"
TEXTS = ("房间很脏", "房间一点也不脏", "早餐非常好吃，下次带朋友来")

OPINIONS = {  # what guests speak of, and what they call it when they like it or do not
    "房间": [("干净", "脏"), ("宽敞", "小")],
    "服务": [("热情", "冷淡"), ("周到", "慢")],
    "早餐": [("好吃", "难吃"), ("丰富", "单调")],
    "位置": [("方便", "偏僻"), ("理想", "糟糕")],
    "周围": [("安静", "吵"), ("漂亮", "乱")],
}
ADVERBS, NEGATIONS = ["很", "非常", "真的", "太", "特别"], ["不", "一点也不"]
BEFORE = ["", "这家酒店的", "我觉得", "朋友说", "上个月去过，", "住了两晚，"]
AFTER = ["", "。", "，大家都这么说", "，第一次来", "，和去年一样"]


def make_review(draw: random.Random) -> dict[str, str]:
    """A sentence and its label. "不" turns the label around: words alone do not tell it."""
    liked, negated = draw.random() < 0.5, draw.random() < 0.2
    noun = draw.choice(list(OPINIONS))
    good, bad = draw.choice(OPINIONS[noun])
    words = draw.choice(NEGATIONS if negated else ADVERBS) + (good if liked != negated else bad)
    text = draw.choice(BEFORE) + noun + words + draw.choice(AFTER)
    return {"text": text, "label": "好评" if liked else "差评"}


def make_data(folder: Path) -> tuple[str, str]:
    """Write a file to learn from and one to test on, which share no text."""
    draw = random.Random(0)
    rows = list({row["text"]: row for row in (make_review(draw) for _ in range(1200))}.values())
    return (
        write_jsonl(folder / "train.jsonl", rows[200:]),
        write_jsonl(folder / "validation.jsonl", rows[:200]),
    )


def write_jsonl(path: Path, rows: list[dict]) -> str:
    """Write an object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )
    return str(path)


@click.command()
@click.argument("texts", nargs=-1)
@click.option("--train", help="A file to learn from; without files, a small set is made.")
@click.option("--validation", help="A file to test on, before and after.")
@click.option("--model", help="A directory or a config.json; without it, a tiny one.")
@click.option("--tokenizer", help="For a model without one, char:SIZE or wordpiece:SIZE.")
@click.option("--output-dir", default="runs/chinese", show_default=True)
@click.option("--epochs", "num_train_epochs", default=8.0, show_default=True)
@click.option("--learning-rate", default=1e-3, show_default=True)
@click.option("--seed", default=42, show_default=True)
def main(texts, train, validation, model, tokenizer, output_dir, **options):
    """Train a model that labels Chinese texts, test it before and after, and label TEXTS."""
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

    classify = pf.pipeline(TASK, output_dir)
    for text in texts or TEXTS:
        [best] = classify(text)
        print(f"{text}: {best['label']} ({best['score']:.0%})")


if __name__ == "__main__":
    main()
