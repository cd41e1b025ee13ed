"""The engines: how a batch is kept and advanced by one step, the device that paces it, and the loop that fills it."""
