"""The figures of the flag server, each measured beside its reference: what `benchmarks/flags.py` runs."""
