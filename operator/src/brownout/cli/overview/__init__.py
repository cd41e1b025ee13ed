"""What `brownout status` shows: pools, what is taken from whom, overrides, scalers; as rows, as text, and live."""

from collections.abc import Mapping, Sequence
from typing import Any

from brownout.api.resources import InvalidObject, Stored

Objects = Mapping[str, Sequence[Stored[Any, Any] | InvalidObject]]
"""Objects by kind, as they are stored."""
