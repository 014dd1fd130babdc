"""Files in and out: checked safetensors, Hugging Face directories, atomic writing. NumPy only."""

from .huggingface import load_state, read_config, save_model
from .matching import LoadReport, fit_state
from .safetensors import SafetensorsFile, load_file, save_file

__all__ = [
    "LoadReport",
    "SafetensorsFile",
    "fit_state",
    "load_file",
    "load_state",
    "read_config",
    "save_file",
    "save_model",
]
