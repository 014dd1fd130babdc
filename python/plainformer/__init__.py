"""plainformer: the Transformer, whole and small."""
