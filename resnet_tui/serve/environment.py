"""What of a shell's environment the dashboard behind a page gets: what it needs, and nothing that may be a secret."""

import re
from collections.abc import Mapping

_NEEDED = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TEMP", "TMP", "TZ"),
        *("LANG", "LANGUAGE", "TERM", "COLORTERM", "NO_COLOR"),
        *("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"),  # where settings and data are
        *("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE"),
        *("NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "NVIDIA_TF32_OVERRIDE"),
        *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "CC"),  # libraries of a device; what compiles kernels
        *("SYSTEMROOT", "COMSPEC", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "PATHEXT"),  # what Windows needs
    }
)
_PREFIXES = (
    *("LC_", "TEXTUAL_", "RESNET_TUI_"),
    *("TORCH_", "TORCHINDUCTOR_", "PYTORCH_", "TRITON_", "CUDA_", "NCCL_"),
    *("OMP_", "MKL_", "KMP_", "GOMP_", "HIP_", "ROCR_"),
)
"""Of whole groups: text, this program, torch and its devices, threads."""
_SECRET = re.compile("KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH", re.IGNORECASE)
"""In names within these groups that are somebody's own."""


def scrubbed(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are needed to look at runs and to train."""
    return {name: value for name, value in environment.items() if name in _NEEDED or _is_of_group(name)}


def _is_of_group(name: str) -> bool:
    return name.startswith(_PREFIXES) and not _SECRET.search(name)
