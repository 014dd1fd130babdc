"""The example of docs/cuda-emulation.md is right, and without its barrier what the page says."""

import re

import pytest

from tests.cuda import programs

PAGE = (programs.ROOT / "docs/cuda-emulation.md").read_text()
EXAMPLE = re.search(r"```cpp\n(.*?)```", PAGE, re.S).group(1)
MAIN = """
#include <cstdio>
int main() {
    float x[2 * 300], y[2];
    for (int i = 0; i < 600; ++i) x[i] = i < 300 ? 1 : 2;
    row_sums(x, y, 2, 300);
    std::printf("%g %g\\n", y[0], y[1]);
}
"""


@pytest.fixture
def built(tmp_path):
    def build(example):
        source = tmp_path / "example.cu"
        source.write_text(example + MAIN)
        folder = programs.cache_folder() / "programs"
        runtime = [programs.compile_object(f, folder, *flags) for f, flags in programs.runtime()]
        program = tmp_path / "example"
        command = [programs.COMPILER, "-std=c++20", *programs.INCLUDES, "-x", "c++", str(source)]
        programs.run([*command, "-x", "none", *map(str, runtime), "-pthread", "-o", str(program)])
        return program

    return build


def test_the_example_of_the_page(built):
    program = built(EXAMPLE)
    assert "__syncthreads();" in EXAMPLE
    for order in ("fifo", "lifo", "1"):
        assert programs.output(program, EMU_ORDER=order) == "300 600\n"


def test_the_example_without_its_barrier(built):
    program = built(EXAMPLE.replace("__syncthreads();", ""))
    assert "nan" in programs.output(program, EMU_ORDER="fifo")
    assert programs.output(program, EMU_ORDER="lifo") == "300 600\n"
