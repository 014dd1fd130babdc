"""Question answering: which words of a text answer a question. Here: who went where, and when.

The model reads the question and the text, and the answer is a piece of the text:

    [CLS] where did ann go ? [SEP] bob went to rome . in may ann went to new oslo . [SEP]
                                                                         ^start ^end

The head is a linear layer with two rows on the vector of each token: one gives a score for being
the first token of the answer, the other for the last. Each is a softmax over all tokens, and the
loss is the mean of the two cross entropies (Devlin and others, "BERT", arXiv:1810.04805, section
4.2). Where the data has questions without an answer, [CLS] stands for it (section 4.3). A long text
is seen in windows that overlap; the best piece of all windows wins.

    python examples/question_answering.py
    python examples/question_answering.py --train train.json --validation validation.json \\
        --model all-MiniLM-L6-v2 --epochs 2 --learning-rate 2e-4 "Who went?" "Ann went."

Without files it makes a small data set, {"question": ..., "context": ..., "answers": [{"text": ...,
"answer_start": 17}]} a line (SQuAD's own JSON is read too); without a model it starts from nothing.
The same on the command line:

    plainformer finetune question-answering --model all-MiniLM-L6-v2 --train train.json \\
        --validation validation.json --num-train-epochs 2 --learning-rate 2e-4 --output-dir out
    plainformer predict out --input questions.jsonl
    plainformer predict out --question "Who went to Rome?" --context-file 'reports/*.txt' --top-k 3

The last looks through all files and says in which one, and where, each of the three answers stands;
`answer(question=..., context={"a.txt": "...", "b.txt": "..."}, top_k=3)` does so in Python.

Recipe on public data: squad11, in benchmarks/recipes.
"""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path

import click

import plainformer as pf

TASK = "question-answering"
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
    ("where did Ann go ?", "Bob went to Rome . in May Ann went to New Oslo ."),
    ("when did Ann go to New Oslo ?", "Bob went to Rome . in May Ann went to New Oslo ."),
    ("how did Ann travel ?", "Bob went to Rome . in May Ann went to New Oslo ."),
)

NAMES = ["Ann", "Bob", "Eve", "Tom", "Ida", "Leo"]
PLACES = ["Rome", "New Oslo", "Lima", "Kyoto", "Upper Vale", "Paris"]
MONTHS = ["May", "June", "July", "early March", "late August"]
WAYS = ["train", "bus", "a small boat", "bicycle"]
FRAMES = ["in {when} {who} went to {where} {how}.", "{who} went to {where} in {when} {how}."]
ASKED = {
    "who": ["who went to {where} ?", "who was it that went to {where} ?"],
    "where": ["where did {who} go ?", "what place did {who} go to ?"],
    "when": ["when did {who} go ?", "when was it that {who} went to {where} ?"],
    "how": ["how did {who} travel ?", "how did {who} get to {where} ?"],
}
BEFORE = ["", "it was a warm year .", "this is what we know .", "nobody stayed at home ."]


def make_question(draw: random.Random) -> dict:
    """A question about a journey. How somebody went is not always said: then nothing answers."""
    way = draw.choice([None, *WAYS])
    facts = {
        "who": draw.choice(NAMES), "where": draw.choice(PLACES), "when": draw.choice(MONTHS),
        "how": "" if way is None else f"by {way} ",
    }  # fmt: skip
    asked = draw.choice(list(ASKED))
    context = f"{draw.choice(BEFORE)} {draw.choice(FRAMES).format(**facts)}".strip()
    question = draw.choice(ASKED[asked]).format(**facts)
    answer = facts[asked].strip()
    found = [{"text": answer, "answer_start": context.index(answer)}] if answer else []
    return {"question": question, "context": context, "answers": found}


def make_data(folder: Path) -> tuple[str, str]:
    """Write a file to learn from and one to test on, which share no question with its text."""
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
@click.argument("asked", nargs=2, required=False, metavar="[QUESTION CONTEXT]")
@click.option("--train", help="A file to learn from; without files, a small set is made.")
@click.option("--validation", help="A file to test on, before and after.")
@click.option("--model", help="A directory or a config.json; without it, a tiny new model.")
@click.option("--tokenizer", help="For a model without one, such as wordpiece:8000.")
@click.option("--output-dir", default="runs/question_answering", show_default=True)
@click.option("--epochs", "num_train_epochs", default=4.0, show_default=True)
@click.option("--learning-rate", default=1e-3, show_default=True)
@click.option("--seed", default=42, show_default=True)
def main(asked, train, validation, model, tokenizer, output_dir, **options):
    """Fine-tune a model that answers, test it before and after, and let it answer QUESTION."""
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

    answer = pf.pipeline(TASK, output_dir)
    for question, context in [asked] if asked else QUESTIONS:
        found = answer(question=question, context=context)
        print(f"{context}\n  {question} {found['answer'] or 'The text does not say.'}")


if __name__ == "__main__":
    main()
