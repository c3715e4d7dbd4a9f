"""Files that a command writes because a person asked for them: never over another one unasked."""

from pathlib import Path

from engine.errors import UserError
from engine.text import one_line


def check_output(path: Path, *, force: bool) -> None:
    """Refuse what could not be written, before time is spent on it.

    Args:
        path: as it was given with ``--output``.
        force: whether a file that is there may be replaced.

    Raises:
        UserError: it is -, a folder or a device, its folder is not there, or there is such a file.
    """
    name = f"--output {one_line(str(path))}"
    if str(path) == "-":
        raise UserError(f"{name}: nothing is written to standard output; give the name of a file")
    try:
        if path.is_dir():
            raise UserError(f"{name}: a folder; give the name of a file")
        if not path.parent.is_dir():
            raise UserError(f"{name}: there is no folder {one_line(str(path.parent))}; make it first")
        if path.exists() and not path.is_file():
            raise UserError(f"{name}: a device or pipe, which a file would replace; give the name of a file")
        if path.exists() and not force:
            raise UserError(f"{name}: there is such a file; give another name, or --force")
    except OSError as error:
        raise UserError(f"{name}: {error.strerror}; give another name") from error
