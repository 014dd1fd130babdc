"""A masked language model in a directory, made once; nobody cuts the power of these tests."""

import os

import pytest

from .tiny import save_masked_lm


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="session")
def directory(tmp_path_factory):
    return save_masked_lm(tmp_path_factory.mktemp("masked-lm"))
