"""Files in and out: checked safetensors, Hugging Face directories, atomic writing. NumPy only."""

from .huggingface import load_state, match_keys, read_config, save_model
from .safetensors import SafetensorsFile, load_file, save_file

__all__ = [
    "SafetensorsFile",
    "load_file",
    "load_state",
    "match_keys",
    "read_config",
    "save_file",
    "save_model",
]
