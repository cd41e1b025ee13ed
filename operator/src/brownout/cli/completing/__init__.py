"""Completion in shells and in kubectl: the parsers' own commands, options and choices, and names that the cluster has.

One answer for everybody, in the form that kubectl asks plugins for: a candidate on each line, a tab, what it is; then `:4`, or
`:0` where files are meant. Form: Cobra's `__complete`, as kubectl's plugin completion reads it.
"""
