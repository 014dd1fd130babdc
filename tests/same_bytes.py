"""Does a change of the code change what comes out? Bytes, recorded before and compared after.

    PYTHONPATH=python python -m tests.same_bytes record before.json
    PYTHONPATH=python python -m tests.same_bytes compare before.json

For every family and objective that fit, and for every task, it trains a tiny model for 20 steps on
the command line, with dropout, accumulation and checkpoints, in float32 and bfloat16, and records
the digest of each file that is left (weights, optimizer, log, configuration, tokenizer), of logits,
generated texts, answers and figures. Everything goes through commands and `pf.load`, so that what
lies under them may be rebuilt. Bytes depend on the instruction set: both runs want the same machine
and level. Half a minute; `--only WORD` takes the runs whose name has the word.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from click.testing import CliRunner

import plainformer as pf
from plainformer.cli import main as plainformer
from plainformer.models import MODELS

_BERT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
         "intermediate_size": 24, "max_position_embeddings": 40}  # fmt: skip
_LLAMA = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
          "num_attention_heads": 4, "num_key_value_heads": 2,
          "max_position_embeddings": 40}  # fmt: skip
_BART = {"d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
         "decoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24,
         "max_position_embeddings": 40}  # fmt: skip
FAMILIES: dict[str, dict[str, Any]] = {
    "gpt2": {"n_layer": 2, "n_head": 2, "n_embd": 16, "n_positions": 40},
    "llama": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA | {"head_dim": 8},
    "mistral": _LLAMA | {"sliding_window": 8},
    "phi3": _LLAMA,
    "gemma2": _LLAMA | {"head_dim": 8, "sliding_window": 8},
    "gemma3_text": _LLAMA | {"head_dim": 8, "sliding_window": 8},
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "deberta-v2": _BERT | {"relative_attention": True, "pos_att_type": "c2p|p2c",
                          "position_buckets": 6},
    "modernbert": _BERT | {"local_attention": 8},
    "mpnet": _BERT,
    "electra": _BERT | {"embedding_size": 8},
    "albert": _BERT | {"embedding_size": 8},
    "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24,
                   "max_position_embeddings": 40},
    "bart": _BART,
    "marian": _BART,
    "transformer": _BART,
    "t5": {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2},
}  # fmt: skip
DECODERS = tuple(family for family in FAMILIES if "causal-lm" in MODELS[family].models)
ENCODERS = tuple(family for family in FAMILIES if "masked-lm" in MODELS[family].models)
# What each objective trains, with which tokenizer.
OBJECTIVES = {
    "clm": (DECODERS, "bpe:290"),
    "mlm": (ENCODERS, "wordpiece:70"),
    "span": (("t5", "bart", "marian", "transformer"), "bpe:390"),
    "denoise": (("bart", "marian", "transformer", "t5"), "bpe:290"),
}
# What each task trains, with which tokenizer; the first two columns of a row are its fields.
TASKS = {
    "text-classification": ((*ENCODERS, *DECODERS, "bart"), "wordpiece:90"),
    "token-classification": ((*ENCODERS, "gpt2", "llama"), "wordpiece:90"),
    "relation-extraction": (("bert", "roberta"), "wordpiece:90"),
    "question-answering": ((*ENCODERS, "bart"), "wordpiece:90"),
    "multiple-choice": (ENCODERS, "wordpiece:90"),
    "translation": (("transformer", "bart", "marian", "t5"), "bpe:300"),
    "summarization": (("gpt2", "bart"), "bpe:300"),
    "dialogue": (("gpt2", "llama"), "bpe:300"),
    "language-modeling": (("gpt2", "qwen2"), "bpe:300"),
}
_ANIMALS, _DOES = ("cat", "dog", "old fox", "bird"), ("sleeps", "eats bread", "sings", "is warm")
_SENTENCES = [f"the {a} {d}" for a in _ANIMALS for d in _DOES]


def _rows(task: str) -> list[dict[str, Any]]:
    """Labelled data of a task, sixteen rows of unequal lengths."""
    return [_row(task, i, text) for i, text in enumerate(_SENTENCES)]


def _row(task: str, i: int, text: str) -> dict[str, Any]:
    words = text.split()
    if task == "text-classification":
        return {"text": text, "label": words[1]}
    if task == "token-classification":
        return {"tokens": words, "tags": ["O", "B-WHO", *["O"] * (len(words) - 2)]}
    if task == "relation-extraction":
        marked = f"the <e1>{words[1]}</e1> {' '.join(words[2:-1])} <e2>{words[-1]}</e2>"
        return {"text": marked, "label": ["Other", "Does(e1,e2)"][i % 2]}
    if task == "question-answering":
        answer = {"text": words[1], "answer_start": text.index(words[1])}
        return {"question": f"who {words[-1]} ?", "context": text, "answers": [answer]}
    if task == "multiple-choice":
        return {"question": text, "choices": ["yes it is", "no"], "label": i % 2}
    if task == "translation":
        return {"source": text, "target": " ".join(reversed(words))}
    if task == "summarization":
        return {"document": f"{text} and {text}", "summary": text}
    if task == "dialogue":
        said = [("user", f"who {words[-1]} ?"), ("assistant", text)]
        return {"messages": [{"role": role, "content": content} for role, content in said]}
    return {"text": f"{text} . " * 6}


class Recorder:
    """Runs commands in a directory and keeps digests of what they leave, by name."""

    def __init__(self, root: Path):
        self.root = root
        self.digests: dict[str, str] = {}

    def keep(self, name: str, content: bytes) -> None:
        self.digests[name] = hashlib.sha256(content).hexdigest()[:16]

    def run(self, *arguments: Any, name: str = "", stdin: str | None = None) -> str:
        """Standard output of a command, kept under `name`."""
        result = CliRunner().invoke(plainformer, [str(a) for a in arguments], input=stdin)
        if result.exit_code:
            shown = f"{' '.join(map(str, arguments))}\n{result.stderr}"
            raise SystemExit(f"{shown}\n{result.exception!r}")
        if name:
            self.keep(name, result.stdout.encode())
        return result.stdout

    def keep_files(self, name: str, directory: Path) -> None:
        """All files but temporary ones and those that know the time or where the data is."""
        for path in sorted(p for p in directory.rglob("*") if p.is_file()):
            place = path.relative_to(directory)
            told = place.match("tokens/*.json") or path.name == "timing.jsonl"
            if not told and not any(part.startswith(".") for part in place.parts):
                content = path.read_bytes().replace(str(self.root).encode(), b"")
                self.keep(f"{name} {place}", content)

    def keep_logits(self, name: str, directory: Path) -> None:
        """Of two ragged rows, alone and with labels where the model takes them."""
        model = pf.load(directory)
        ids = np.array([[3, 4, 5, 6], [7, 8, 0, 0]])
        mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0]])
        if isinstance(end := model.config.eos_token_id, int):  # whose state BART classifies
            ids[[0, 1], [3, 1]] = end
        if "Choice" in type(model).__name__:
            ids, mask = ids[None], mask[None]
        reads = inspect.signature(model.forward).parameters
        more = {"decoder_input_ids": ids[..., :3], "entity_positions": [[0, 1]] * len(ids)}
        taken = {key: value for key, value in more.items() if key in reads}
        output = model(input_ids=ids, attention_mask=mask, **taken)
        for field in ("logits", "start_logits", "end_logits"):
            if getattr(output, field, None) is not None:
                self.keep(f"{name} {field}", np.asarray(getattr(output, field)).tobytes())


def _training(dtype: str) -> list[Any]:
    flags = ["--max-steps", 20, "--logging-steps", 1, "--per-device-train-batch-size", 3,
             "--gradient-accumulation-steps", 2, "--learning-rate", 3e-3, "--dropout", 0.1,
             "--save-strategy", "steps", "--save-steps", 10, "--weight-decay", 0.1]  # fmt: skip
    return [*flags, "--bf16"] if dtype == "bf16" else flags


def _runs() -> Iterator[tuple[str, str, str, str, str]]:
    """Command, objective or task, family, tokenizer, dtype."""
    for command, table in (("pretrain", OBJECTIVES), ("finetune", TASKS)):
        for what, (families, tokenizer) in table.items():
            for family in families:
                for dtype in ("fp32", "bf16") if family == families[0] else ("fp32",):
                    yield command, what, family, tokenizer, dtype


def _pretrain(r: Recorder, name: str, what: str, config: Path, tokenizer: str, dtype: str) -> Path:
    data, out = r.root / "text.jsonl", r.root / "out" / name
    rows = [{"text": f"{a}. {b}."} for a in _SENTENCES for b in _SENTENCES[:3]]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    flags = ["--objective", what, "--data", data, "--validation", data, "--config", config,
             "--tokenizer", tokenizer, "--block-size", 16, "--output-dir", out]  # fmt: skip
    packing = ["--packing"] if dtype == "bf16" else []
    r.run("pretrain", *flags, *packing, *_training(dtype))
    return out


def _finetune(r: Recorder, name: str, what: str, config: Path, tokenizer: str, dtype: str) -> Path:
    data, out = r.root / f"{what}.jsonl", r.root / "out" / name
    data.write_text("".join(json.dumps(row) + "\n" for row in _rows(what)))
    flags = ["--model", config, "--tokenizer", tokenizer, "--train", data, "--validation", data,
             "--output-dir", out, "--eval-strategy", "steps", "--eval-steps", 5]  # fmt: skip
    r.run("finetune", what, *flags, *_training(dtype))
    figures = json.loads(r.run("evaluate", out, "--data", data, "--json").splitlines()[-1])
    timed = ("seconds", "per_second", "version")
    same = {k: v for k, v in sorted(figures.items()) if not k.endswith((*timed, "_dir", "model"))}
    r.keep(f"{name} figures", json.dumps(same).encode())
    r.run("predict", out, "--input", data, name=f"{name} answers")
    return out


def record(only: str = "") -> dict[str, str]:
    """Digest by name, of all runs whose name has `only`."""
    os.fsync = lambda descriptor: None  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as folder:
        r = Recorder(Path(folder))
        for command, what, family, tokenizer, dtype in _runs():
            name = f"{command} {what} {family} {dtype}"
            if only not in name:
                continue
            click.echo(name, err=True)
            config = r.root / "config.json"
            config.write_text(json.dumps({"model_type": family, **FAMILIES[family]}))
            train = _pretrain if command == "pretrain" else _finetune
            out = train(r, name, what, config, tokenizer, dtype)
            r.keep_files(name, out)
            r.keep_logits(name, out)
            if what in ("clm", "language-modeling"):
                sampled = ["--do-sample", "--top-k", 20, "--seed", 3]
                for words in ([], sampled, ["--num-beams", 3]):
                    asked = [out, "the old", "--max-new-tokens", 12, *words]
                    r.run("generate", *asked, name=f"{name} text {' '.join(map(str, words))}")
        return r.digests


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """One line a name that is gone, new, or has another digest."""
    lines = []
    for name in sorted(before | after):
        if name not in after:
            lines.append(f"gone     {name}")
        elif name not in before:
            lines.append(f"new      {name}")
        elif before[name] != after[name]:
            lines.append(f"changed  {name}")
    return lines


@click.command()
@click.argument("what", type=click.Choice(["record", "compare"]))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--only", default="", help="Only runs whose name has this word.")
def main(what: str, file: Path, only: str) -> None:
    """Record digests into FILE, or compare with those in FILE."""
    found = record(only)
    if what == "record":
        file.write_text(json.dumps(found, indent=1) + "\n")
        return click.echo(f"{len(found)} digests in {file}")
    before = {k: v for k, v in json.loads(file.read_text()).items() if only in k}
    lines = differences(before, found)
    click.echo("\n".join([*lines, f"{len(lines)} of {len(found)} differ"]))
    sys.exit(bool(lines))


if __name__ == "__main__":
    main()
