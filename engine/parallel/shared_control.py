"""Messages to a run of several processes: whichever of them one reaches, all obey it at the same step."""

from collections import deque
from typing import Annotated

from pydantic import Field, TypeAdapter

from engine.control import Control, ControlMessage, StopNow
from engine.parallel.group import Group

_messages: TypeAdapter[list[ControlMessage]] = TypeAdapter(
    list[Annotated[ControlMessage, Field(discriminator="command")]]
)


class SharedControl:
    """What ``Control`` is to one process. ``receive`` is called by all ranks alike, and gives all the same."""

    def __init__(self, own: Control, group: Group) -> None:
        """Share what ``own`` gives in each rank."""
        self._own, self._group = own, group
        self._agreed: deque[ControlMessage] = deque()

    def receive(self, timeout: float = 0.0) -> ControlMessage | None:
        """Return the next message, or None when none came to any rank; rank 0 waits for one up to ``timeout``.

        Costs one sum of a single number over the ranks, which have waited for each other's gradients just before.
        """
        if not self._agreed:
            own = self._received(timeout if self._group.rank.number == 0 else 0.0)
            if self._group.largest(len(own)):
                self._agreed.extend(self._from_all(own))
        return self._agreed.popleft() if self._agreed else None

    def _received(self, timeout: float) -> list[ControlMessage]:
        messages: list[ControlMessage] = []
        while (message := self._own.receive(timeout)) is not None:
            messages.append(message)
            timeout = 0.0
        return messages

    def _from_all(self, own: list[ControlMessage]) -> list[ControlMessage]:
        """Return the messages of all ranks up to the first that ends the run: a signal reaches each of them."""
        said = self._group.gather(_messages.dump_json(own).decode())
        agreed: list[ControlMessage] = []
        for message in (message for text in said for message in _messages.validate_json(text)):
            agreed.append(message)
            if isinstance(message, StopNow):
                break
        return agreed
