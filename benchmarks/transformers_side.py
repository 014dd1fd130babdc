"""transformers as every side has it: without the network, and quiet. Imported in its place, because
it reads the variable when it is loaded.
"""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import transformers

__all__ = ["transformers"]
transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()
