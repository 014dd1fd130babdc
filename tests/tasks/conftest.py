"""Nobody cuts the power of these tests: files need not be forced to the disk."""

import os

import pytest


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    """Most of the time of a tiny run."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
