"""What the files of a model's directory may say: kinds, and no path that leads out of it."""

import json

import pytest

import plainformer as pf
from plainformer.errors import CheckpointError, ConfigError
from plainformer.models import load_adapter, save_adapter
from plainformer.nn import LoraConfig, add_lora
from plainformer.options import names_of
from plainformer.tasks import TASKS, open_task
from plainformer.tasks.data import DataOptions, columns_of, read
from plainformer.tasks.directory import read_task
from plainformer.tasks.requests import Requests
from plainformer.training.state import TrainerState
from tests.fuzz.readers import READERS
from tests.models import tiny as models

from .tiny import tune

BAD = [
    ("text-classification", "max_length", "a", "int, at least 1, or None"),
    ("text-classification", "out_of_scope", {}, "str or None"),
    ("translation", "prompt", 5, "str, {source} in it once, or None"),
    ("token-classification", "overlap", [1], "int, at least 0, or None"),
    ("question-answering", "null_threshold", "0", "float or None"),
    ("language-modeling", "bad_words", ["a", 1], "a list of texts, none blank, or None"),
    ("language-modeling", "do_sample", 1, "bool"),
]


def directory_of(path, task, **settings):
    path.mkdir()
    READERS[f"task/{task}"].make(path)
    write(path / "task.json", {"task": task, "settings": settings})
    return path


def write(file, values):
    file.write_text(json.dumps(values))


@pytest.mark.parametrize(("task", "name", "value", "wanted"), BAD)
def test_a_setting_of_another_kind(tmp_path, task, name, value, wanted):
    path = directory_of(tmp_path / "m", task, **{name: value})
    with pytest.raises(CheckpointError) as error:
        open_task(path)
    assert f"task.json: {name}: got " in str(error.value)
    assert str(error.value).endswith(f"expected {wanted}")
    with pytest.raises(ConfigError, match=f"^{name}: got "):
        TASKS[task].settings_class(**{name: value})


@pytest.mark.parametrize(
    "values",
    [{}, {"task": []}, {"task": "x", "settings": {}}, {"task": "dialogue", "settings": [["a", 3]]}],
)
def test_no_task(tmp_path, values):
    write(tmp_path / "config.json", {})
    write(tmp_path / "task.json", values)
    with pytest.raises(CheckpointError, match=r"task\.json: expected a task and its settings"):
        open_task(tmp_path)


@pytest.mark.parametrize("task", TASKS)
def test_no_setting_of_a_directory_names_a_file(tmp_path, task):
    """Read from a stranger's directory, it would be a file of ours."""
    files = [n for n, f in TASKS[task].settings_class.__dataclass_fields__.items()
             if f.metadata["is_file"]]  # fmt: skip
    assert files == (["chat_template"] if "chat_template" in names_of(TASKS[task].settings_class)
                     else [])  # fmt: skip
    (tmp_path / "x").write_text("secret")
    for name in files:
        for value in ("../x", "x", str(tmp_path / "x")):
            path = directory_of(
                tmp_path / f"m{len(list(tmp_path.iterdir()))}", task, **{name: value}
            )
            with pytest.raises(CheckpointError, match="names no file elsewhere"):
                open_task(path)


def test_no_file_leads_out_of_a_directory(tmp_path, monkeypatch):
    """Every file that is opened while a directory and a checkpoint are read lies in them."""
    opened = []
    real = open

    def spy(file, *args, **kwargs):
        opened.append(str(file))
        return real(file, *args, **kwargs)

    path = directory_of(tmp_path / "m", "dialogue")
    config = json.loads((path / "config.json").read_text())
    outside = str(tmp_path / "outside")
    config |= {"_name_or_path": outside, "auto_map": {"AutoModel": f"{outside}--x.Y"}}
    write(path / "config.json", config)
    tokens = json.loads((path / "tokenizer_config.json").read_text())
    tokens |= {"name_or_path": outside, "tokenizer_file": outside, "vocab_file": outside,
               "merges_file": outside, "special_tokens_map_file": outside}  # fmt: skip
    write(path / "tokenizer_config.json", tokens)
    monkeypatch.setattr("builtins.open", spy)
    open_task(path)
    ours = [name for name in opened if not name.startswith(("/proc", "/sys"))]
    assert ours
    assert all(name.startswith(f"{path}/") for name in ours)


