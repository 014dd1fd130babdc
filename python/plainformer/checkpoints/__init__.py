"""Files in and out: checked safetensors, Hugging Face directories, atomic writing. NumPy only."""
