"""Where a model of one's own runs: which device and number format, what memory there is, and what running out of it is called.

Where nothing else is said, a GPU computes in bfloat16, which GPUs of the last years multiply fastest and which has the range of float32; a CPU in float32,
which is what CPUs are fast at.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from brownout_inference.engine.interface import DeviceFullError
from brownout_inference.engine.load import LoadError


@dataclass(frozen=True)
class Hardware:
    """A torch device, the format that models compute in there, and the share of its memory that may be used.

    What is not used is left to fragmentation, and to what libraries take for themselves later.
    """

    device: torch.device
    dtype: torch.dtype
    memory_share: float = 0.9

    @property
    def is_gpu(self) -> bool:
        return self.device.type == "cuda"

    def free_bytes(self) -> int | None:
        """What may still be taken of the share; None where that cannot be known. Gives unused memory of torch back first."""
        if not self.is_gpu:
            return None
        torch.cuda.empty_cache()
        free, total = torch.cuda.mem_get_info(self.device)
        return max(0, free - int((1 - self.memory_share) * total))

    def upload(self, tensor: Tensor) -> Tensor:
        """A tensor of the host's memory, on the device as soon as what it was given before is done; the caller does not wait."""
        return tensor.pin_memory().to(self.device, non_blocking=True) if self.is_gpu else tensor

    def upload_numbers(self, numbers: Any) -> Tensor:
        """The same of whole numbers in lists."""
        return self.upload(torch.tensor(numbers, dtype=torch.long))

    def settle(self) -> None:
        """Waits until the device has done what it was given, so that a step lasts as long as its work."""
        if self.is_gpu:
            torch.cuda.synchronize(self.device)


def find_hardware(device: str = "auto", dtype: str = "auto", *, memory_share: float = 0.9) -> Hardware:
    """The device of that name ("cpu", "cuda", "cuda:1"); "auto" is a GPU where there is one. Raises LoadError for what is not there."""
    found = torch.device(device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
    if found.type == "cuda" and not torch.cuda.is_available():
        raise LoadError(
            f"--device: device {device!r}: torch sees no GPU here; write cpu, or mend the driver or torch's build"
        )
    if dtype == "auto":
        return Hardware(found, torch.bfloat16 if found.type == "cuda" else torch.float32, memory_share)
    named = getattr(torch, dtype, None)
    if not isinstance(named, torch.dtype) or not named.is_floating_point:
        raise LoadError(f"--dtype: dtype {dtype!r} is none of torch's; write auto, bfloat16, float16 or float32")
    return Hardware(found, named, memory_share)


@contextmanager
def device_full() -> Iterator[None]:
    """Says DeviceFullError where torch runs out of memory, and gives back what torch keeps for later, so that fewer have a chance."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        reason = str(error).split(". ")[0]
    else:
        return
    # Only here has the exception gone, and with it the frames that hold the tensors of what failed.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    raise DeviceFullError(reason)
