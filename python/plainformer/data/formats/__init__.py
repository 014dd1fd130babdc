"""Labelled data from files: which format one has, its records, and the examples they make.

A reader (`jsonl`, `table`, `conll`, `squad`, `plain`) turns a file into records, a builder
(`build`, `tagged`) turns a record into the example of a task and says what is wrong with it, and
`reader` joins the two; `objects` does so for what is in memory already. Formats are told apart in
`sniff`.
"""

from .objects import examples_of
from .reader import ExampleReader, Examples, read_examples

__all__ = ["ExampleReader", "Examples", "examples_of", "read_examples"]
