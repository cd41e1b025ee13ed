"""The one error that both of our clients of the API server raise."""

from typing import Any


class ApiError(Exception):
    """The API server refused a call. `status` is the HTTP status, `message` its sentence, `details` its Status object."""

    def __init__(self, status: int, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message
        self.details = details or {}
