"""Data augmentation: new labelled texts out of a few. Here: what a sentence is about.

Labels cost work, plain text costs nothing. A masked language model learns from plain text which
words go together. Then words of a labelled text are hidden and the model writes others in their
places; the label stays:

    space   the comet is near the moon , the star and the crew
            the comet is near the [MASK] , the star and the [MASK]
    space   the comet is near the orbit , the star and the signal       <- a new example

Masks are filled one after another by drawing among likely words, so every copy is another one
(Kumar, Choudhary, Cho, "Data Augmentation Using Pre-trained Transformer Models", arXiv:2003.02245).
Here the words that stay tell the model the topic. Where they do not, as in opinions ("the plot was
[MASK]"), --label-epochs lets it first read the few examples with their labels in front, and
--filter keeps the new texts to which a classifier of the few gives their label.

The gain is measured: of --train, a few labels are drawn, and the rest is plain text. The same
classifier makes as many steps on the few as on the few with the new, for several draws. Measure it
on your data before you keep it: on film reviews (SST-2, 10 labels of each kind, MiniLM) it gained
nothing, in none of these ways (docs/notes/fine-tuning.md), since a large encoder knows already what
new texts would teach. What gained was to fine-tune from the masked model: pf.pretrain(texts,
model=..., objective="mlm"), then pf.finetune from what that wrote.

    python examples/data_augmentation.py
    python examples/data_augmentation.py --train train.jsonl --validation validation.jsonl \\
        --model all-MiniLM-L6-v2 --few 10 --label-epochs 10 --learning-rate 2e-4 --filter

Without files it makes a small data set, {"text": ..., "label": ...} a line; without a model it
starts from nothing. The masked model and the classifier on the command line:

    plainformer pretrain --objective mlm --packing --model all-MiniLM-L6-v2 --data texts.jsonl \\
        --mlm-probability 0.4 --learning-rate 5e-4 --block-size 64 --output-dir mlm
    plainformer finetune text-classification --model all-MiniLM-L6-v2 --train few.jsonl new.jsonl \\
        --validation validation.jsonl --output-dir out
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import click
import numpy as np

import plainformer as pf

TASK = "text-classification"
CONFIG = {  # an encoder so small that it learns from nothing in seconds
    "model_type": "bert", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 128, "max_position_embeddings": 64, "initializer_range": 0.1,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
TOKENIZER = "wordpiece:300"

WORDS = {
    "kitchen": ["bread", "soup", "oven", "spoon", "cheese", "sugar", "kettle", "plate", "onion"],
    "football": ["goal", "player", "coach", "ball", "match", "team", "referee", "pass", "keeper"],
    "space": ["planet", "rocket", "star", "orbit", "moon", "comet", "engine", "crew", "galaxy"],
}
FRAMES = ["the {} is near the {} , the {} and the {}", "{} , {} , {} or {} : which one ?"]
FRAMES += ["no {} without {} , no {} without {}"]


def make_row(draw: random.Random, label: str) -> dict:
    """A sentence with four words of a topic."""
    return {"text": draw.choice(FRAMES).format(*draw.sample(WORDS[label], 4)), "label": label}


def make_data(folder: Path) -> tuple[str, str]:
    """Write a file to learn from and one to test on."""
    draw = random.Random(0)
    rows = [make_row(draw, label) for label in list(WORDS) * 400]
    return (
        write_jsonl(folder / "train.jsonl", rows[180:]),
        write_jsonl(folder / "validation.jsonl", rows[:180]),
    )


def write_jsonl(path: Path, rows: list[dict]) -> str:
    """Write an object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def draw_few(examples: list, count: int, seed: int) -> list:
    """`count` examples of each label."""
    shuffled = random.Random(seed).sample(examples, len(examples))
    labels = sorted({example["label"] for example in examples})
    return [e for label in labels for e in [x for x in shuffled if x["label"] == label][:count]]


def train_masked_lm(rows: list, model: str | None, folder: Path, epochs: float, **more) -> Path:
    """A masked language model of texts without their labels, from a directory or from nothing."""
    base = {"model": model} if model else {"config": CONFIG, "tokenizer": TOKENIZER}
    usual = {"learning_rate": 5e-4 if model else 5e-3, "warmup_steps": 0.1, "logging_steps": 0.25}
    pf.pretrain(
        rows,
        objective="mlm",
        mlm_probability=0.4,
        packing=True,
        block_size=64,
        num_train_epochs=epochs,
        output_dir=folder,
        overwrite_output_dir=True,
        **{**base, **usual, **more},
    )
    return folder


