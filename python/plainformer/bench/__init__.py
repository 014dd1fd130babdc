"""Speed of the kernels beside NumPy and PyTorch: what `plainformer bench` runs.

cases/     what is measured: one file an operation (shapes, inputs, float64 reference, least work)
peers/     who is measured: ours, NumPy, PyTorch; each in a process of its own
runner.py  how: check against float64, then interleaved rounds
report.py  what is said about it: rows for people, JSON for programs

This package, `cases` and `peers` import neither the compiled module nor the rest of plainformer
at the top: peer processes may run under another interpreter that has only NumPy and ml_dtypes.
"""
