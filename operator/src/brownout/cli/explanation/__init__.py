"""Why a cell, a scaler or a pool is as it is: read from the status of stored objects alone, in words or as JSON.

model: what an explanation says; text: how it is printed; seen: the objects, tied together; cells, scalers, pools, chain: one
explanation each. All of it is pure.
"""
