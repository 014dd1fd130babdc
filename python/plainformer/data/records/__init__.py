"""Files to records, for texts and for labelled examples alike.

`files` finds what is named, `source` opens it and counts what is bad, and a reader a format
(`jsonl`, `table`, `conll`, `squad`, `plain`) gives a record for each line, row, sentence or
question: the fields that were asked for, or why it has none. Builders make of records what is
wanted: documents (`data.text`), examples of a task (`data.labelled`), requests
(`tasks.requests`). `sniff` tells the formats apart.
"""
