"""Text to batches: reading, tokenizers, token shards, training blocks. NumPy only."""
