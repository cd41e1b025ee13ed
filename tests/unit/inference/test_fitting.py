"""How many fit, found by growing batches."""

import pytest
import torch

from brownout_inference.engine import fitting
from brownout_inference.engine.fitting import how_many_fit, memory_of
from brownout_inference.engine.hardware import find_hardware
from brownout_inference.engine.interface import DeviceFullError

CPU = find_hardware("cpu")
MEBIBYTE = 2**20


class Tries:
    """Takes so many bytes for each in a batch, and remembers the batches."""

    def __init__(self, each: int = 0, full_from: int = 10**9) -> None:
        self.counts: list[int] = []
        self._each, self._full_from = each, full_from

    def __call__(self, count: int) -> None:
        self.counts.append(count)
        if count >= self._full_from:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
        torch.ones(count * self._each, dtype=torch.uint8)


def test_where_there_is_room_everything_is_tried_and_fits() -> None:
    tries = Tries()
    assert how_many_fit(CPU, 13, tries) == 13
    assert tries.counts == [1, 2, 4, 8, 13]


def test_what_would_not_fit_on_a_cpu_is_never_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    used = memory_of(CPU).used_bytes
    assert used
    room = 100 * MEBIBYTE
    monkeypatch.setattr(fitting, "host_bytes", lambda: int((used + room) / CPU.memory_share))
    tries = Tries(each=10 * MEBIBYTE)
    fits = how_many_fit(CPU, 1000, tries)
    assert 5 <= fits <= 10
    assert max(tries.counts) <= 10


def test_a_device_that_says_it_is_full_ends_the_growing() -> None:
    assert how_many_fit(CPU, 64, Tries(full_from=9)) == 8


def test_a_device_without_room_for_one_is_an_error() -> None:
    with pytest.raises(DeviceFullError, match="no memory for a single slot"):
        how_many_fit(CPU, 64, Tries(full_from=1))


def test_an_error_of_the_model_is_no_lack_of_memory() -> None:
    def breaks(count: int) -> None:
        raise RuntimeError("shapes")

    with pytest.raises(RuntimeError, match="shapes"):
        how_many_fit(CPU, 4, breaks)


def test_the_memory_of_a_cpu_is_that_of_the_process_in_its_container() -> None:
    memory = memory_of(CPU, kv_places=3, kv_places_most=8)
    assert memory.used_bytes
    assert memory.most_bytes
    assert 10 * MEBIBYTE < memory.used_bytes < memory.most_bytes
    assert (memory.kv_places, memory.kv_places_most) == (3, 8)
