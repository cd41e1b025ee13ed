"""How long to wait before something that failed is tried again: little at first, since most failures pass, then longer and longer."""


def pause_seconds(failures: int, *, first: float, most: float) -> float:
    """Seconds until the next try after so many failures in succession (from 1): `first`, doubled each time, never above `most`."""
    doublings = min(failures - 1, 32)  # beyond that it is at `most` whatever it was, and would be a very long number
    return float(min(most, first * 2**doublings))
