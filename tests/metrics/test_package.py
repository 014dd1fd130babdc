"""The metrics are listed, documented, and need nothing but NumPy."""

import subprocess
import sys

from plainformer import metrics


def test_public_names_are_listed_and_documented():
    assert sorted(metrics.__all__) == metrics.__all__
    for name in metrics.__all__:
        assert (getattr(metrics, name).__doc__ or "").strip(), name


def test_numpy_is_all_they_import():
    code = """
import sys
import plainformer.metrics
assert not {"sacrebleu", "tokenizers", "ml_dtypes", "plainformer._cpu"} & set(sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
