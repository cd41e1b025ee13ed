"""A closed loop in virtual time: real manifests, the very `plan()`, queues of single requests, pods that load, metrics that lag.

It needs no cluster. It shows what the rules would do to a load, beside what other controllers and oracles would have done.
"""
