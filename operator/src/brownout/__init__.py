"""Brownout: takes features from the tiers that can best do without them when the GPUs run out, and gives them back.

Data comes in at `observe`, is judged in `decide`, and goes out through `act` and `publish`; `run` ties them together.
`flags` is the data plane: it answers users and needs none of the others to be up.
"""
