"""Who takes part in the next step."""

from brownout_inference.engine.seating import Seat, seat
from brownout_inference.ticket import Ticket
from brownout_inference.tier_queue import AGE_SECONDS, TierQueue
from inference.builders import ticket


async def test_who_is_let_through_for_their_age_displaces_nobody_of_their_own_tier() -> None:
    queue = TierQueue[Ticket](places_per_tier=10, aged_share=1.0)
    served = ticket("pro")
    queue.offer(served)
    queue.take(served)  # which earns what has aged the right to go first
    runs, aged = ticket("free"), ticket("free")
    queue.offer(aged)
    queue.offer(ticket("pro"))
    assert queue.head(AGE_SECONDS) is aged
    seating = seat([Seat(runs, left=4, slots=1)], queue, slots=1, places=2, most=None, now=AGE_SECONDS)
    assert ([each.ticket for each in seating.stepping], seating.left_out) == ([runs], [])
