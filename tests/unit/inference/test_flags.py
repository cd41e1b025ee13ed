"""What is said about flags that do not come."""

import threading

import pytest

from brownout_inference.flags import Flags, bear_closed_channels
from brownout_inference.metrics import Meters
from brownout_inference.settings import FlagSettings
from inference.server_process import free_port
from support.waiting import wait_for_async


@pytest.mark.parametrize(
    ("required", "meanwhile"), [(False, "everybody is served the best variant"), (True, "the server is not ready")]
)
async def test_a_source_that_was_never_there_is_not_said_to_have_sent_flags(
    required: bool, meanwhile: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = FlagSettings(port=free_port(), required=required)
    flags = Flags(settings, meters=Meters("image"), on_change=lambda: None)

    async def warned() -> bool:
        return f"none have come yet, and {meanwhile}" in caplog.text

    flags.start()
    try:
        await wait_for_async(warned, "a warning that no flags have come", seconds=20)
    finally:
        flags.stop()
    assert "last known flags" not in caplog.text


def test_a_channel_that_is_closed_while_it_is_watched_is_nobodys_error(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda failed: told.append(str(failed.exc_value)))
    bear_closed_channels()

    def fail(words: str) -> None:
        raise ValueError(words)

    for words in ("Cannot monitor channel state: Channel closed!", "another"):
        thread = threading.Thread(target=fail, args=[words])
        thread.start()
        thread.join()
    assert told == ["another"]
