"""Quotas with a ledger: how many units a user still has today, counted exactly, and given back where nothing came of one.

    context -> audience, allowance -> day -> account -> ledger (Redis, or this process's memory)

The ledger counts and does not judge: whether a feature is served at all is the flag's word, and evaluation never asks the ledger.
"""
