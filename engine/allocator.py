"""Tell the C library to keep freed memory, so that a step does not fault its activations in anew.

With glibc's defaults every large tensor is returned to the system when freed; on a CPU, training is then a third
slower. Only a host process does this, for itself, before torch allocates. Elsewhere than glibc nothing happens.
"""

import contextlib
import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD = 32 << 20  # glibc refuses more


def keep_freed_memory() -> None:
    """Raise glibc's thresholds for giving memory back."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # no mallopt here
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
