"""Notices whatever tests do on a network."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any


class NetworkUsedError(AssertionError):
    """A test used the network; it fails even where this is caught."""


class Guard:
    """Stands before every socket of this process, and of those forked from it; Unix sockets may do as they like."""

    def __init__(self) -> None:
        self.loopback_allowed = False
        """Whether sockets may reach this machine, for tests that serve what they download."""
        self.seen: list[str] = []

    def install(self, patch: Any) -> None:
        """Put the guard in the place of what connects, binds or looks names up; ``patch`` is pytest's."""
        for name in ("connect", "connect_ex", "bind", "listen", "sendto", "sendmsg"):
            patch.setattr(socket.socket, name, self._watched(name, getattr(socket.socket, name)))
        for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
            patch.setattr(socket, name, self._looked_up(name, getattr(socket, name)))

    def check(self, call: str, host: object) -> None:
        """Note a use of the network.

        Raises:
            NetworkUsedError: it is not allowed.
        """
        if not (self.loopback_allowed and _is_here(host)):
            self.seen.append(f"{call} {host!r}")
            raise NetworkUsedError(self.seen[-1])

    def _watched(self, name: str, original: Any) -> Any:
        def call(sock: socket.socket, *arguments: Any) -> Any:
            if sock.family != getattr(socket, "AF_UNIX", None):
                address = arguments[-1] if arguments and isinstance(arguments[-1], tuple) else sock.getsockname()
                self.check(name, address[0])
            return original(sock, *arguments)

        return call

    def _looked_up(self, name: str, original: Any) -> Any:
        def call(host: Any, *arguments: Any, **options: Any) -> Any:
            self.check(name, host)
            return original(host, *arguments, **options)

        return call


def _is_here(host: object) -> bool:
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return host == "localhost"