def test_an_adapter_follows_no_path_and_has_the_rank_of_its_arrays(tmp_path):
    model = models.make("gpt2", "causal-lm")
    add_lora(model, LoraConfig(r=2))
    save_adapter(model, tmp_path, LoraConfig(r=2), base=str(tmp_path / "not there"))
    load_adapter(models.make("gpt2", "causal-lm"), tmp_path)  # the base is the model given
    file = tmp_path / "adapter_config.json"
    good = json.loads(file.read_text())
    for name, value, message in (
        ("r", 3, r"r: got 3, but .*lora_A\.weight has the shape \(2, 12\)"),
        ("r", 2**40, r"r: got 1099511627776, but"),
        ("r", True, "r: got True, expected int"),
        ("r", "2", "r: got '2', expected int"),
        ("lora_alpha", "x", "lora_alpha: got 'x', expected float"),
        ("lora_alpha", [8], "lora_alpha: got"),
        ("lora_alpha", -1, "lora_alpha: got -1, expected float, above 0"),
    ):
        write(file, good | {name: value})
        with pytest.raises(CheckpointError, match=message):
            load_adapter(models.make("gpt2", "causal-lm"), tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("global_step", "x"), ("global_step", -1), ("epoch", "1"), ("log_history", [1]),
     ("best_metric", [0.5]), ("tokens_seen", 1.5)],
)  # fmt: skip
def test_a_counter_of_another_kind(name, value):
    good = TrainerState().to_dict()
    assert TrainerState.from_dict(good) == TrainerState()
    with pytest.raises(CheckpointError, match=rf"trainer_state\.json: {name}: got "):
        TrainerState.from_dict(good | {name: value})


@pytest.mark.parametrize(("name", "value"), [("architectures", 3), ("id2label", ["a"]),
    ("label2id", 5), ("rope_scaling", 3), ("rope_parameters", [[]]),
    ("layer_types", [[]]), ("rope_parameters", {"rope_type": [1]}), ("hidden_size", 2**63),
    ("eos_token_id", [[1]]), ("eos_token_id", 2**40), ("rms_norm_eps", 10**400)])  # fmt: skip
def test_a_configuration_of_another_kind_names_the_field(name, value):
    values = models.config_of("qwen2", **{name: value})
    wanted = "rope_type" if name == "rope_parameters" and isinstance(value, dict) else name
    with pytest.raises(ConfigError, match=f"{wanted}: got "):
        pf.models.from_config(values)


def test_columns_are_remembered_where_a_file_has_them(tmp_path):
    """As evaluate, predict and more fine-tuning read; the fields' own names go too."""
    rows = [("a good film", "pos"), ("a bad film", "neg")] * 3
    own, plain = tmp_path / "own.csv", tmp_path / "plain.csv"
    for path, names in {own: ("Review", "Stars"), plain: ("text", "label")}.items():
        path.write_text("".join(f"{text};{label}\n" for text, label in [names, *rows]))
    columns = {"text": "Review", "label": "Stars"}
    how = {"validation": None, "train": str(own)}
    tune("text-classification", tmp_path / "out", columns=columns, **how)
    known = read_task(tmp_path / "out")["reading"]
    assert known == {"columns": columns}
    kind = TASKS["text-classification"]
    for path in (own, plain):
        found = read(str(path), kind, DataOptions(), remembered=known)
        assert [(e.text, e.label) for e in found] == rows
        asked = Requests(kind.name, str(path), columns=columns_of(None, known))
        assert [request.example.text for request in asked] == [text for text, _ in rows]
    again = {"model": tmp_path / "out", "train": str(own), "validation": str(plain)}
    assert "eval_accuracy" in tune("text-classification", tmp_path / "again", **again).metrics
    assert read_task(tmp_path / "again")["reading"] == known
