"""No instruction of a higher ISA level outside that level's namespace.

One AVX-512 copy of a shared inline function, kept by the linker, is an illegal instruction on an
older processor. The module is disassembled, and every instruction is held against what its
function's level may use; some the older processor takes for another one (`lzcnt`) and goes on with
a wrong result. A slow test compiles the kernels without optimization and looks for copies that the
linker could keep.
"""

import platform
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from plainformer import _cpu

ROOT = Path(__file__).parents[1]
IS_ARM = platform.machine() in ("aarch64", "arm64")
X86_LEVELS = ["7generic", "4avx2", "6avx512", "10avx512bf16", "3amx"]  # as in mangled names
ARM_LEVELS = ["7generic", "4neon", "9neon_bf16"]
LEVELS = ARM_LEVELS if IS_ARM else X86_LEVELS
NOWHERE = 99  # no level's number

FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")


def named(names):
    return rf"[\t ]({names})"


# The level that an instruction needs, by its registers or its name, whatever its encoding; NOWHERE
# are extensions that no level is compiled for. `tzcnt` is not here: GCC writes it at any level for
# `bsf`, which older processors take it for and which differs at 0 alone, where the builtin has no
# result.
X86_NEEDS = [
    (NOWHERE, named(r"(lzcnt|movbe|adcx|adox|rdrand|rdseed|clwb|prefetchwt1)\w* ")),
    (NOWHERE, named(r"(v?aes|v?pclmul|sha1|sha256|v?gf2p8|xsave|xrstor|vcvtph2ps|vcvtps2ph)")),
    (NOWHERE, named(r"vp(madd52|erm[it2]*b|multishift|popcnt|conflict|lzcnt|sh[lr]d[vwdq]|4dp)")),
    (4, r"%tmm|" + named(r"(ldtilecfg|tilerelease)")),
    (3, named(r"(vdpbf16|vcvtne|vpdpbusd|vpdpwssd)")),
    (2, r"%zmm|%k[0-7]\b|%[xy]mm(1[6-9]|2\d|3[01])\b"),
    (1, r"%ymm"),
    (1, named(r"v[a-z0-9]+ ")),  # VEX encodings of xmm need AVX too
    (1, named(r"(andn|bextr|bls[ir]|blsmsk|bzhi|mulx|pdep|pext|rorx|sarx|shlx|shrx)[lq]? ")),
]
# The compiler's own `__aarch64_cas4_acq` and the like ask the processor before they use atomics.
ARM_NEEDS = [
    (NOWHERE, named(r"([su]dot|[su]mmla|usdot|fmlal2?|fcmla|fcadd|fjcvtzs|bti|xpac\w*|aes\w*)")),
    (NOWHERE, named(r"(ptrue|whilelo|ld1w|st1w|cntw|rdvl|smstart)") + r"|\bz\d+\.[bhsd]\b"),
    (NOWHERE, r"\tf(add|mul|mla|mls|sub|div)\tv\d+\.[48]h"),
    (2, named(r"(bfdot|bfmmla|bfmlal[bt]|bfcvtn?2?)")),
    (2, named(r"(cas|swp|ld(add|clr|eor|set|[su](max|min)))(a|l|al)?[bh]?") + "\t"),
]


class Rules:
    """An architecture's levels, and what functions of each may not use."""

    def __init__(self, levels, needs):
        self.levels = levels
        self.forbidden = [
            re.compile("|".join(pattern for needed, pattern in needs if needed > level))
            for level in range(len(levels))
        ]

    def allowed(self, function):
        """The level whose instructions it may use: the highest in its name, else the first."""
        return max((i for i, level in enumerate(self.levels) if level in function), default=0)

    def violations(self, lines):
        function, forbidden = "", self.forbidden[0]
        for line in lines:
            match = FUNCTION.match(line)
            if match:
                function = match.group(1)
                forbidden = self.forbidden[self.allowed(function)]
            elif forbidden.search(line) and not function.startswith("__aarch64_"):
                yield function, line.strip()


X86, ARM = Rules(X86_LEVELS, X86_NEEDS), Rules(ARM_LEVELS, ARM_NEEDS)
violations = (ARM if IS_ARM else X86).violations


def test_the_search_sees_what_it_should_on_arm():
    neon, bf16, main = "_ZN11plainformer4neon3addE", "_ZN11plainformer9neon_bf163addE", "main"
    cases = [
        ("bfdot\tv0.4s, v1.8h, v2.8h", bf16, neon),
        ("bfmmla\tv0.4s, v1.8h, v2.8h", bf16, main),
        ("bfcvtn\tv0.4h, v1.4s", bf16, neon),
        ("ldaddal\tx0, x1, [x2]", bf16, main),
        ("swpal\tw0, w1, [x2]", bf16, neon),
        ("casal\tw0, w1, [x2]", None, "_ZN11plainformer7generic3addE"),
        ("sdot\tv0.4s, v1.16b, v2.16b", None, bf16),
        ("fmla\tz0.s, p0/m, z1.s, z2.s", None, bf16),
        ("fadd\tv0.8h, v1.8h, v2.8h", None, bf16),
        ("fmla\tv0.4s, v1.4s, v2.s[0]", main, None),
        ("ldr\tq0, [x1]", main, None),
        ("ldadd8_acq_rel", main, None),
        ("casal\tw0, w1, [x2]", "__aarch64_cas4_acq_rel", None),
    ]
    for instruction, home, stranger in cases:
        line = f"   f1861:\t{instruction}"
        if home:
            assert not list(ARM.violations([f"0010 <{home}>:", line])), line
        if stranger:
            assert list(ARM.violations([f"0010 <{stranger}>:", line])), line


