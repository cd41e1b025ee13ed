"""Programs that the tests call, with an error that says what one printed."""

import subprocess
from collections.abc import Mapping


class CommandError(Exception):
    """A program failed; the message is its command line and what it printed."""


def run(
    *command: str,
    seconds: float = 60.0,
    check: bool = True,
    environment: Mapping[str, str] | None = None,
    text: str = "",
) -> str:
    """What a program printed on its standard output; `text` is its standard input. Raises CommandError if it fails, unless not `check`."""
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, check=False, env=environment, input=text
        )
    except FileNotFoundError:
        raise CommandError(f"{command[0]} is not installed; docs/e2e.md says what `make e2e` needs") from None
    except subprocess.TimeoutExpired as error:
        raise CommandError(
            f"{' '.join(command)}: did not end within {seconds:.0f} s; it printed {error.output!r}"
        ) from None
    if check and ran.returncode != 0:
        raise CommandError(f"{' '.join(command)}: status {ran.returncode}\n{ran.stdout[-3000:]}{ran.stderr[-3000:]}")
    return ran.stdout
