"""Words of transformers' loading functions: tasks, dtypes, and options that ask for nothing."""

import types

import numpy as np
import pytest

import plainformer as pf
from plainformer.checkpoints.habits import given_dtype, without_habits
from plainformer.data.examples import FIELDS
from plainformer.errors import ConfigError, DTypeError
from plainformer.kernels._devices import read_device
from plainformer.models import MODELS, fitting_models, model_class
from plainformer.nn.module import float_dtype
from plainformer.tasks import TASKS
from tests.models.tiny import make

NOTHING = {
    "attn_implementation": "sdpa", "cache_dir": None, "device": "cpu", "device_map": "auto",
    "force_download": False, "local_files_only": True, "low_cpu_mem_usage": True,
    "revision": "main", "token": None, "trust_remote_code": False, "use_safetensors": True,
}  # fmt: skip
SOMETHING = {
    "attn_implementation": "paged", "cache_dir": "/tmp", "force_download": True,
    "local_files_only": False, "low_cpu_mem_usage": 1, "revision": "v2", "token": "hf_x",
    "trust_remote_code": True, "use_fast": False, "use_safetensors": False,
}  # fmt: skip


class TorchType:
    """As torch's types: no NumPy type, told by its module and its text."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text


TorchType.__module__ = "torch"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    make("gpt2", "causal-lm").save_pretrained(path)
    return path


def test_options_that_ask_for_nothing_are_taken_everywhere(directory):
    wanted = pf.load(directory).state_dict()
    for load in (pf.load, pf.GPT2LMHeadModel.from_pretrained):
        found = load(directory, **NOTHING).state_dict()
        assert all(np.array_equal(found[name], wanted[name]) for name in wanted)
        with pytest.raises(ConfigError, match="local_files_onl"):
            load(directory, local_files_onl=True)


@pytest.mark.parametrize("name", SOMETHING)
def test_what_asks_for_something_is_refused_with_the_reason(directory, name):
    option = name.strip()
    with pytest.raises(ConfigError, match=f"^{option}: got .*, expected .*: "):
        pf.load(directory, **{option: SOMETHING[name]})


def test_torchs_devices_are_those_of_their_names():
    assert read_device(TorchType("cpu")) == read_device("cpu")
    assert read_device(TorchType("cuda:1")) == read_device("cuda:1")
    with pytest.raises(ConfigError, match="use_fast: got False"):  # not the None that is taken
        without_habits({"use_fast": False})


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, "float32"),
        ({"dtype": "auto"}, "float32"),
        ({"torch_dtype": "auto"}, "float32"),
        ({"dtype": "bfloat16"}, "bfloat16"),
        ({"torch_dtype": "bfloat16"}, "bfloat16"),
        ({"torch_dtype": "torch.bfloat16"}, "bfloat16"),
        ({"torch_dtype": TorchType("torch.bfloat16")}, "bfloat16"),
        ({"dtype": np.float64}, "float64"),
        ({"dtype": "bfloat16", "torch_dtype": "bfloat16"}, "bfloat16"),
    ],
    ids=str,
)
def test_a_dtype_under_both_names(directory, given, wanted):
    model = pf.load(directory, **given)
    assert str(next(model.parameters()).dtype) == model.config.dtype == wanted


def test_dtypes_that_cannot_be_are_named(directory):
    with pytest.raises(ConfigError, match="torch_dtype: got 'float32', but dtype is 'bfloat16'"):
        given_dtype("bfloat16", "float32")
    for wrong in ("float16", "torch.half", TorchType("torch.int64"), "bf17", types, 3):
        with pytest.raises(DTypeError, match=r"^dtype: got .*, expected one of float32, float64"):
            float_dtype(wrong)


@pytest.mark.parametrize("kind", MODELS)
def test_words_of_pipelines_find_the_models_of_tasks(kind):
    models = MODELS[kind].models
    words = {"sentiment-analysis": "text-classification", "ner": "token-classification",
             "text-generation": "language-modeling",
             "translation_en_to_de": "translation"}  # fmt: skip
    for word in [*words, *FIELDS, *models, "fill-mask", "text2text-generation"]:
        fitting = [name for name in fitting_models(words.get(word, word)) if name in models]
        if fitting:
            assert model_class({"model_type": kind}, word) is models[fitting[0]]
        else:
            with pytest.raises(ConfigError, match=f"task: got '{word}', {kind} has models for"):
                model_class({"model_type": kind}, word)
    for wrong in ("nonsense", 3, ["ner"], ""):
        with pytest.raises(ConfigError, match=f"task: got .*, {kind} has models for"):
            model_class({"model_type": kind}, wrong)


def test_every_task_has_models_that_fit():
    for name, task in TASKS.items():
        assert task.model_tasks == fitting_models(name)
        assert any(word in family.models for family in MODELS.values() for word in task.model_tasks)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"input_ids": [[1]]}, r"got {'input_ids': .*; a batch is given as model\(\*\*batch\)"),
        ("a text", "got 'a text', expected integers"),
        ([["1"]], r"got \[\['1'\]\], expected integers"),
        (None, "got None, expected integers"),
        (np.ones((1, 2)), "got dtype float64, expected integers"),
    ],
    ids=str,
)
def test_what_is_no_ids_is_shown(directory, given, told):
    model = pf.load(directory)
    for call in [model] if given is None else [model, model.generate]:  # which begins by itself
        with pytest.raises(DTypeError, match=f"^input_ids: {told}"):
            call(given)
