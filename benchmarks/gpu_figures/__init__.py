"""The parts of benchmarks/inference_gpu.py: each runs in a process of its own and prints what it finds as it finds it."""
