"""Fuzzing of everything that reads a stranger's bytes: `make fuzz`, and a short run of it in `make test`.

`targets.py` lists what is fuzzed, each with seeds and with what it must never do; `values.py` makes values that have a
shape (rows, documents), `seeds.py` the bytes to begin with; `child.py` runs one target under libFuzzer's guidance, with
bounds of time and memory; `__main__.py` runs them in turns and tells what was found. What is found becomes a case in
tests/cases, with a test beside the part that it broke.
"""
