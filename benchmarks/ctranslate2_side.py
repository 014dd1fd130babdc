"""What the processes of CTranslate2 share: conversion of a directory, and which code it uses.

A checkpoint is converted by CTranslate2's own converter, which needs transformers and torch in this
interpreter; it is not timed.
"""

from __future__ import annotations

import functools
import logging
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import ctranslate2

from plainformer.bench.peers import instructions

THREADS = {"intra_threads": int(os.environ.get("OMP_NUM_THREADS", "1")), "inter_threads": 1}


def describe() -> dict[str, Any]:
    """Version, and the instructions of its own loops, as it logs them when it looks for a model."""
    return {"ctranslate2": ctranslate2.__version__, "instructions": {"CTranslate2": _own_level()}}


def set_threads(threads: int) -> None:
    """Those of a model, given when it is loaded."""
    THREADS["intra_threads"] = threads


@functools.cache
def _own_level() -> str | None:
    """It logs that once a process."""

    def look() -> None:
        ctranslate2.set_log_level(logging.INFO)
        try:
            ctranslate2.Encoder("/no/such/model")
        except (RuntimeError, ValueError):
            ctranslate2.set_log_level(logging.WARNING)

    found = re.search(r"Selected ISA: (\w+)", instructions.printed(look))
    return instructions.level_of_text(found.group(1)) if found else None


def convert(path: str) -> str:
    """A new folder with the model in CTranslate2's format, float32; int8 is made when it loads."""
    import transformers
    from ctranslate2.converters import TransformersConverter

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    # What transformers 5 has no words for any more, and the converter asks for.
    transformers.BertConfig.position_embedding_type = "absolute"
    transformers.BartConfig.normalize_before = False
    transformers.BartConfig.normalize_embedding = True
    folder = str(Path(tempfile.mkdtemp(), "ct2"))
    TransformersConverter(path).convert(folder)
    return folder


def level_of_products(kind: str, folder: str) -> dict[str, str | None]:
    """The instructions of oneDNN or MKL under CTranslate2, as they print them in a process that is
    told to: they read the same environment there as here.

    kind : the class that loads `folder`, whose first call is with one token of each row
    """
    code = (
        "import ctranslate2, sys;"
        f"model = getattr(ctranslate2, {kind!r})({folder!r}, intra_threads=1);"
        "call = {'Encoder': lambda: model.forward_batch([[1, 1]]),"
        " 'Generator': lambda: model.forward_batch([[1, 1]]),"
        " 'Translator': lambda: model.translate_batch([['t9']], max_decoding_length=1)}"
        f"; call[{kind!r}]()"
    )
    told = {**os.environ, "ONEDNN_VERBOSE": "1", "DNNL_VERBOSE": "1", "MKL_VERBOSE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=told, capture_output=True, text=True)
    found = re.search(r"cpu,isa:(.*)", done.stdout)
    if found:
        return {"its oneDNN": instructions.level_of_text(found.group(1))}
    return {"its products": instructions.level_of_mkl(done.stdout)}
