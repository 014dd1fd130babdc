"""No error repeats a value whole: every place that quotes one goes through `errors.shown`.

The first half reads the source; the second gives readers and argument checks values that are
long, have line ends and would move a terminal's cursor.
"""

import ast
import dataclasses
import json
from pathlib import Path

import pytest

import plainformer as pf
from plainformer import kernels
from plainformer.checkpoints import load_file
from plainformer.data import read_examples
from plainformer.data.examples import FIELDS
from plainformer.data.tokenizer import read_tokenizer
from plainformer.errors import PlainformerError
from plainformer.generation import GenerationConfig
from plainformer.models import MODELS, from_config
from plainformer.tasks.directory import TASK_FILE
from plainformer.training import TrainingArguments

from .models.tiny import CONFIGS, config_of

PACKAGE = Path(pf.__file__).parent
BOUND = 700  # a path of a temporary directory, a quoted value or two, and what to do
NOT_MESSAGES = {"tensor.py", "__init__.py", "cli/quickstart.py"}
NOT_MESSAGES |= {"cli/tokenizer.py", "errors.py"}  # they show data, whole
NOT_MESSAGES |= {"data/fingerprints.py"}  # bytes to digest
NOT_MESSAGES |= {"data/jinja_sandbox.py"}  # a program of its own: who asks it shortens

LONG = "word\n\x1b[2J\u202e" * 2000
JUNK = [LONG, [LONG] * 50, {LONG: LONG}, [[1] * 1000] * 1000, b"\n" * 9000]
HUGE = [10**4000, -(10**4000)]


def checked(call, *args, **options):
    """Whether the call refuses; if so, that its message is short and one line."""
    try:
        call(*args, **options)
    except PlainformerError as error:
        text = str(error)
        assert len(text) <= BOUND, text
        assert text.isprintable(), ascii(text)
        return True
    except (TypeError, ValueError, AttributeError):
        pass  # whether an error is one of ours is other tests' question
    return False


def test_values_are_quoted_by_one_function():
    quoted = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).as_posix() not in NOT_MESSAGES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FormattedValue) and node.conversion != -1
    ]
    assert not quoted, f"use errors.shown or errors.short instead of !r and !s: {quoted}"


@pytest.mark.parametrize("family", CONFIGS)
def test_configurations(family):
    names = [f.name for f in dataclasses.fields(MODELS[family].config_class)] + [LONG]
    raised = [checked(from_config, config_of(family, **{n: v})) for n in names for v in JUNK]
    assert sum(raised) > len(raised) / 2


def test_training_arguments(tmp_path):
    names = [f.name for f in dataclasses.fields(TrainingArguments)] + [LONG, "warmup_ratio"]
    raised = [checked(TrainingArguments, **{"output_dir": tmp_path, n: v})
              for n in names if n != "output_dir" for v in JUNK + HUGE]  # fmt: skip
    assert sum(raised) > len(raised) / 2


def test_generation_arguments():
    model = from_config(config_of("gpt2")).eval()
    names = [f.name for f in dataclasses.fields(GenerationConfig)] + [LONG]
    raised = [checked(model.generate, [[1, 2]], **{"max_new_tokens": 1, n: v})
              for n in names if not n.startswith("max_") for v in JUNK]  # fmt: skip
    assert sum(raised) > len(raised) / 2


@pytest.mark.parametrize("name", sorted(kernels.__all__))
def test_kernels(name):
    call = getattr(kernels, name)
    for value in JUNK[:3] + HUGE:
        for count in range(1, 8):
            checked(call, *[value] * count)


ROWS = [
    {LONG: 1}, {"text": 1}, {"text": LONG, "label": JUNK[1]}, {"text": "a", "label": {LONG: 1}},
    {"tokens": LONG}, {"tokens": ["a"], "tags": [LONG]}, {"tokens": ["a", LONG], "tags": ["O"]},
    {"question": "a", "context": "b", "answers": LONG}, {"question": LONG, "context": ""},
    {"question": "a", "context": LONG, "answers": [{"text": LONG + "x", "answer_start": 10**300}]},
    {"question": "a", "choices": LONG, "label": 0}, {"source": LONG}, {"source": "", "target": 3},
    {"question": "a", "choices": ["a", "b"], "label": LONG}, {"document": [LONG], "summary": "a"},
    {"messages": [{"role": LONG, "content": "a"}]}, {"messages": LONG},
    {"text": LONG, "head": LONG}, {"text": "a b", "head": [0, 10**300], "tail": [1, 2]},
]  # fmt: skip


@pytest.mark.parametrize("task", FIELDS)
def test_examples(task, tmp_path):
    for i, row in enumerate(ROWS):
        (tmp_path / f"{i}.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
        checked(read_examples, task, tmp_path / f"{i}.jsonl")
        checked(read_examples, task, [row])
        checked(read_examples, task, tmp_path / f"{i}.jsonl", columns={"text": LONG})
        checked(read_examples, task, tmp_path / f"{i}.jsonl", columns={LONG: "text"})
    header = '"' + LONG.replace("\n", " ") + '",b\n1,2\n'
    for name, text in {"a.csv": header, "b.tsv": header, "c.json": '{"data": "%s"}' % ("x" * 9999),
                       "d.conll": LONG, "e.txt": LONG}.items():  # fmt: skip
        (tmp_path / name).write_text(text, encoding="utf-8")
        checked(read_examples, task, tmp_path / name)
    checked(read_examples, LONG, tmp_path / "a.csv")


def header_of(value):
    header = json.dumps(value).encode()
    return len(header).to_bytes(8, "little") + header


@pytest.mark.parametrize(
    "header",
    [
        {LONG: 1},
        {LONG: {"dtype": LONG, "shape": [], "data_offsets": [0, 0]}},
        {LONG: {"dtype": "F32", "shape": [10**300] * 30, "data_offsets": [0, 0]}},
        {LONG: {"dtype": "F32", "shape": [2], "data_offsets": [10**300, 10**300 + 8]}},
        {"__metadata__": {LONG: 1}},
        [LONG],
    ],
)
def test_weights(header, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(header_of(header))
    assert checked(load_file, tmp_path / "model.safetensors")


SAVED = {
    "tokenizer_config.json": ["bos_token", "tokenizer_class", "chat_template", "do_lower_case"],
    "tokenizer.json": ["model", "decoder", "added_tokens", "version"],
    "generation_config.json": ["top_k", "eos_token_id", "suppress_tokens", LONG],
    "model.safetensors.index.json": ["weight_map", "metadata"],
    TASK_FILE: ["task", "labels", "max_length", "settings", LONG],
    "adapter_config.json": ["peft_type", "r", "target_modules", "bias"],
    "config.json": ["model_type", "id2label", "architectures", LONG],
}


@pytest.mark.parametrize("file", SAVED)
def test_files_of_a_model_directory(file, tmp_path):
    model = from_config(config_of("bert"), "sequence-classification")
    model.save_pretrained(tmp_path)
    for name in SAVED[file]:
        for value in JUNK[:3]:
            (tmp_path / file).write_text(json.dumps({name: value}), encoding="utf-8")
            checked(pf.load, tmp_path)
            checked(pf.pipeline, "text-classification", tmp_path)
            checked(read_tokenizer, tmp_path)
            checked(pf.load, tmp_path, adapter=tmp_path)
