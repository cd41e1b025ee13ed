"""What belongs to one life of the engine: who is seated, and what the engine was told and does by itself.

A report may be of a step that was begun before the last message arrived, so what was said with each message is kept until the engine has answered a later one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from brownout_inference.engine.messages import Advance, Advanced
from brownout_inference.engine.seating import Seat, Seating
from brownout_inference.ticket import Ticket
from brownout_inference.work import Work


@dataclass
class Batch:
    """What belongs to one life of the engine.

    `told` is the last message, `under_way` whether a report will come without another one; `seatings` are who took part, and `standby` who were offered, by the number of the
    message.
    """

    seats: dict[int, Seat] = field(default_factory=dict)
    leaving: list[int] = field(default_factory=list)
    told: Advance = field(default_factory=Advance)
    under_way: bool = False
    seatings: dict[int, Seating] = field(default_factory=dict)
    standby: dict[int, dict[int, tuple[Ticket, Work]]] = field(default_factory=dict)

    def is_told(self, seating: Seating, standby: Sequence[Ticket], *, least_standby: int, past_ends: bool) -> bool:
        """Whether the engine does by itself what is wanted now."""
        if self.leaving or seating.joining or (self.told.past_ends and not past_ends):
            return False
        offered = self.told.standby
        if len(offered) < min(len(standby), least_standby) or len(offered) > len(standby):
            return False
        if any(each.number != old[0] or each.work is not old[1] for each, old in zip(standby, offered, strict=False)):
            return False
        remaining = [number for number in self.told.keys if number in self.seats]
        return len(remaining) == len(seating.stepping) and {each.ticket.number for each in seating.stepping}.issuperset(
            remaining
        )

    def tells(self, message: Advance, seating: Seating, standby: Sequence[Ticket]) -> None:
        """The engine is sent this."""
        self.told = message
        self.seatings[message.number] = seating
        self.standby[message.number] = {each.number: (each, each.work) for each in standby}
        self.under_way = True

    def has_reported(self, advanced: Advanced) -> None:
        """The engine has reported. What came before the message that it did this for is over."""
        self.under_way = advanced.going_on or advanced.number < self.told.number
        for number in [number for number in self.seatings if number < advanced.number]:
            del self.seatings[number], self.standby[number]
