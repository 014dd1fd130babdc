"""Relations: markers around entities, kept whatever is cut, typed where the data has types."""

import dataclasses

import numpy as np
import pytest

from plainformer.data import CharSpan, RelationExample
from plainformer.errors import ConfigError
from plainformer.tasks import open_task

from .tiny import RELATIONS, relation, tune

MARKS = ["[E1]", "[/E1]", "[E2]", "[/E2]"]


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return tune("relation-extraction", tmp_path_factory.mktemp("r"), max_steps=1).task


def pieces_of(task, feature):
    return [task.tokenizer.id_to_token(i) for i in feature.inputs["input_ids"]]


def encoded(task, example):
    [[feature]] = task.encode([example], labelled=False)
    return pieces_of(task, feature), feature


def test_markers_enclose_the_entities(task):
    pieces, feature = encoded(task, RELATIONS[0])
    text = " ".join(pieces).replace(" ##", "")
    assert text == "[CLS] the [E1] saw [/E1] cut the [E2] wood [/E2] [SEP]"
    columns = feature.inputs["entity_positions"]
    assert [pieces[c] for c in columns] == ["[E1]", "[E2]"]


def test_the_head_is_what_e1_was_in_either_order(task):
    pieces, feature = encoded(task, relation("the saw cut the wood", "wood", "saw", "Other"))
    assert " ".join(pieces).replace(" ##", "").startswith("[CLS] the [E2] saw [/E2]")
    assert [pieces[c] for c in feature.inputs["entity_positions"]] == ["[E1]", "[E2]"]


@pytest.mark.parametrize("limit", [6, 8, 11, 20])
@pytest.mark.parametrize("seed", range(4))
def test_no_marker_is_ever_lost(task, limit, seed):
    rng = np.random.default_rng(seed)
    words = list(rng.choice(["the", "saw", "cut", "wood", "bread"], size=60))
    a, b = sorted(rng.choice(60, 2, replace=False))
    text, starts = "", []
    for word in words:
        starts.append(len(text))
        text += word + " "
    spans = [CharSpan(starts[i], starts[i] + len(words[i])) for i in (a, b)]
    example = RelationExample(text, *spans[:: 1 if seed % 2 else -1])
    short = type(task)(
        task.tokenizer, task.model, dataclasses.replace(task.settings, max_length=limit)
    )
    pieces, feature = encoded(short, example)
    assert len(pieces) <= limit
    assert sorted(p for p in pieces if p in MARKS) == sorted(MARKS)
    assert [pieces[c] for c in feature.inputs["entity_positions"]] == ["[E1]", "[E2]"]
    assert feature.cut


def test_less_room_than_markers_is_an_error(task):
    short = type(task)(task.tokenizer, task.model, dataclasses.replace(task.settings, max_length=5))
    with pytest.raises(ConfigError, match="max_length: got 5, expected at least 6"):
        short.encode(RELATIONS[:1], labelled=False)


def test_a_text_that_spells_a_marker_is_text(task):
    example = relation("[E1] and [/E2] saw the wood [SEP]", "saw", "wood", "Other")
    pieces, _ = encoded(task, example)
    assert [pieces.count(mark) for mark in MARKS] == [1, 1, 1, 1]
    assert pieces.count("[SEP]") == 1


def test_two_entities_in_one_token_keep_their_markers(task):
    example = RelationExample("the saw", CharSpan(4, 5), CharSpan(5, 7))
    pieces, _ = encoded(task, example)
    assert sorted(p for p in pieces if p in MARKS) == sorted(MARKS)


def test_typed_markers_where_the_data_has_types(tmp_path):
    typed = [
        relation(
            "the saw cut the wood", "saw", "wood", "Uses", head_type="TOOL", tail_type="STUFF"
        ),
        relation("the cat and the wood", "cat", "wood", "Other", head_type="ANIMAL"),
    ]
    tune("relation-extraction", tmp_path / "out", train=typed, validation=typed, max_steps=1)
    task = open_task(tmp_path / "out")
    pieces, feature = encoded(task, typed[0])
    assert [p for p in pieces if p.startswith("[") and "E" in p and ":" in p] == [
        "[E1:TOOL]", "[/E1:TOOL]", "[E2:STUFF]", "[/E2:STUFF]",
    ]  # fmt: skip
    assert [pieces[c] for c in feature.inputs["entity_positions"]] == ["[E1:TOOL]", "[E2:STUFF]"]
    unknown = relation("the saw cut the wood", "saw", "wood", "Uses", head_type="NEW")
    assert "[E1]" in encoded(task, unknown)[0]


def test_relations_are_learned(tmp_path):
    result = tune("relation-extraction", tmp_path / "out", max_steps=40, eval_strategy="no")
    assert result.metrics["eval_f1"] == 1.0
    answer = result.task.answer(*next(iter(result.task.predict(RELATIONS[1:2]))))
    assert answer["label"] == "Cause-Effect(e2,e1)"
    assert (answer["head"], answer["tail"]) == ("wood", "saw")


def test_another_label_may_mean_no_relation(tmp_path):
    renamed = [
        dataclasses.replace(e, label="none" if e.label == "Other" else e.label) for e in RELATIONS
    ]
    options = {"train": renamed, "validation": renamed, "max_steps": 1}
    one = tune("relation-extraction", tmp_path / "a", **options, other="none")
    two = tune("relation-extraction", tmp_path / "b", **options)
    assert one.task.settings.other == "none"
    assert one.metrics["eval_f1"] != two.metrics["eval_f1"]
