"""A person's word above the loop: what may be said, what it changes, and which words stand. Pure; the command writes."""
