"""What every table of the configuration has in common, and the ranges that several of them use."""

import ast
import inspect
import textwrap
from functools import cache
from itertools import pairwise
from pathlib import PurePath
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

PositiveInt = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]


class RuleError(ValueError):
    """A rule about several settings, or about one of a table, is broken."""

    def __init__(self, message: str, *keys: str) -> None:
        """``keys``: the settings that it is about, as in ``optim.lr``; changing any of them can mend it."""
        super().__init__(message)
        self.keys = keys


class Part(BaseModel):
    """A table of the configuration: immutable, unknown keys refused, non-finite numbers refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _of_a_kind_that_can_be(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, bool) and cls.model_fields[info.field_name or ""].annotation is not bool:
            raise ValueError("allowed: a value of another kind than true or false")
        if isinstance(value, str | PurePath):
            _check_text(str(value))
        return value


def _check_text(text: str) -> None:
    if "\0" in text:  # no file can be called that, and asking for it is an error
        raise ValueError("allowed: text without the character of number 0")
    try:
        text.encode()
    except UnicodeEncodeError:  # a name of another encoding, which no configuration can hold
        raise ValueError("allowed: text, and names of files, in UTF-8") from None


@cache
def descriptions(part: type[Part]) -> dict[str, str]:
    """Return what the docstring under each setting of ``part`` says; none for a setting without one.

    Read from the source when asked for: pydantic would do it for all of them at every start.
    """
    body = ast.parse(textwrap.dedent(inspect.getsource(part))).body[0]
    found: dict[str, str] = {}
    for setting, after in pairwise(body.body if isinstance(body, ast.ClassDef) else []):
        match setting, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = inspect.cleandoc(text)
    return found
