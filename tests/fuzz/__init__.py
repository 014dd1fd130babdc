"""Damaged files for every reader, and odd arguments for functions, in a child with limits.

    mutate.py     a valid file made nearly valid, from a seed
    readers.py    the table of readers: one entry a kind of file
    functions.py  the table of functions: one entry a function, with a strategy an argument
    bindings.py   the table of compiled functions: hostile arguments past all checks in Python
    child.py      runs cases with bounds on time and memory, and says what went wrong
    report.py     `python -m tests.fuzz NAME [FIRST [COUNT]]`: run, show, keep a case

What a case may do is succeed or raise a PlainformerError (on the command line: click's error)
whose message is short. Any other exception or warning, a crash, more than two seconds of
processor or two GiB of memory is a fault.
"""
