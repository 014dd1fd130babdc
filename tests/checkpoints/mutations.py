"""Damage for fuzzing: strategies that turn a valid file into one that is nearly valid."""

import copy

from hypothesis import strategies as st

# What a hostile or broken writer puts where a figure, a name or a list belongs.
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 70),
    st.sampled_from([2**31, 2**32 - 1, 2**63, 2**64, -(2**63), 10**40, 1e308, -0.5]),
    st.text(max_size=6),
    st.sampled_from(
        ["F32", "F16", "I64", "BOOL", "../x", "/etc/passwd", "a\0", "[UNK]", "x" * 9999]
    ),
    st.lists(st.integers(-1, 9), max_size=4),
    st.just([[]] * 50),
    st.dictionaries(st.sampled_from(["a", "dtype", "type", "x"]), st.integers(0, 4), max_size=2),
)


def paths(value, at=()):
    """The path of every value inside a JSON value, itself first."""
    yield at
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from paths(value[key], (*at, key))


@st.composite
def edited(draw, value):
    """`value`, a JSON object, after one to three edits: parts replaced, deleted or copied."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        places = [path for path in paths(value) if path]
        if not places:
            break
        *parents, key = draw(st.sampled_from(places))
        inner = value
        for step in parents:
            inner = inner[step]
        kind = draw(st.sampled_from(["replace", "replace", "delete", "nest", "copy", "number"]))
        if kind == "delete":
            del inner[key]
        elif kind == "nest":
            inner[key] = [inner[key]]
        elif kind == "copy":
            source = draw(st.sampled_from(places))
            copied = value
            for step in source:
                copied = copied[step]
            inner[key] = copy.deepcopy(copied)
        elif kind == "number" and type(inner[key]) is int:
            inner[key] += draw(st.sampled_from([-8, -4, -1, 1, 4, 8]))
        else:
            inner[key] = copy.deepcopy(draw(JUNK))
    return value


@st.composite
def damaged(draw, data):
    """`data`, bytes, with a few changed, cut off, repeated or put in between."""
    data = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        kind = draw(st.sampled_from(["change", "change", "cut", "repeat", "insert", "delete"]))
        if kind == "change" and data:
            data[at] = draw(st.integers(0, 255))
        elif kind == "cut":
            del data[at:]
        elif kind == "repeat":
            data[at:at] = data[at : at + draw(st.integers(1, 64))]
        elif kind == "insert":
            data[at:at] = draw(
                st.sampled_from([b"\0", b"{", b"[" * 2000, b'"', b"\xff", b"\n\n", b"9" * 30])
            )
        else:
            del data[at : at + draw(st.integers(1, 8))]
    return bytes(data)