class Infiller:
    """Writes other words into texts, with a masked language model.

    Tokens are drawn that are whole words, so that no word is half of another; `label` may stand
    before the text, where it is never hidden.
    """

    def __init__(self, masked_lm: Path, mask_fraction: float, top_k: int):
        self.model = pf.load(masked_lm, "masked-lm")
        self.tokenizer = pf.load_tokenizer(masked_lm)
        self.mask_fraction, self.top_k = mask_fraction, top_k
        vocabulary = self.tokenizer.get_vocab()
        self.whole = np.array(sorted(i for token, i in vocabulary.items() if token.isalpha()))

    def copies(self, text: str, count: int, draw: np.random.Generator, label: str = "") -> list:
        """A text `count` times with other words in some places; none without a word to hide."""
        words = text.split()
        places = [i for i, word in enumerate(words) if word.isalpha()]
        hidden = max(1, round(self.mask_fraction * len(places)))
        if not places:
            return []
        chosen = [draw.permutation(places)[:hidden] for _ in range(count)]
        rows = [list(words) for _ in range(count)]
        for row, own in zip(rows, chosen):
            for place in own:
                row[place] = self.tokenizer.mask_token
        for step in range(hidden):  # the first mask of each copy, then the second, ...
            drawn = self.draw(rows, [own[step] for own in chosen], draw, label)
            for row, own, word in zip(rows, chosen, drawn):
                row[own[step]] = word
        return [" ".join(row) for row in rows]

    def draw(self, rows: list, places: list, draw: np.random.Generator, label: str) -> list[str]:
        """A word for the mask at one place of each row."""
        before = [label] if label else []
        batch = self.tokenizer(
            [before + row for row in rows], is_split_into_words=True, padding=True
        )
        logits = np.asarray(self.model(**batch).logits, np.float32)
        words = []
        for i, place in enumerate(places):
            token = batch.word_ids(i).index(place + len(before))
            scores = logits[i, token, self.whole]
            likely = np.argsort(-scores, kind="stable")[: self.top_k]
            weights = np.exp(scores[likely] - scores[likely[0]])
            found = draw.choice(self.whole[likely], p=weights / weights.sum())
            words.append(self.tokenizer.convert_ids_to_tokens(int(found)))
        return words


def new_examples(labelled: list, infiller: Infiller, copies: int, seed: int, shown: bool) -> list:
    """New examples with the labels of the old ones, without doubles."""
    draw, seen, new = np.random.default_rng(seed), {e["text"] for e in labelled}, []
    for example in labelled:
        label = example["label"] if shown else ""
        for text in infiller.copies(example["text"], copies, draw, label):
            if text not in seen:
                seen.add(text)
                new.append({"text": text, "label": example["label"]})
    return new


@click.command()
@click.option("--train", help="Labelled texts; without files, a small set is made.")
@click.option("--validation", help="A file to test on.")
@click.option("--model", help="An encoder's directory; without it, a tiny new model.")
@click.option("--output-dir", default="runs/data_augmentation", show_default=True)
@click.option("--few", default=1, show_default=True, help="Labels that are used, of each kind.")
@click.option("--draws", default=6, show_default=True)
@click.option("--mlm-epochs", default=20.0, show_default=True)
@click.option("--copies", default=16, show_default=True)
@click.option("--mask-fraction", default=0.5, show_default=True)
@click.option("--top-k", default=50, show_default=True, help="Words among which is drawn.")
@click.option("--label-epochs", default=0, show_default=True, help="Passes over the few.")
@click.option("--filter", "filters", is_flag=True, help="Ask a classifier of the few.")
@click.option("--max-steps", default=60, show_default=True, help="Of the classifier.")
@click.option("--learning-rate", default=1e-3, show_default=True, help="Of the classifier.")
def main(
    train, validation, model, output_dir, few, draws, mlm_epochs, copies, mask_fraction, top_k,
    label_epochs, filters, **learning,
):  # fmt: skip
    """Write new examples, and measure what a classifier gains by them."""
    folder = Path(output_dir)
    if train is None and validation is None:
        train, validation = make_data(folder)
    read = pf.data.read_examples(train, TASK)
    examples = [{"text": example.text, "label": example.label} for example in read]
    texts = [{"text": example["text"]} for example in examples]
    masked_lm = train_masked_lm(texts, model, folder / "mlm", mlm_epochs)

    def accuracy(labelled: list, seed: int) -> float:
        result = pf.finetune(
            TASK,
            model or CONFIG,
            labelled,
            test=validation,
            output_dir=folder / "classifier",
            tokenizer=None if model else str(masked_lm),
            per_device_train_batch_size=16,
            overwrite_output_dir=True,
            save_strategy="no",
            seed=seed,
            **learning,
        )
        return result.metrics["test_accuracy"]

    found = []
    for seed in range(draws):
        labelled, writer = draw_few(examples, few, seed), masked_lm
        if label_epochs:
            rows = [{"text": f"{e['label']} {e['text']}"} for e in labelled]
            writer = train_masked_lm(
                rows, str(masked_lm), folder / "labels", label_epochs, learning_rate=5e-5
            )
        infiller = Infiller(writer, mask_fraction, top_k)
        new = new_examples(labelled, infiller, copies, seed, shown=label_epochs > 0)
        before = accuracy(labelled, seed)
        if filters:
            classify = pf.pipeline(TASK, folder / "classifier")
            said = classify([example["text"] for example in new])
            new = [e for e, best in zip(new, said) if best["label"] == e["label"]]
        found.append((before, accuracy([*labelled, *new], seed)))
        print(f"{found[-1][0]:.3f} from {len(labelled)}, {found[-1][1]:.3f} with {len(new)} new:")
        for example in new[:: max(1, len(new) // 2)]:
            print(f"  {example['label']:10} {example['text']}")
    before, after = (sum(column) / draws for column in zip(*found))
    print(f"accuracy, learned from the few: {before:.3f}")
    print(f"accuracy, learned from the few and the new: {after:.3f}")


if __name__ == "__main__":
    main()
