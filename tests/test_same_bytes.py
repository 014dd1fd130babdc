"""The record of what comes out: the same for the same code, and it says what changed."""

import os

from .same_bytes import differences, record


def test_two_records_of_the_same_code_are_equal(monkeypatch):
    monkeypatch.setattr(os, "fsync", os.fsync)  # `record` replaces it
    before = record("pretrain clm gpt2 fp32")
    assert {"model.safetensors", "log.jsonl", "logits", "text "} <= {
        name.removeprefix("pretrain clm gpt2 fp32 ") for name in before
    }
    assert differences(before, record("pretrain clm gpt2 fp32")) == []


def test_what_changed_is_named():
    before, after = {"a": "1", "b": "1", "c": "1"}, {"b": "1", "c": "2", "d": "1"}
    assert differences(before, after) == ["gone     a", "changed  c", "new      d"]
