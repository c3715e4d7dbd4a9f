"""Offers to download a dataset, and shows how far that is."""

from pathlib import Path

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Button, Static

from engine.events import Progress
from resnet_tui.messages import post
from resnet_tui.setup.helper import Download
from resnet_tui.setup.preview_text import download_line

_BUTTON = 14


class DownloadBar(Horizontal):
    """One line: seen while there is something to download, or while that goes on."""

    DEFAULT_CSS = """
    DownloadBar {
        height: 1;
        display: none;
        &.-offered { display: block; }
        & Static { width: 1fr; height: 1; text-wrap: nowrap; }
    }
    """

    class Ended(Message):
        """A download is over; nothing in ``problem`` where the dataset is complete."""

        def __init__(self, problem: str) -> None:
            super().__init__()
            self.problem = problem

    class _Came(Message):
        def __init__(self, progress: Progress) -> None:
            super().__init__()
            self.progress = progress

    def __init__(self) -> None:
        super().__init__()
        self._offer: tuple[str, Path | None] | None = None
        self._download: Download | None = None
        self._progress: Progress | None = None

    def compose(self) -> ComposeResult:
        """Lay out what happens, and a button."""
        yield Static()
        yield Button("download", compact=True)

    @property
    def useful(self) -> bool:
        """Whether `toggle` does anything."""
        return self._offer is not None or self.running

    @property
    def running(self) -> bool:
        """Whether a download goes on."""
        return self._download is not None

    def offer(self, dataset: str | None, folder: Path | None = None) -> None:
        """Offer ``dataset``, to be put into ``folder``, or where that is None into the cache; None: nothing."""
        self._offer = None if dataset is None else (dataset, folder)
        self._show()

    def toggle(self) -> None:
        """Download what is offered; while that goes on, end it."""
        if self._download is not None:
            self._download.cancel()
        elif self._offer is not None:
            self._progress = None
            self._download = Download(*self._offer, self._came, self._ended)
            self._download.start()
            self._show()

    def on_resize(self) -> None:
        """Draw the bar for another width."""
        self._show()

    def on_unmount(self) -> None:
        """Leave no process behind."""
        if self._download is not None:
            self._download.cancel()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.toggle()

    def _came(self, progress: Progress) -> None:
        """Pass it on from the download's thread."""
        post(self, self._Came(progress))

    def _ended(self, problem: str) -> None:
        post(self, self.Ended(problem))

    @on(_Came)
    def _show_progress(self, message: _Came) -> None:
        self._progress = message.progress
        self._show()

    @on(Ended)
    def _is_over(self) -> None:
        self._download = None
        self._show()

    def _show(self) -> None:
        self.set_class(self.useful, "-offered")
        width = max(10, self.size.width - _BUTTON)
        text = download_line(self._progress, width) if self.running else "not here yet"
        self.query_one(Static).update(Content(text))
        self.query_one(Button).label = Content("d: cancel" if self.running else "d: download")
