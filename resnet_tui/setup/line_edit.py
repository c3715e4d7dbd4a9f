"""One line of text with a cursor, and what keys do to it."""

from collections.abc import Callable


class LineEdit:
    """Edits ``text``; what was there at first is replaced by the first character, unless the cursor moves before."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.cursor = len(text)
        self.whole = bool(text)
        """Whether all of it is selected."""
        self._keys: dict[str, Callable[[], None]] = {
            "left": lambda: self._go(self.cursor - 1),
            "right": lambda: self._go(self.cursor + 1),
            "home": lambda: self._go(0),
            "ctrl+a": lambda: self._go(0),
            "end": lambda: self._go(len(self.text)),
            "ctrl+e": lambda: self._go(len(self.text)),
            "backspace": lambda: self._cut(self.cursor - 1, self.cursor),
            "delete": lambda: self._cut(self.cursor, self.cursor + 1),
            "ctrl+d": lambda: self._cut(self.cursor, self.cursor + 1),
            "ctrl+u": lambda: self._cut(0, self.cursor),
            "ctrl+k": lambda: self._cut(self.cursor, len(self.text)),
            "ctrl+w": lambda: self._cut(self.text.rstrip().rfind(" ", 0, self.cursor) + 1, self.cursor),
        }

    def press(self, key: str) -> bool:
        """Do what ``key`` says; return whether it means anything here."""
        if (action := self._keys.get(key)) is None:
            return False
        action()
        return True

    def insert(self, characters: str) -> None:
        """Put ``characters`` where the cursor is."""
        if self.whole:
            self._cut(0, len(self.text))
        self.text = self.text[: self.cursor] + characters + self.text[self.cursor :]
        self._go(self.cursor + len(characters))

    def seen(self, width: int) -> tuple[str, int]:
        """Return the part around the cursor that fits into ``width``, and where in it the cursor is."""
        start = max(0, self.cursor - width + 1)
        return self.text[start : start + width], self.cursor - start

    def _go(self, place: int) -> None:
        self.cursor, self.whole = min(max(0, place), len(self.text)), False

    def _cut(self, start: int, end: int) -> None:
        if self.whole:
            start, end = 0, len(self.text)
        start = max(0, start)
        self.text = self.text[:start] + self.text[end:]
        self._go(start)
