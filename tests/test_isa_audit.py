"""No instruction of a higher ISA level outside that level's namespace.

One AVX-512 copy of a shared inline function, kept by the linker, is an illegal instruction on an
older processor. The module is disassembled, and wide registers are looked for in every function.
"""

import re
import shutil
import subprocess

import pytest

from plainformer import _cpu

FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
ZMM = re.compile(r"%zmm|%k[0-7]\b")
YMM = re.compile(r"%ymm|\tv[a-z0-9]+ ")  # VEX encodings of xmm need AVX too


def allowed(function: str) -> int:
    """The widest registers a function may use: 2 AVX-512, 1 AVX and AVX2, 0 neither."""
    if "6avx512" in function or "10avx512bf16" in function:
        return 2
    return 1 if "4avx2" in function else 0


def violations(lines):
    function = ""
    for line in lines:
        match = FUNCTION.match(line)
        if match:
            function = match.group(1)
        elif ZMM.search(line):
            if allowed(function) < 2:
                yield function, line.strip()
        elif YMM.search(line) and allowed(function) < 1:
            yield function, line.strip()


def test_the_search_sees_what_it_should():
    text = ["0010 <_ZN11plainformer4avx23addE>:", "\tvaddps %ymm0,%ymm1,%ymm2"]
    assert not list(violations(text))
    assert list(violations(["0010 <main>:", text[1]])) == [("main", text[1].strip())]
    assert list(violations([text[0], "\tvaddps %zmm0,%zmm1,%zmm2"]))
    assert list(violations(["0010 <main>:", "\tvaddss %xmm0,%xmm1,%xmm2"]))


@pytest.mark.skipif(
    not (shutil.which("objdump") and shutil.which("nm")), reason="needs objdump and nm (binutils)"
)
def test_wide_registers_stay_in_their_namespaces():
    symbols = subprocess.run(["nm", _cpu.__file__], capture_output=True, text=True).stdout
    assert "11plainformer7generic" in symbols, "the module was stripped: nothing can be told apart"
    command = ["objdump", "-d", "--no-show-raw-insn", _cpu.__file__]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        found = list(violations(process.stdout))
    assert process.returncode == 0
    assert not found, f"{len(found)} instructions, first: {found[0]}"


@pytest.mark.skipif(shutil.which("nm") is None, reason="needs nm (binutils)")
def test_kernels_instantiate_no_shared_inline_functions():
    """Weak symbols (inline functions) of the standard library must not come from kernel units."""
    symbols = subprocess.run(
        ["nm", _cpu.__file__], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    levels = ("7generic", "4avx2", "6avx512", "10avx512bf16")
    weak_std = [s for s in symbols if " W _ZNSt" in s or " W _ZNKSt" in s]
    assert not [s for s in weak_std if any(level in s for level in levels)]
