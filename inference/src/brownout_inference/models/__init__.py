"""The small models that ship with the server: their networks, their weights, and how they are sampled."""
