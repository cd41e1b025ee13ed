"""What is said of a scenario of the past: each fact from metrics, and each assumption in the place of one, as a sentence."""


class Notes:
    """Sentences in the order in which they were found out."""

    def __init__(self) -> None:
        self.known: list[str] = []
        self.unknown: list[str] = []
