"""中文任务：命名实体、摘要、生成。分类在 examples/chinese.py。

中文词与词之间没有空格，所以每个字是一个词元（`char:SIZE`），实体的位置按字数：

    {"text": "王小明在上海的东风公司工作",
     "entities": [[0, 3, "人名"], [4, 6, "地名"], [7, 11, "机构"]]}      一行一个

这也是 doccano、Label Studio、spaCy 等标注工具导出的样子，程序直接读取。三个任务的模型和损失：

    entities    编码器；每个字一个标签（B- 开头，I- 继续），交叉熵；输出的标签前后一致（Viterbi）
    summaries   编码器-解码器；读一篇短讯，写一个标题；指标是按字计算的 ROUGE
    generation  解码器；学写句子，指标是每字比特数和困惑度

The same in English: entities at offsets, summaries and texts in Chinese, with characters for
tokens; ROUGE counts characters. `--task` says which of the three.

    python examples/chinese_tasks.py
    python examples/chinese_tasks.py --task summaries
    python examples/chinese_tasks.py --task generation
    python examples/chinese_tasks.py --task entities --train train.jsonl \\
        --validation validation.jsonl --model DIR "王小明在上海工作"

不给文件就造一小份数据，不给模型就从零开始。命令行上的同样做法：

    plainformer finetune ner --model config.json --tokenizer char:3000 --train train.jsonl \\
        --validation validation.jsonl --output-dir out
    plainformer predict out "王小明在上海工作" --format highlight
    plainformer finetune summarization ... ; plainformer finetune language-modeling ...
"""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path

import click

import plainformer as pf

NAMES = {"entities": "ner", "summaries": "summarization", "generation": "language-modeling"}
ENCODER = {  # so small that it learns from nothing in seconds
    "model_type": "bert", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 128, "max_position_embeddings": 64, "initializer_range": 0.1,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
BOTH = {
    "model_type": "transformer", "d_model": 64, "encoder_layers": 2, "decoder_layers": 2,
    "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 128,
    "decoder_ffn_dim": 128, "max_position_embeddings": 64, "dropout": 0.0,
}  # fmt: skip
DECODER = {
    "model_type": "gpt2", "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 64,
    "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0,
}  # fmt: skip
MODELS = {"entities": ENCODER, "summaries": BOTH, "generation": DECODER}
EPOCHS = {"entities": 5, "summaries": 6, "generation": 12}
TEXTS = {
    "entities": ["周小华昨天离开南京，去了北方银行。", "🙂王小明在上海"],
    "summaries": ["记者从上海了解到，东风公司昨天在当地开设了新的图书馆，市民表示欢迎。"],
    "generation": ["记者从上海", "王小明"],
}

PEOPLE = [a + b for a in "王李张刘周陈" for b in ("小明", "伟", "小华", "芳", "建国")]
PLACES = ["上海", "北京", "南京", "广州", "成都", "哈尔滨", "乌鲁木齐"]
FIRMS = [a + b for a in ("东风", "北方", "长江", "南京", "新华") for b in ("公司", "银行", "大学")]
FRAMES = [
    "{人名}在{地名}的{机构}工作", "{人名}昨天离开{地名}，去了{机构}。", "{机构}把总部搬到了{地名}",
    "{人名}和{人名}都是{机构}的人", "{地名}下雨了，{人名}没有带伞", "今天没有什么新闻",
]  # fmt: skip
THINGS = ["图书馆", "医院", "学校", "地铁站", "公园", "车站"]
DAYS = ["昨天", "今天", "上周", "本月"]


def make_entities(draw: random.Random) -> dict:
    """A sentence, and where in it names are: counted in characters."""
    text, entities = "", []
    for i, part in enumerate(draw.choice(FRAMES).replace("}", "{").split("{")):
        words = (
            {"人名": PEOPLE, "地名": PLACES, "机构": FIRMS}.get(part, [part]) if i % 2 else [part]
        )
        word = draw.choice(words)
        if i % 2:
            entities.append([len(text), len(text) + len(word), part])
        text += word
    return {"text": text, "entities": entities}


def make_report(draw: random.Random) -> tuple[str, str]:
    """A report of one sentence and its headline."""
    place, firm, thing, day = map(draw.choice, (PLACES, FIRMS, THINGS, DAYS))
    report = f"记者从{place}了解到，{firm}{day}在当地开设了新的{thing}，市民表示欢迎。"
    return report, f"{firm}在{place}新建{thing}"


def make_rows(task: str, draw: random.Random) -> dict:
    """A row of the task's data."""
    if task == "entities":
        return make_entities(draw)
    report, headline = make_report(draw)
    if task == "summaries":
        return {"document": report, "summary": headline}
    return {"text": draw.choice([report, make_entities(draw)["text"]])}


def make_data(folder: Path, task: str) -> tuple[str, str]:
    """Write a file to learn from and one to test on, which share no text."""
    draw = random.Random(0)
    rows = list({str(row): row for row in (make_rows(task, draw) for _ in range(900))}.values())
    folder.mkdir(parents=True, exist_ok=True)
    files = folder / "train.jsonl", folder / "validation.jsonl"
    for file, part in zip(files, (rows[100:], rows[:100])):
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in part]
        file.write_text("".join(lines), encoding="utf-8")
    return str(files[0]), str(files[1])


def show(task: str, directory: str, texts: list[str]) -> None:
    """Print what the model makes of texts."""
    ask = pf.pipeline(None, directory)
    for text in texts:
        if task == "entities":
            print(pf.highlight(text, ask(text)))  # 终端里有颜色；笔记本里也能显示
        else:
            [answer] = ask(text)
            print(f"{text} -> {next(iter(answer.values()))}")


@click.command()
@click.argument("texts", nargs=-1)
@click.option("--task", type=click.Choice(list(NAMES)), default="entities", show_default=True)
@click.option("--train", help="A file to learn from; without files, a small set is made.")
@click.option("--validation", help="A file to test on, before and after.")
@click.option("--model", help="A directory or a config.json; without it, a tiny one.")
@click.option("--tokenizer", help="For a model without one, char:SIZE or wordpiece:SIZE.")
@click.option("--output-dir", default="runs/chinese_tasks", show_default=True)
@click.option("--epochs", "num_train_epochs", type=float, help="Default as the task needs.")
@click.option("--learning-rate", default=2e-3, show_default=True)
@click.option("--seed", default=42, show_default=True)
def main(texts, task, train, validation, model, tokenizer, output_dir, num_train_epochs, **options):
    """Train a model for a Chinese task, test it before and after, and ask it TEXTS."""
    logging.basicConfig(level="INFO", format="%(message)s")  # show what is read and done
    if train is None and validation is None:
        train, validation = make_data(Path(output_dir), task)
    if model is None:
        model, tokenizer = MODELS[task], tokenizer or "char"

    result = pf.finetune(
        NAMES[task],
        model,
        train,
        validation,
        output_dir=output_dir,
        tokenizer=tokenizer,
        num_train_epochs=num_train_epochs or EPOCHS[task],
        per_device_train_batch_size=16,
        warmup_steps=0.1,
        overwrite_output_dir=True,
        **options,
    )
    print(f"\n{result}\n")
    show(task, output_dir, list(texts) or TEXTS[task])


if __name__ == "__main__":
    main()
