"""Writes wgmma.cuh, beside this file: a wrapper of one PTX instruction per width N and type.

python csrc/cuda/generate_wgmma.py
"""

import pathlib
import textwrap

WIDTHS = (64, 96, 128, 192, 256)
TYPES = {"bfloat16": "bf16", "float16": "f16"}

HEAD = """\
// Written by generate_wgmma.py: D (64,N) = A (64,16) B (16,N) [+ D], one function per N and type.
// clang-format off
#pragma once
#include "primitives_sm90.cuh"

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
namespace plainformer::cuda {

template <typename T, int N>
struct Wgmma;
"""

TAIL = """
// TA, TB: 0 for an operand whose K runs fastest in shared memory, 1 for one whose M or N does.
// Of d, thread t of the warpgroup holds row t / 32 * 16 + t % 32 / 4 (+ 8 where i / 2 is odd) and
// column i / 4 * 8 + t % 4 * 2 + i % 2.
template <typename T, int TA = 0, int TB = 0, int R>
PF_DEVICE void wgmma(float (&d)[R], uint64_t a, uint64_t b, bool accumulate) {
    Wgmma<T, 2 * R>::template shared<TA, TB>(d, a, b, accumulate);
}

// A from registers, in the layout of mma_m16n8k16's a, 16 rows a warp.
template <typename T, int TB = 0, int R>
PF_DEVICE void wgmma(float (&d)[R], const uint32_t (&a)[4], uint64_t b, bool accumulate) {
    Wgmma<T, 2 * R>::template registers<TB>(d, a, b, accumulate);
}

}  // namespace plainformer::cuda
#endif
"""


def listed(items, indent, between=", "):
    return textwrap.fill(between.join(items), 99, initial_indent=indent, subsequent_indent=indent)


def quoted(text, indent):
    lines = textwrap.wrap(text, 99 - len(indent) - 3)
    return "\n".join(f'{indent}"{line} "' for line in lines)


def function(n, ptx, registers):
    """The wrapper whose A comes from registers, or from shared memory."""
    count = n // 2
    a = count + 4 if registers else count + 1  # the operands: accumulators, A, then B
    operand = "{" + ", ".join(f"%{count + i}" for i in range(4)) + "}" if registers else f"%{count}"
    transposes = f"%{a + 2}" if registers else f"%{a + 2}, %{a + 3}"
    arguments = "const uint32_t (&a)[4]" if registers else "uint64_t a"
    inputs = '"r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3])' if registers else '"l"(a)'
    constants = '"n"(TB)' if registers else '"n"(TA), "n"(TB)'
    accumulators = ", ".join(f"%{i}" for i in range(count))
    outputs = [f'"+f"(d[{i}])' for i in range(count)]
    return f"""\
    template <{"int TB" if registers else "int TA, int TB"}>
    static PF_DEVICE void {"registers" if registers else "shared"}(
        float (&d)[{count}], {arguments}, uint64_t b, int accumulate) {{
        asm volatile(
            "{{.reg .pred p; setp.ne.b32 p, %{a + 1}, 0;\\n"
            "wgmma.mma_async.sync.aligned.m64n{n}k16.f32.{ptx}.{ptx} {{"
{quoted(accumulators, " " * 12)}
            "}}, {operand}, %{a}, p, 1, 1, {transposes};}}\\n"
            :
{listed(outputs, " " * 12)}
            : {inputs}, "l"(b), "r"(accumulate), {constants});
    }}
"""


def main():
    text = HEAD
    for name, ptx in TYPES.items():
        for n in WIDTHS:
            text += f"\ntemplate <>\nstruct Wgmma<{name}, {n}> {{\n"
            text += function(n, ptx, False) + function(n, ptx, True) + "};\n"
    pathlib.Path(__file__).with_name("wgmma.cuh").write_text(text + TAIL)


if __name__ == "__main__":
    main()
