"""Labelled data from files and objects: records to the examples of a task.

A builder (`build`, `tagged`) turns a record into an example and says what is wrong with it;
`reader` does so for files of every format, `objects` for what is in memory already.
"""