def test_the_search_sees_what_it_should():
    avx2, avx512, main = "_ZN11plainformer4avx23addE", "_ZN11plainformer6avx5123addE", "main"
    cases = [
        ("vaddps %ymm0,%ymm1,%ymm2", avx2, main),
        ("vaddps %zmm0,%zmm1,%zmm2", avx512, avx2),
        ("vaddps %ymm16,%ymm1,%ymm2", avx512, avx2),
        ("vmovups (%rax),%ymm1{%k1}{z}", avx512, avx2),
        ("vaddss %xmm0,%xmm1,%xmm2", avx2, main),
        ("vdpbf16ps %zmm0,%zmm1,%zmm2", "_ZN11plainformer10avx512bf163addE", avx512),
        ("tilezero %tmm0", "_ZN11plainformer3amx3addE", "_ZN11plainformer10avx512bf163addE"),
        ("tilezero %tmm0", None, "_ZN11plainformer12amx_emulated3addE"),
        ("addps  %xmm0,%xmm1", "_ZN11plainformer12amx_emulated3addE", None),
        ("shlx   %rcx,%rax,%rax", avx2, main),
        ("mulx   %r8,%rax,%rdx", avx2, main),
        ("tzcnt  %eax,%eax", main, None),
        ("lzcnt  %eax,%eax", None, avx512),
        ("movbe  (%rax),%edx", None, avx512),
        ("sha256rnds2 %xmm0,%xmm1,%xmm2", None, avx2),
        ("vpermb %zmm0,%zmm1,%zmm2", None, avx512),
        ("vpermilps $0x1,%ymm1,%ymm2", avx2, main),
        ("aesenc %xmm0,%xmm1", None, main),
        ("shl    $0x3,%rax", main, None),
        ("popcnt %rax,%rax", main, None),
        ("addps  %xmm0,%xmm1", main, None),
    ]  # fmt: skip
    for instruction, home, stranger in cases:
        line = f"   f1861:\t{instruction}"
        if home:
            assert not list(X86.violations([f"0010 <{home}>:", line])), line
        if stranger:
            assert list(X86.violations([f"0010 <{stranger}>:", line])) == [(stranger, line.strip())]


@pytest.mark.skipif(
    not (shutil.which("objdump") and shutil.which("nm")), reason="needs objdump and nm (binutils)"
)
def test_instructions_stay_in_their_namespaces():
    symbols = subprocess.run(["nm", _cpu.__file__], capture_output=True, text=True).stdout
    assert "11plainformer7generic" in symbols, "the module was stripped: nothing can be told apart"
    command = ["objdump", "-d", "--no-show-raw-insn", _cpu.__file__]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        found = list(violations(process.stdout))
    assert process.returncode == 0
    assert not found, f"{len(found)} instructions, first: {found[0]}"


# ---- what the linker could take for another level's ---------------------------------------------

AVX2 = ["-march=x86-64-v2", "-mavx2", "-mfma", "-mbmi", "-mbmi2", "-DPF_ISA=avx2"]


def weak_symbols(source, folder):
    """Inline functions and variables of which the object has a copy, not inlining what it can."""
    made = folder / f"{source.stem}.o"
    include = [f"-I{ROOT / part}" for part in ("csrc/include", "csrc/cpu")]
    flags = ["-std=c++17", "-O0", "-fPIC", "-Wno-psabi", *AVX2]
    subprocess.run(["c++", *flags, *include, "-c", str(source), "-o", str(made)], check=True)
    lines = subprocess.run(["nm", str(made)], capture_output=True, text=True, check=True).stdout
    return re.findall(r"^[0-9a-f]+ [WVu] (\w\S*)$", lines, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.skipif("avx2" not in _cpu.available_levels(), reason="needs x86-64")
@pytest.mark.skipif(not (shutil.which("c++") and shutil.which("nm")), reason="needs a compiler")
def test_kernels_emit_no_inline_function_of_all_levels(tmp_path):
    """Whatever kernel units share is static, always inlined or in the level's namespace."""
    listed = (ROOT / "cmake/sources.cmake").read_text().split("set(runtime_sources")[0]
    sources = [ROOT / name for name in re.findall(r"csrc/cpu/[\w/]+\.cpp", listed)]
    assert len(sources) > 10
    with ThreadPoolExecutor(4) as pool:
        symbols = [
            s for found in pool.map(lambda f: weak_symbols(f, tmp_path), sources) for s in found
        ]
    assert any("4avx2" in s for s in symbols)
    assert not {s for s in symbols if "4avx2" not in s and not s.startswith("DW.ref.")}
