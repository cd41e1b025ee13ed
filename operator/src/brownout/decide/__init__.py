"""The decisions: a snapshot, a memory and a moment in; a plan and a new memory out. Pure.

Nothing here does I/O, reads a clock or draws a random number, so the operator, a simulator and a test run the same code.
Rules are functions with a name, in lists with an order; the plan carries which rule spoke, and on what numbers.
"""
