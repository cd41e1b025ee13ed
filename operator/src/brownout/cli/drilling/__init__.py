"""A drill: a short override that shows what a rung saves, measured beside what the plan says it would.

    choose the rung -> measure -> override -> let it settle -> measure -> end -> report

The override's expireTime is the guarantee: it ends then, whatever becomes of the command.
"""
