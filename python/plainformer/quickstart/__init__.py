"""`plainformer quickstart`: the main job, whole and small, on text that every Python carries.

What it trains, on what, and how much. `cli/quickstart.py` tells it as it happens.
"""
