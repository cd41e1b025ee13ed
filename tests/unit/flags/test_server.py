"""Where the flag server listens."""

import pytest

from brownout.flags.server import authority


@pytest.mark.parametrize(
    ("host", "written"),
    [
        ("10.1.2.3", "10.1.2.3:8015"),
        ("localhost", "localhost:8015"),
        ("::1", "[::1]:8015"),
        ("fd00:10:244::7", "[fd00:10:244::7]:8015"),
        ("[::1]", "[::1]:8015"),
    ],
)
def test_an_address_of_ipv6_is_written_in_brackets_before_a_port(host: str, written: str) -> None:
    assert authority(host, 8015) == written
