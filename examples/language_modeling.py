"""Language modeling: which token comes next. Here: little tales, all of one kind.

A decoder sees the text up to a token and gives a score to every token that may follow, at all
places at once:

    sees     the   king lost the  crown near the  castle
    learns   king  lost the  crown near the  castle .

The head is the table of token vectors itself (tied weights), the loss the cross entropy with the
next token (Bengio and others, "A Neural Probabilistic Language Model", 2003; Radford and others,
"Language Models are Unsupervised Multitask Learners", 2019). Perplexity is the exponential of the
mean loss: among how many tokens the model still wavers, as if it threw dice. A model that knows
nothing has about as many as there are tokens. To write, the model goes on behind a prompt, one
token at a time.

    python examples/language_modeling.py
    python examples/language_modeling.py --train train.txt --validation validation.txt \\
        --model gpt2 --epochs 1 --learning-rate 5e-5 "Every morning"

Without files it makes a small text, and without a model it starts from nothing; what a model is
trained on before that is `plainformer pretrain`. The same on the command line:

    plainformer finetune language-modeling --model gpt2 --train train.txt \\
        --validation validation.txt --num-train-epochs 1 --learning-rate 5e-5 --output-dir out
    plainformer predict out "Every morning"
    plainformer generate out "Every morning" --do-sample --top-p 0.9
"""

from __future__ import annotations

import logging
import random
from pathlib import Path

import click

import plainformer as pf

TASK = "language-modeling"
CONFIG = {  # a GPT so small that it learns from nothing in seconds
    "model_type": "gpt2",
    "n_layer": 2,
    "n_head": 4,
    "n_embd": 64,
    "n_positions": 64,
    "resid_pdrop": 0.0,
    "initializer_range": 0.1,  # a narrow model starts better from larger weights
    "embd_pdrop": 0.0,
    "attn_pdrop": 0.0,
}
TOKENIZER = "bpe:400"
TEXTS = ("Every morning the baker", "The king lost", "Ask the sailor")

LIVES = {  # what everyone has and where it is taken; one tells the others
    "baker": ("bread", "market"),
    "miller": ("flour", "mill"),
    "sailor": ("boat", "sea"),
    "farmer": ("corn", "barn"),
    "teacher": ("book", "school"),
    "king": ("crown", "castle"),
    "hunter": ("dog", "forest"),
    "painter": ("brush", "bridge"),
}
TIMES = ["morning", "day", "evening", "winter", "summer"]
TALES = """Every TIME the ONE takes the THING to the PLACE, and the TWO takes the HERS to the THERE.
The ONE lost the THING near the PLACE. The TWO was at the THERE all TIME and saw nothing.
At the PLACE lives the ONE with the THING. Each TIME the TWO comes from the THERE.
Ask the ONE for the THING, and the TWO for the HERS, any TIME at the THERE.""".splitlines()


def make_tale(draw: random.Random) -> str:
    """A tale of two people. Its beginning tells much of how it goes on, but not who comes next."""
    one, two = draw.sample(list(LIVES), 2)
    (thing, place), (hers, there) = LIVES[one], LIVES[two]
    words = {"ONE": one, "TWO": two, "THING": thing, "PLACE": place, "HERS": hers, "THERE": there}
    tale = draw.choice(TALES).replace("TIME", draw.choice(TIMES))
    for name, word in words.items():
        tale = tale.replace(name, word)
    return tale


def make_data(folder: Path) -> tuple[str, str]:
    """Write a file to learn from and one to test on, which share no tale."""
    draw = random.Random(0)
    tales = list(dict.fromkeys(make_tale(draw) for _ in range(800)))
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "train.txt", folder / "validation.txt"
    for path, part in zip(paths, (tales[50:], tales[:50])):
        path.write_text("\n".join(part) + "\n", encoding="utf-8")
    return str(paths[0]), str(paths[1])


@click.command()
@click.argument("texts", nargs=-1)
@click.option("--train", help="A file to learn from; without files, a small set is made.")
@click.option("--validation", help="A file to test on, before and after.")
@click.option("--model", help="A directory or a config.json; without it, a tiny new model.")
@click.option("--tokenizer", help="For a model without one, such as wordpiece:8000.")
@click.option("--output-dir", default="runs/language_modeling", show_default=True)
@click.option("--epochs", "num_train_epochs", default=10.0, show_default=True)
@click.option("--learning-rate", default=5e-3, show_default=True)
@click.option("--seed", default=42, show_default=True)
def main(texts, train, validation, model, tokenizer, output_dir, **options):
    """Fine-tune a model on a text, test it before and after, and let it go on behind TEXTS."""
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
        per_device_train_batch_size=8,
        warmup_steps=0.1,
        max_new_tokens=24,
        overwrite_output_dir=True,
        **options,
    )
    print(f"\n{result}\n")

    write = pf.pipeline(TASK, output_dir)
    for text in texts or TEXTS:
        [written] = write(text)
        print(written["generated_text"])


if __name__ == "__main__":
    main()
