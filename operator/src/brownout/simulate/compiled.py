"""How the simulator's inner loops are compiled."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a function that allocates nothing: counting references of both tuples' arrays took 4/5 of the time."""
    return cast(Function, njit(cache=True, _nrt=False)(function))
