"""Use of host and device: psutil everywhere, NVML where there is an NVIDIA device."""

import contextlib
from typing import Any

import psutil
import torch

from engine.events import System


class SystemMeter:
    """Reads use since the last reading; a reading takes well under a millisecond on the host."""

    def __init__(self, device: torch.device) -> None:
        self._process = psutil.Process()
        self._process.cpu_percent()  # the first call only sets the start
        psutil.cpu_percent()
        self._device = device
        self._nvml = _open_nvml(device)

    def read(self) -> System:
        """Return use since the last call."""
        memory = psutil.virtual_memory()
        return System(
            cpu_percent=self._process.cpu_percent(),
            memory_bytes=self._process.memory_info().rss,
            host_cpu_percent=psutil.cpu_percent(),
            host_memory_bytes=memory.total - memory.available,
            host_memory_total=memory.total,
            **self._device_use(),
        )

    def _device_use(self) -> dict[str, Any]:
        if self._nvml is None:
            return {}
        import pynvml

        use: dict[str, Any] = {}
        with contextlib.suppress(pynvml.NVMLError):
            memory = pynvml.nvmlDeviceGetMemoryInfo(self._nvml)
            use |= {"device_memory_bytes": int(memory.used), "device_memory_total": int(memory.total)}
        with contextlib.suppress(pynvml.NVMLError):
            use["device_percent"] = float(pynvml.nvmlDeviceGetUtilizationRates(self._nvml).gpu)
        with contextlib.suppress(pynvml.NVMLError):
            use["device_watts"] = pynvml.nvmlDeviceGetPowerUsage(self._nvml) / 1000
        with contextlib.suppress(pynvml.NVMLError):
            use["device_celsius"] = float(pynvml.nvmlDeviceGetTemperature(self._nvml, pynvml.NVML_TEMPERATURE_GPU))
        return use


def _open_nvml(device: torch.device) -> Any:
    """Return NVML's handle of ``device``, or None where there is none."""
    if device.type != "cuda":
        return None
    import pynvml

    try:
        pynvml.nvmlInit()
        # By identity: CUDA's numbering follows CUDA_VISIBLE_DEVICES, NVML's does not.
        uuid = str(torch.cuda.get_device_properties(device).uuid)
        return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    except pynvml.NVMLError:
        return None
