"""How much of what texts may have is made: `max_tokens` is a bound, and most answers end long before."""

FORGET = 0.02
"""The part of what was learned that each further text takes away."""


class MadeTokens:
    """Tokens that were made over tokens that were asked for, of the texts of late."""

    def __init__(self) -> None:
        self._made = self._asked = 0.0

    def ended(self, *, made: int, asked: int) -> None:
        """A text is complete."""
        self._made += made - FORGET * self._made
        self._asked += asked - FORGET * self._asked

    @property
    def share(self) -> float:
        """0..1; 0 before a text was complete, so that nobody is refused for what nobody knows."""
        return min(1.0, self._made / self._asked) if self._asked else 0.0
