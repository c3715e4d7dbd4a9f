"""Compile a C file into a library for this very machine, once, and load it.

The library lies in the user's cache, in a folder that no one else can write, under a key of everything it depends on:
source, compiler, flags, processor. No OpenMP library is linked: its symbols are found in the one that torch has
loaded, since two of them in one process would fight for the processors.
"""

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

from engine.data.cache import cache_folder

COMPILERS = ("cc", "gcc", "clang")
"""What is tried unless ``$CC`` names one."""
_FLAGS = ("-O3", "-march=native", "-fPIC", "-fno-math-errno", "-Wno-psabi")
_PATIENCE = 60
"""Seconds a compiler may take."""


class BuildError(Exception):
    """There is no library; the message says why."""


def load(source: Path) -> ctypes.CDLL:
    """Return the library made of ``source``, compiling it where that was not done before.

    torch must be imported already, for its OpenMP.

    Raises:
        BuildError: there is no compiler, or it fails, or the cache cannot be trusted.
    """
    if not hasattr(os, "geteuid"):
        raise BuildError("files have no owners here")
    compiler = _compiler()
    try:
        library = _private(cache_folder() / "kernels") / f"{source.stem}-{_key(source, compiler)}.so"
        if not library.exists():
            _compile(source, compiler, library)
        _check_own(library)
        return ctypes.CDLL(str(library))
    except (OSError, subprocess.SubprocessError) as error:
        raise BuildError(str(error)) from error


def _compiler() -> list[str]:
    chosen = shlex.split(os.environ.get("CC", ""))
    for command in [chosen] if chosen else [[name] for name in COMPILERS]:
        if shutil.which(command[0]):
            return command
    raise BuildError("no C compiler found")


def _key(source: Path, compiler: list[str]) -> str:
    version = _run([*compiler, "--version"])
    parts = (source.read_text(), *compiler, version, *_FLAGS, platform.machine(), _processor())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _processor() -> str:
    """Return what ``-march=native`` depends on: the same home may be that of several machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(line for line in lines if line.startswith(("model", "flags", "Features", "CPU ")))


def _compile(source: Path, compiler: list[str], library: Path) -> None:
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        compiled, linked = Path(folder, "kernel.o"), Path(folder, "kernel.so")
        _run([*compiler, *_FLAGS, "-fopenmp", "-c", str(source), "-o", str(compiled)])
        _run([*compiler, "-shared", str(compiled), "-o", str(linked)])  # without -fopenmp: no second library
        linked.chmod(0o600)
        linked.replace(library)


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise BuildError(f"{shlex.join(command)}: {done.stderr[-500:]}")
    return done.stdout


def _private(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _check_own(folder)
    return folder


def _check_own(path: Path) -> None:
    """Refuse what another user could have written: it is run as this user's."""
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise BuildError(f"{path}: others can write it, so it is not loaded")
