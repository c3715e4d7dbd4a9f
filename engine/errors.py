"""Errors that a person can do something about: one message, one exit status, never a traceback."""


class UserError(Exception):
    """Wrong input. The message names the field, the value, what is allowed and what to do. Exit status 2."""

    exit_status = 2


class ConfigError(UserError):
    """The configuration is invalid; the message lists every problem, one a line."""


class WorldError(UserError):
    """The input was right but the world failed: no network, a full disk, a damaged file. Exit status 1."""

    exit_status = 1
