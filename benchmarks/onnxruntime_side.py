"""What the processes of onnxruntime share: a session on an exported directory.

MLAS, its kernels, picks its instructions by the processor alone: no variable or option holds it to
fewer, so it is compared at the best level only.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

THREADS = {"count": int(os.environ.get("OMP_NUM_THREADS", "1"))}


def describe() -> dict[str, Any]:
    """Version; which instructions it uses, nobody can say."""
    return {"onnxruntime": onnxruntime.__version__, "instructions": {"MLAS": None}}


def set_threads(threads: int) -> None:
    """Those of a session, given when it is made."""
    THREADS["count"] = threads


def session(path: str, dtype: str) -> Any:
    """A session on the classifier of a directory, exported here."""
    from export_onnx import export

    file = str(Path(tempfile.mkdtemp(), "model.onnx"))
    export(path, file, dtype)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS["count"]
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def feeds(ids: Any, mask: Any) -> dict[str, Any]:
    """The inputs of an exported model."""
    return {"input_ids": np.array(ids, np.int64), "attention_mask": np.array(mask, np.int64)}
