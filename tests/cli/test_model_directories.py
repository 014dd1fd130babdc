"""Every command on every kind of directory: an answer, or one line that says what to do.

Families with each of their heads, what fine-tuning and pre-training write, checkpoints, adapters,
and directories that lack something.
"""

import shutil
import warnings

import pytest
from click.testing import CliRunner

import plainformer as pf
from plainformer.cli import main
from plainformer.data.text import Document
from plainformer.data.tokenizer import (
    make_tokenizer,
    parse_spec,
    read_tokenizer,
    save_tokenizer,
    vocab_size,
)
from plainformer.errors import CheckpointError, ConfigError
from plainformer.models import MODELS, from_config, load_adapter
from plainformer.tasks import TASKS as KINDS
from tests.models.tiny import CONFIGS, config_of
from tests.tasks.tiny import TASKS, TEXTS, tune, write_jsonl

pytestmark = [
    pytest.mark.filterwarnings("ignore:BLEU and chrF are left out"),
    pytest.mark.filterwarnings("ignore::plainformer.PlainformerWarning"),
]
HEADS = [(family, task) for family in CONFIGS for task in MODELS[family].models]
WORDS = " ".join(example.text for example in TEXTS)
SENTENCE = "sentence-transformers/all-MiniLM-L6-v2"
NO_TRACE = ("Traceback", "object has no attribute", "unexpected keyword", "NoneType", "KeyError",
            "TypeError", "AttributeError", "IndexError", "broadcast")  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    write_jsonl(root / "data.jsonl", [{"text": e.text, "label": e.label} for e in TEXTS])
    (root / "texts.txt").write_text((WORDS + "\n") * 8)
    (root / "in.jsonl").write_text('{"text": "so good"}\n')
    for task in TASKS:
        tune(task, root / f"tuned-{task}", eval_strategy="no", max_steps=1)
    once = {"eval_strategy": "no", "max_steps": 1, "save_strategy": "steps", "save_steps": 1}
    classify = "text-classification"
    tune(classify, root / "lora", model=root / f"tuned-{classify}", lora_r=2, **once)
    tune(classify, root / "full", **once)
    return root


def tokenizer_for(family):
    task = next(iter(MODELS[family].models))
    objective = {"causal-lm": "clm", "seq2seq-lm": "denoise"}.get(task, "mlm")
    return make_tokenizer(parse_spec("wordpiece:60"), [Document(WORDS, "")], objective)


def make(root, family, task):
    """The directory of a new model of a family, with a tokenizer and without task.json."""
    place = root / f"{family}-{task}"
    if not place.exists():
        tokenizer = tokenizer_for(family)
        size = vocab_size(tokenizer)
        options = {"vocab_size": size}
        if "eos_token_id" in config_of(family):
            options["eos_token_id"] = list(range(size))
        model = from_config(config_of(family) | options, task)
        model.save_pretrained(place)
        save_tokenizer(tokenizer, place)
    return place


def lacking(place, source, *names):
    shutil.copytree(source, place)
    for name in names:
        (place / name).unlink()
    return place


ODD = {
    "empty": lambda root: (root / "empty").mkdir() or root / "empty",
    "a file": lambda root: root / "data.jsonl",
    "no such": lambda root: root / "nothing",
    "hub name": lambda root: SENTENCE,
    "tokenizer only": lambda root: (
        save_tokenizer(tokenizer_for("bert"), root / "tok") or root / "tok"
    ),
    "adapter": lambda root: root / "lora" / "adapter",
    "lora run": lambda root: root / "lora",
    "lora checkpoint": lambda root: root / "lora" / "checkpoint-1",
    "full checkpoint": lambda root: root / "full" / "checkpoint-1",
    "parent of models": lambda root: root,
    "no config": lambda root: lacking(root / "c", root / "full", "config.json"),
    "no tokenizer": lambda root: lacking(
        root / "t", root / "full", "tokenizer.json", "tokenizer_config.json"
    ),
    "no weights": lambda root: lacking(root / "w", root / "full", "model.safetensors"),
    "no task": lambda root: lacking(root / "n", root / "full", "task.json"),
}


def commands(root, place):
    """Each command on a directory, with input that fits what it is for."""
    data, texts, out = root / "data.jsonl", root / "texts.txt", root / "out"
    tune_it = ["--output-dir", out, "--max-steps", 1, "--overwrite-output-dir"]
    yield ["predict", place, "so good"], None
    yield ["predict", place, "--input", root / "in.jsonl", "--task", "text-classification"], None
    yield ["predict", place, "so good", "--task", "translation"], None
    yield ["predict", place, "so good", "--task", "question-answering"], None
    yield ["predict", root / "full", "so good", "--adapter", place], None
    yield ["evaluate", place, "--data", data], None
    yield ["evaluate", place, "--data", data, "--task", "text-classification"], None
    yield ["generate", place, "so good", "--max-new-tokens", 2], None
    yield ["generate", place, "so", "--num-beams", 2, "--max-new-tokens", 2], None
    yield ["chat", place, "--max-new-tokens", 2], "so good\n"
    yield ["tokenizer", "encode", place, "so good"], None
    yield ["finetune", "text-classification", "--model", place, "--train", data, *tune_it], None
    yield ["finetune", "ner", "--model", place, "--train", data, *tune_it], None
    yield ["finetune", "language-modeling", "--model", place, "--train", texts, *tune_it], None
    for objective in ("clm", "mlm", "denoise"):
        words = ["pretrain", "--objective", objective, "--data", texts, *tune_it]
        yield [*words, "--model", place, "--block-size", 8], None
    yield [*words, "--config", place, "--tokenizer", place, "--block-size", 8], None


