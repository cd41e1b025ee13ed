"""What would change if these files were applied: the operator's own snapshot and plan, once as things are and once as they would be.

    cluster -> facts -> (files in their place) -> observe -> plan -> differences

Nothing is written. Both plans start from the statuses in the cluster and are made of the same moment, so what differs is the files'.
"""
