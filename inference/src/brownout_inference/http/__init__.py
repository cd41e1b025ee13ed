"""HTTP: the subset of OpenAI's API that is served, health, and metrics."""