def check(words, stdin):
    """Runs a command; its exit code. What goes wrong is one clear line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = CliRunner().invoke(main, [str(w) for w in words], input=stdin)
    said = " ".join(map(str, words))
    trouble = result.exception
    assert trouble is None or isinstance(trouble, SystemExit), f"{said}: {trouble!r}"
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == (result.exit_code != 0), f"{said}: {result.stderr}"
    for line in errors:
        assert not any(word in line for word in NO_TRACE), f"{said}: {line}"
        assert len(line) < 1000, f"{said}: {line}"
    return result.exit_code


def walk(root, place):
    return [check(*command) for command in commands(root, place)]


@pytest.mark.parametrize(("family", "task"), HEADS, ids=["-".join(head) for head in HEADS])
def test_every_family_and_head(root, family, task):
    codes = walk(root, make(root, family, task))
    assert 0 in codes


@pytest.mark.parametrize("task", [name for name, kind in KINDS.items() if kind.learns])
def test_what_fine_tuning_wrote(root, task):
    assert 0 in walk(root, root / f"tuned-{task}")


@pytest.mark.parametrize("name", ODD)
def test_odd_directories(root, name):
    codes = walk(root, ODD[name](root))
    if name in ("empty", "a file", "no such", "hub name"):
        assert 0 not in codes


NAMED = {
    "predict": ["predict", SENTENCE, "so good"],
    "evaluate": ["evaluate", SENTENCE, "--data", "nothing.jsonl"],
    "generate": ["generate", SENTENCE, "so"],
    "chat": ["chat", SENTENCE],
    "tokenizer": ["tokenizer", "encode", SENTENCE, "so good"],
    "finetune": ["finetune", "ner", "--model", SENTENCE, "--train", "nothing.jsonl"],
    "pretrain": ["pretrain", "--model", SENTENCE, "--data", "nothing.txt"],
}


@pytest.mark.parametrize("name", NAMED)
def test_a_name_that_is_no_directory_is_told_before_data_is_read(name, tmp_path):
    words = NAMED[name] + (["--output-dir", tmp_path] if name in ("finetune", "pretrain") else [])
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code in (1, 2)
    [error] = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    for part in (f"{SENTENCE}: no such directory", "nothing is downloaded", "hf download"):
        assert part in error
    assert not list(tmp_path.iterdir())


def test_an_adapter_and_a_tokenizer_are_looked_for_before_data_is_read(root, tmp_path):
    words = ["finetune", "text-classification", "--model", root / "full", "--train", "nothing",
             "--output-dir", tmp_path / "out"]  # fmt: skip
    for more, wanted in (
        (["--adapter", SENTENCE], "no such directory; expected one with adapter_config.json"),
        (["--tokenizer", SENTENCE], "expected a directory with tokenizer.json"),
    ):
        result = CliRunner().invoke(main, [str(word) for word in [*words, *more]])
        assert wanted in result.stderr


@pytest.mark.parametrize(
    "call",
    [
        pf.load,
        lambda name: pf.load(name, "causal-lm"),
        lambda name: pf.pipeline("text-classification", name),
        lambda name: pf.pipeline(None, name),
        lambda name: pf.finetune("ner", name, "nothing.jsonl", output_dir="nothing"),
        pf.BertModel.from_pretrained,
        read_tokenizer,
        lambda name: load_adapter(from_config(config_of("gpt2")), name),
    ],
)
def test_python_tells_what_the_command_line_tells(call):
    with pytest.raises(CheckpointError, match=r"no such directory; .*nothing is downloaded: `hf"):
        call(SENTENCE)


@pytest.mark.parametrize("name", ["./a/b", "/a/b", "runs/first", "~/a", "a/b/c"])
def test_paths_are_not_taken_for_names_of_a_hub(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    with pytest.raises(CheckpointError, match=r"no such directory.*downloaded\)$"):
        pf.load(name)


@pytest.mark.parametrize(("family", "task"), HEADS, ids=["-".join(head) for head in HEADS])
def test_models_that_do_not_write_say_so(family, task):
    model = from_config(config_of(family), task).eval()
    if task in ("causal-lm", "seq2seq-lm"):
        assert model.generate([[1, 2]], max_new_tokens=1, eos_token_id=[]).shape[0] == 1
    else:
        with pytest.raises(ConfigError, match=f"generate: {type(model).__name__} does not write"):
            model.generate([[1, 2]], max_new_tokens=1)
