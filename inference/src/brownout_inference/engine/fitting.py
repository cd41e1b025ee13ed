"""How many fit, found by trying: a model's need of memory is measured as it grows, and never tried beyond what there is.

A GPU says when it is full, and the try is over. A CPU does not: the kernel ends the process, so there the next try must be foreseen from those before. What counts is
the resident memory of the process against the limit of its container, or the machine's memory where it has none.
"""

import os
from collections.abc import Callable
from pathlib import Path

import torch

from brownout_inference.engine.hardware import Hardware, device_full
from brownout_inference.engine.interface import DeviceFullError, Memory

LEAST_GROWTH_BYTES = 1
_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_PROCESS = Path("/proc/self")


def how_many_fit(hardware: Hardware, most: int, attempt: Callable[[int], None]) -> int:
    """The largest count that fits, at most `most`. `attempt(count)` is made for 1, 2, 4, ... while that is foreseen to fit.

    Raises DeviceFullError where not even one does.
    """
    base, room = used_bytes(hardware) or 0, _room(hardware)
    first = _peak_of(hardware, attempt, 1)
    if first is None:
        raise DeviceFullError(f"{hardware.device} has no memory for a single slot; give it more")
    fits, needed, growth = 1, first - base, float(LEAST_GROWTH_BYTES)
    while fits < most:
        count = min(2 * fits, most)
        if room is not None:
            count = min(count, fits + max(0, int((room - needed) / growth)))
        if count == fits or (peak := _peak_of(hardware, attempt, count)) is None:
            break
        growth = max(growth, (peak - base - needed) / (count - fits))
        fits, needed = count, max(needed, peak - base)
    return fits


def memory_of(hardware: Hardware, *, kv_places: int = 0, kv_places_most: int = 0) -> Memory:
    """What is used now, by torch on a GPU and by the process on a CPU, of what the device has in all."""
    most = torch.cuda.mem_get_info(hardware.device)[1] if hardware.is_gpu else host_bytes()
    return Memory(
        used_bytes=used_bytes(hardware),
        most_bytes=most,
        kv_places=kv_places,
        kv_places_most=kv_places_most,
    )


def used_bytes(hardware: Hardware) -> int | None:
    """Bytes in use now."""
    return torch.cuda.memory_allocated(hardware.device) if hardware.is_gpu else _status("VmRSS")


def host_bytes() -> int | None:
    """What a process on the CPU may use: the container's limit (cgroup v2 or v1) where it is less than what the machine has."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None
    limits = [int(text) for text in map(_text, _CGROUP_LIMITS) if text.isdigit()]
    return min([machine, *limits])


def _room(hardware: Hardware) -> float | None:
    if hardware.is_gpu:
        return hardware.free_bytes()
    used, most = used_bytes(hardware), host_bytes()
    return None if used is None or most is None else hardware.memory_share * most - used


def _peak_of(hardware: Hardware, attempt: Callable[[int], None], count: int) -> int | None:
    """Bytes in use at most while it ran; None where memory was short."""
    if hardware.is_gpu:
        torch.cuda.reset_peak_memory_stats(hardware.device)
    else:
        _forget_peak()
    try:
        with device_full():
            attempt(count)
    except DeviceFullError:
        return None
    return torch.cuda.max_memory_allocated(hardware.device) if hardware.is_gpu else _status("VmHWM") or 0


def _forget_peak() -> None:
    try:
        (_PROCESS / "clear_refs").write_text("5")  # proc(5): sets the peak of the resident memory to what it is now
    except OSError:
        return  # then the peak is that of all time, and what is measured too much rather than too little


def _status(name: str) -> int | None:
    lines = _text(_PROCESS / "status").splitlines()
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), None)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
