"""What ends a command: a line on standard error in kubectl's manner, and an exit code. Never a traceback."""


class CommandError(Exception):
    """The command cannot go on. Its text is the whole line: `error: ...`, or `Error from server (Reason): ...`."""

    def __init__(self, line: str, *, exit_code: int = 1) -> None:
        super().__init__(line)
        self.exit_code = exit_code


def failed(sentence: str, *, exit_code: int = 1) -> CommandError:
    """What went wrong on this side of the API server."""
    return CommandError(f"error: {sentence}", exit_code=exit_code)
