"""Start-time fair queueing between users (Goyal, Vin and Cheng, 1996): whoever asks for much waits for what they ask for, not everybody else.

Each request gets a start tag: the virtual time at its arrival, or where the user's previous request ends if that is later. Requests are served by their tags,
and the virtual time is the tag of the one served last. A user with one request is served about as by arrival; of a burst by one user only the first
request is, and the others take turns with everybody else's.
"""

FORGET_ABOVE = 256
"""How many users are remembered before those who have nothing ahead of the virtual time are forgotten."""


class FairClock:
    """Virtual time of one tier, in units of cost."""

    def __init__(self) -> None:
        self.now = 0.0
        self._ends: dict[str, float] = {}

    def tag(self, user: str, cost: float) -> float:
        """The start tag of a request by `user` that comes now."""
        start = self.next_tag(user)
        self._ends[user] = start + cost
        if len(self._ends) > FORGET_ABOVE:
            self._ends = {name: end for name, end in self._ends.items() if end > self.now}
        return start

    def next_tag(self, user: str) -> float:
        """The start tag that a request by `user` would get now."""
        return max(self.now, self._ends.get(user, 0.0))

    def served(self, tag: float) -> None:
        """A request with this tag goes to the device."""
        self.now = max(self.now, tag)

    def give_back(self, user: str, cost: float) -> None:
        """A request of `user` left without being served: those that come later do not wait for it."""
        if user in self._ends:
            self._ends[user] -= cost
