"""Headers that both backends share stand alone, and device code can call what they define."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
INCLUDE = ROOT / "csrc/include"
CHECKS = ROOT / "csrc/checks"
HEADERS = sorted(INCLUDE.rglob("*.h"))
FLAGS = ["-std=c++17", f"-I{INCLUDE}"]

DEVICE_CODE = """
using namespace plainformer;
__global__ void kernel(Ids ids, DropoutRule rule, int64_t* out) {
    const philox::Words words = philox::generate(rule.seed, {{0, 1, 2, rule.offset}});
    out[threadIdx.x] = ids[threadIdx.x] + dropout_keeps(rule, 0, 1, threadIdx.x) + words.w[0];
    if (!is_id(ids[0], 4) || !is_sequence(0, words.w[1], 5) || !is_length(0, 1, 4)) out[0] = -1;
}
bool is_step(const StepArrays& arrays) {
    static_assert(element_size(dtype_of<float16>) == sizeof(float16));
    return for_dtypes<float, float16, bfloat16>(arrays.param.dtype(), false, [&](auto type) {
        return Step<decltype(type)>(1).add(arrays);
    });
}
"""


def source_of(headers, text=""):
    return "".join(f'#include "{header.relative_to(INCLUDE)}"\n' for header in headers) + text


@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")
def test_each_header_compiles_alone(tmp_path):
    for header in HEADERS:
        source = tmp_path / f"{header.stem}.cpp"
        source.write_text(source_of([header]))
        flags = ["-fsyntax-only", "-Wall", "-Wextra", "-Werror", *FLAGS]
        subprocess.run(["c++", *flags, str(source)], check=True)


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs nvcc")
def test_device_code_compiles_with_all_headers_and_checks(tmp_path):
    source = tmp_path / "device.cu"
    checks = "".join(f'#include "checks/{header.name}"\n' for header in CHECKS.glob("*.h"))
    source.write_text(source_of(HEADERS, checks + DEVICE_CODE))
    flags = [*FLAGS, f"-I{CHECKS.parent}", "-arch=sm_80", "-c", "-o", str(tmp_path / "device.o")]
    subprocess.run(["nvcc", *flags, str(source)], check=True)


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: header.stem)
def test_headers_include_nothing_of_one_backend(header):
    included = re.findall(r'#include [<"]([^>"]+)[>"]', header.read_text())
    ours = {name for name in included if name.startswith("plainformer/")}
    assert set(included) - ours <= {"cstddef", "cstdint", "initializer_list"}


def test_every_operation_has_one_argument_struct():
    listed = re.findall(r"X\((\w+), (\w+)\)", (INCLUDE / "plainformer/operations.h").read_text())
    assert listed == sorted(listed)
    sources = [*HEADERS, *sorted((ROOT / "csrc/cpu").glob("*.h"))]
    structs = re.findall(r"^struct (\w+Args)\b", "".join(p.read_text() for p in sources), re.M)
    for operation, arguments in listed:
        assert structs.count(arguments) == 1, operation
