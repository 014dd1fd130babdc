"""Arguments written for transformers can be handed over: what asks for nothing is taken."""

import dataclasses

import pytest

from plainformer.errors import ConfigError
from plainformer.options import options_of
from plainformer.training import TrainingArguments

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

OURS = options_of(TrainingArguments)
WORDS = {word for option in OURS.values() for word in option.words}
THEIRS = [f for f in dataclasses.fields(transformers.TrainingArguments) if f.init]


@pytest.mark.parametrize("field", THEIRS, ids=lambda field: field.name)
def test_every_default_is_taken(field):
    value = [] if field.default is dataclasses.MISSING else field.default
    if value is not None:  # an option that is not said, whatever holds then
        made = TrainingArguments(**{field.name: value})
        assert field.name in {*OURS, *WORDS} or made == TrainingArguments()


@pytest.mark.parametrize("field", THEIRS, ids=lambda field: field.name)
def test_no_name_is_unknown(field):
    if field.name not in {*OURS, *WORDS}:
        with pytest.raises(ConfigError, match=rf"^{field.name}: got .*, which is not supported; "):
            TrainingArguments(**{field.name: "something else"})
