"""What benchmarks/results/mutations.json says of the kernels' synchronisation lines."""

import pytest

from tests.cuda import mutate

RESULTS = mutate.read_results()


def test_whoever_survives_has_a_reason():
    for name, entry in RESULTS["files"].items():
        for mutant in entry["mutants"]:
            if mutant["caught"] is None:
                place = f"{name}:{mutant['line']} {mutant['call']}"
                assert mutant["reason"] not in ("", "not known"), place


def test_most_lines_are_caught():
    assert RESULTS["caught"] >= 0.9 * RESULTS["mutants"] > 0


def test_a_reason_is_of_a_line_that_is_there():
    there = {m.key for f in mutate.kernel_files() for m in mutate.mutants_of(f)}
    assert set(mutate.REASONS) <= there


def test_every_mutant_has_tests():
    for file in mutate.kernel_files():
        assert mutate.tests_of(mutate.dependents(file.name)), file.name


@pytest.mark.slow  # kernels change more often than the gate is run
def test_results_are_of_the_present_kernels():
    known = {name: entry["hash"] for name, entry in RESULTS["files"].items()}
    assert known == {f.name: mutate.hash_of(f) for f in mutate.kernel_files()}


def test_a_line_is_left_out_alone():
    text = "    if (a)\n        __syncthreads();\n    else\n        wgmma_wait<0>(d, f(x));\n"
    mutants = {3: mutate.Mutant("f", 2, "g", "__syncthreads()", 0, 19, 34)}
    assert mutate.switched(text, mutants) == (
        "    if (a)\n        do { if (::plainformer::left_out != 3) __syncthreads(); } while (0);\n"
        "    else\n        wgmma_wait<0>(d, f(x));\n"
    )
    assert mutate.end_of_call(text, text.index("wgmma_wait")) == text.rindex(";")
