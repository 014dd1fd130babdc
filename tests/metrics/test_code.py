"""Heads of functions, where bodies end, and what parses."""

import ast
import inspect

import pytest

from plainformer.errors import DTypeError, ShapeError
from plainformer.metrics import function_body, function_heads, parse_rate

HEAD = 'def f(x):\n    """Do it."""'
SOURCE = '''
class A:
    @property
    def first(self,
              other=")"):
        """One
        of two.
        """
        return self

    def only(self):
        """A docstring and no more."""

    def none(self):
        return 1

async def second(x): # a comment
    r"""Raw."""
    def inner():
        "Inner."
        return x
    return inner
def one(): "Line."; return 1
'''


def test_heads_are_those_of_functions_with_docstring_and_body():
    first, second, inner = function_heads(SOURCE)
    assert first.startswith('    def first(self,\n              other=")"):\n        """One\n')
    assert first.endswith('\n        """')
    assert second == 'async def second(x): # a comment\n    r"""Raw."""'
    assert inner == '    def inner():\n        "Inner."'


def test_a_head_with_its_own_body_parses():
    heads = function_heads(SOURCE)
    bodies = [
        "\n        return self\n\n    def only",
        "\n    return inner",
        "\n        return x\n    return inner",
    ]
    assert parse_rate(completions=bodies, heads=heads) == 1
    assert (
        parse_rate(completions=[body.replace("return", "return (") for body in bodies], heads=heads)
        == 0
    )


def test_functions_of_this_pythons_library_parse_again():
    for module in (inspect, ast):
        source = inspect.getsource(module)
        heads = function_heads(source)
        completions = [source[source.index(head) + len(head) :] for head in heads]
        assert len(heads) > 20
        assert parse_rate(completions=completions, heads=heads) == 1


@pytest.mark.parametrize("source", ["def f(:\n", "\0", "(" * 1000, ""])
def test_what_is_no_python_has_no_heads(source):
    assert function_heads(source) == []


def test_form_feeds_end_no_line():
    source = "x = 1\n\x0c\n" + HEAD + "\n    return 1\n"
    assert function_heads(source) == [HEAD]


@pytest.mark.parametrize(
    ("completion", "body"),
    [
        ("\n    return x\n\ndef g():\n    pass\n", "\n    return x"),
        ("\n    return x\n\n\n# about g\ndef g():", "\n    return x"),
        ("\n    return x\nprint(1)\n", "\n    return x"),
        ("\n    return x", "\n    return x"),
        ("\n    if x:\n        pass\n    # last\n\n@a\n", "\n    if x:\n        pass\n    # last"),
        ("\n    a = [\n1,\n]\n    return a\nb\n", "\n    a = [\n1,\n]\n    return a"),
        ("\n    a = '''\nb\n'''\n    return a\nb\n", "\n    a = '''\nb\n'''\n    return a"),
        ("\n    a = f(b[\n1](\n2))\nc\n", "\n    a = f(b[\n1](\n2))"),
        ("\n    return 'open", "\n    return 'open"),
        ("\n    a = (\n", "\n    a = ("),
        ("; return x\nb", "; return x"),
        ("", ""),
        ("\n\n\n", ""),
        ("\ndef g():\n    pass\n", ""),
    ],
)
def test_a_body_ends_by_its_indentation(completion, body):
    assert function_body(HEAD, completion) == body


def test_a_head_may_be_indented():
    head = "    def f(self):\n        'It.'"
    assert function_body(head, "\n        return 1\n    def g") == "\n        return 1"


@pytest.mark.parametrize(
    ("completion", "parses"),
    [
        ("\n    return x\ndef g(", True),
        ("\n    pass", True),
        ("\n    '''Another string.'''", True),
        ("", False),  # the docstring alone would parse
        ("\n    # only a comment\n", False),
        ("\ndef g():\n    pass\n", False),
        ("\n    return (x\n", False),
        ("\n      return x\n", False),  # deeper than the docstring
        ("\n    return x\n  b\n", False),
        ("\n    return '\\d'\n", True),  # only a warning
        ("\n    return \0\n", False),
        ("\n    yield x\n  \n\n", True),
        (" more words", False),
    ],
)
def test_what_parses(completion, parses):
    assert parse_rate(completions=[completion], heads=[HEAD]) == parses


def test_the_rate_is_a_fraction():
    assert (
        parse_rate(
            completions=["\n    return 1", "\n    return (", "", "\n    pass"], heads=[HEAD] * 4
        )
        == 0.5
    )


def test_a_function_that_the_completion_begins_is_not_the_heads():
    assert parse_rate(completions=["\n    def g():\n        pass"], heads=[HEAD]) == 1
    assert parse_rate(completions=["\n\ndef g():\n    'It.'\n    return 1"], heads=[HEAD]) == 0


def test_bad_arguments_are_named():
    with pytest.raises(ShapeError, match="completions: got 0 for 0 heads"):
        parse_rate(completions=[], heads=[])
    with pytest.raises(ShapeError, match="completions: got 1 for 2 heads"):
        parse_rate(completions=["a"], heads=[HEAD, HEAD])
    with pytest.raises(DTypeError, match=r"source\[0\]: got 1"):
        function_heads(1)
    with pytest.raises(DTypeError, match="got None, expected str"):
        function_body(HEAD, None)
