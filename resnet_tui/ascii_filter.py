"""Turns everything that is drawn into ASCII, for terminals and fonts without anything else."""

import unicodedata
from functools import lru_cache

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_DENSITY = " .:-=+*#%"
"""How full a braille cell is, by its number of dots."""
_LOOKALIKES = str.maketrans(
    {
        "─": "-", "━": "-", "╸": "-", "╺": "-", "│": "|", "┃": "|", "▏": "|", "▕": "|", "▌": "|", "▐": "|",
        "┌": "+", "┐": "+", "└": "+", "┘": "+", "├": "+", "┤": "+", "┬": "+", "┴": "+", "┼": "+",
        "╭": "+", "╮": "+", "╰": "+", "╯": "+", "▔": "-", "▁": "_", "▊": "|", "▎": "|",
        "█": "#", "▀": "#", "▄": "#", "■": "#", "▇": "#", "▆": "*", "▅": "=", "▃": "-", "▂": ".",
        "░": ".", "▒": ":", "▓": "%", "●": "o", "○": "o", "•": "*", "·": ".", "◆": "*", "◇": "o", "⬤": "o",
        "▶": ">", "▸": ">", "◀": "<", "▼": "v", "▾": "v", "▲": "^", "▴": "^", "‹": "<", "›": ">",
        "→": ">", "←": "<", "↑": "^", "↓": "v", "✓": "v", "✗": "x", "×": "x", "−": "-", "–": "-", "—": "-",
        "…": "~", "⌊": "[", "⌋": "]", "≥": ">", "≤": "<", "±": "~", "“": '"', "”": '"', "’": "'", "⏎": "<",
        "⏸": "=", "⟳": "@", "⚠": "!", "∞": "8", "↵": "<", "⇧": "^", "⎋": "<",
    }
)  # fmt: skip


@lru_cache(4096)
def to_ascii(text: str) -> str:
    """Return ``text`` in ASCII, in as many terminal cells as before."""
    return text if text.isascii() else "".join(map(_character, text.translate(_LOOKALIKES)))


def _character(character: str) -> str:
    if character.isascii():
        return character
    if "\u2800" <= character <= "\u28ff":
        return _DENSITY[(ord(character) - 0x2800).bit_count()]
    plain = unicodedata.normalize("NFKD", character)[0]
    width = cell_len(character)
    return plain if plain.isascii() and width == 1 else "?" * width


class AsciiFilter(LineFilter):
    """Applied to every line right before it goes to the terminal, so that no widget has to know."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002 (of the base class)
        """Translate the text of ``segments``; styles stay."""
        return [Segment(to_ascii(text), style, control) for text, style, control in segments]
