"""Benchmarks: each figure beside its reference from the same run. Run by `bin/bench`; no part of the gate."""
