"""Labelled data from files: which format one has, its records, and the examples they make.

A reader (`jsonl`, `table`, `conll`, `squad`, `plain`) turns a file into records, a builder
(`build`) turns a record into the example of a task and says what is wrong with it, and `reader`
joins the two. Formats are told apart in `sniff`.
"""

from .reader import ExampleReader, Examples, read_examples

__all__ = ["ExampleReader", "Examples", "read_examples"]
