"""One list of models: page, package and registry derive from `models/families.py`."""

import subprocess
import sys

import pytest

import plainformer as pf
from plainformer import models
from plainformer.models import MODELS, PreTrainedModel, families


def subclasses(kind):
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


REGISTERED = [model for family in MODELS.values() for model in family.models.values()]


def test_every_model_of_a_page_is_registered():
    made = {
        model
        for model in subclasses(PreTrainedModel)
        if model.__module__.startswith("plainformer.")
        and hasattr(model, "model_task")
        and hasattr(model, "config_class")
    }
    assert made == set(REGISTERED)
    assert len(REGISTERED) == len(made)


@pytest.mark.parametrize("family", MODELS)
def test_a_family_keeps_its_classes_on_its_page(family):
    config, found = MODELS[family].config_class, MODELS[family].models
    page = sys.modules[config.__module__]
    assert page.__name__ == f"plainformer.models.{family.replace('-', '_')}"
    assert sorted(page.__all__) == sorted(
        [config.__name__, *(model.__name__ for model in found.values())]
    )


@pytest.mark.parametrize("family", MODELS)
def test_the_usual_task_of_a_family_is_to_model_language(family):
    assert next(iter(MODELS[family].models)).endswith("-lm")


def test_package_and_room_export_every_class():
    names = {name for name in vars(families) if not name.startswith("_")}
    assert names == {c.__name__ for c in REGISTERED} | {
        family.config_class.__name__ for family in MODELS.values()
    }
    for name in names:
        assert getattr(pf, name) is getattr(models, name) is getattr(families, name)
    assert names <= set(dir(pf))


def test_no_model_is_imported_before_one_is_asked_for():
    code = """
import sys
import plainformer as pf
from plainformer import errors, kinds
assert not hasattr(pf, "nonsense")
assert not [name for name in sys.modules if name.startswith("plainformer.models")]
assert not hasattr(pf, "Nonsense")
assert pf.GPT2Config().vocab_size == 50257
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
