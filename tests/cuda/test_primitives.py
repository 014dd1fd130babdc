"""The emulated primitives do what PTX says of them, whatever the order of threads.

The tests themselves are in tests/cpp/cuda, in files that nvcc builds too: the same programs are
what a GPU runs first.
"""

import shutil
import subprocess
import sys

import pytest

from tests.cuda import programs

PRIMITIVES = ["primitives_sm80", "primitives_sm90"]
ARCHITECTURES = {"primitives_sm80": ("80", "90a"), "primitives_sm90": ("90a",)}


@pytest.mark.parametrize("poison", ["0xff", "0x7e"])
@pytest.mark.parametrize("order", ["fifo", "lifo", "1", "2", "3"])
@pytest.mark.parametrize("program", PRIMITIVES)
def test_primitives_in_every_order(program, order, poison):
    done = programs.execute(program, EMU_ORDER=order, EMU_POISON=poison)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) >= 15
    assert all(line.startswith("ok ") for line in lines)


@pytest.mark.parametrize("program", PRIMITIVES)
def test_primitives_on_several_host_threads(program):
    done = programs.execute(program, EMU_THREADS="3")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("program", PRIMITIVES)
def test_primitives_with_the_context_switch_of_other_processors(program):
    done = programs.execute(program, variant="ucontext")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_chip_without_an_instruction_says_so():
    done = programs.execute("primitives_sm90", "wgmma_n64", "tma_load", EMU_CAPABILITY="80")
    assert done.returncode == 1
    assert "mbarrier needs capability 90, the device has 80" in done.stdout
    assert "bytes of shared memory" in done.stdout or "wgmma needs capability 90" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs nvcc")
@pytest.mark.parametrize("program", PRIMITIVES)
def test_the_programs_build_for_a_device(program, tmp_path):
    codes = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in ARCHITECTURES[program]]
    source = programs.PROGRAMS / f"{program}.cu"
    command = ["nvcc", "-std=c++17", *programs.INCLUDES, *codes, "-o", str(tmp_path / "program")]
    subprocess.run([*command, str(source)], check=True, capture_output=True, cwd=programs.ROOT)


def test_wgmma_is_what_its_script_writes(tmp_path):
    script = programs.CUDA / "generate_wgmma.py"
    copy = tmp_path / script.name
    copy.write_text(script.read_text())
    subprocess.run([sys.executable, str(copy)], check=True)
    assert (tmp_path / "wgmma.cuh").read_text() == (programs.CUDA / "wgmma.cuh").read_text()
