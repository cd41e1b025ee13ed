"""What the best conceivable decisions would have served: bounds that know the whole future, to measure controllers against.

- `fluid` (O1): GPUs that change their workload at once, in any fraction, in every bucket of time. Nothing does better.
- `foresight` (O2): whole replicas that take their cold start to move, decided with the future known, free of ladder order.
- `on_the_ladder` (O2L): the same, but what does not fit is taken in the order of the ladder.

All three leave out backlog: what is not served in its bucket is not served. Buckets of ten seconds and more are what a queue
within its objective smooths; where a controller does better by its queues, compare with the greater of the two.
"""

from brownout.simulate.oracles.ceilings import Ceiling, fluid, foresight, on_the_ladder
from brownout.simulate.oracles.truth import Truth

__all__ = ["Ceiling", "Truth", "fluid", "foresight", "on_the_ladder"]
