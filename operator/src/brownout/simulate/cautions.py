"""What makes a scenario's figures say less than they seem to: warnings, for it runs all the same."""

from brownout.simulate.layout import Layout


def cautions(layout: Layout) -> tuple[str, ...]:
    """A sentence for each thing in a scenario and its manifests that is probably not meant."""
    return (*_slow_batches(layout), *_two_sizes(layout))


def _slow_batches(layout: Layout) -> list[str]:
    """Workloads that cannot keep their objective in a full batch: under load every answer is late, whoever decides."""
    said = []
    for w, name in enumerate(layout.workloads):
        world, gpus = layout.scenario.workloads[name], int(layout.gpus[w])
        cost = float(layout.costs[:, 0, w].max())
        seconds = world.batch * cost / gpus
        if seconds > world.objective_seconds:
            said.append(
                f"scenario {layout.scenario.name}: workloads.{name}: a full batch of first variants takes {seconds:.4g} s "
                f"({world.batch} x {cost:.4g} GPU-seconds on {gpus} GPUs), longer than objectiveSeconds ({world.objective_seconds:g}): "
                f"under load every answer is late; write objectiveSeconds: {2 * seconds:.4g} (twice a full batch) or a smaller batch"
            )
    return said


def _two_sizes(layout: Layout) -> list[str]:
    """A pool that the manifests and the scenario size differently."""
    declared, pool = layout.manifests.pool.spec.capacity.gpus, layout.scenario.pool
    placed = pool.nodes * pool.gpus_per_node
    if declared is None or declared == placed:
        return []
    return [
        f"scenario {layout.scenario.name}: pool: {pool.nodes} nodes of {pool.gpus_per_node} GPUs are {placed}, and the GPUPool's "
        f"capacity.gpus is {declared}: the lesser counts for Brownout, while the oracles are told the hardware; make them agree"
    ]
