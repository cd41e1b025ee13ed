"""The parts of the inference server's benchmark."""
