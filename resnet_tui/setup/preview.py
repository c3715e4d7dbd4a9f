"""The pane beside the form: what the run would be."""

from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.css.query import NoMatches
from textual.widgets import Static

from engine.config import RunConfig
from engine.helper_messages import DeviceFacts, Preview
from resnet_tui.setup.download_bar import DownloadBar
from resnet_tui.setup.measured import Known
from resnet_tui.setup.preview_text import TERSE, as_content, facts, rate_plot, shape_lines
from resnet_tui.widgets.chart import Chart

_LEAST_CURVE, _GOOD_CURVE, _MOST_CURVE = 6, 14, 24
"""Lines of the curve: beside much else, before blocks take the room of stages, and at most."""


class PreviewPane(VerticalScroll):
    """Facts, data to download, shapes in stages, and the schedule as a curve."""

    DEFAULT_CSS = """
    PreviewPane {
        padding: 0 0 0 1;
        scrollbar-size-vertical: 1;
        scrollbar-gutter: stable;
        & > Static { height: auto; }
        & #stages { margin-top: 1; }
        & Chart { height: 8; margin-top: 1; }
        &.-stale #facts, &.-stale #stages { text-style: dim; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 (the base class's name)
        super().__init__(id=id)
        self._config: RunConfig | None = None
        self._preview: Preview | None = None
        self._device: DeviceFacts | None = None
        self._known = Known()
        self._failed = ""

    def compose(self) -> ComposeResult:
        """Lay out everything but the curve, whose library takes a moment to load."""
        yield Static(id="facts")
        yield DownloadBar()
        yield Static(id="stages")

    def allow_focus(self) -> bool:
        """Take the keys only where there is something to scroll to."""
        return super().allow_focus() and self.max_scroll_y > 0

    def watch_has_focus(self, has_focus: bool) -> None:
        """Show in the title whether keys go here."""
        super().watch_has_focus(has_focus)
        if self.is_mounted:
            self._write()

    def on_resize(self, event: events.Resize) -> None:  # noqa: ARG002
        """Write everything for another width."""
        self._write()

    async def add_curve(self) -> None:
        """Show the schedule from now on."""
        chart = Chart(rate_plot(self._config) if self._config else None, id="curve")
        chart.can_focus = False
        await self.mount(chart)
        self.call_after_refresh(self._share_room)

    def show_config(self, config: RunConfig) -> None:
        """Show what needs no helper."""
        self._config = config
        for chart in self.query(Chart):
            chart.plot = rate_plot(config)
        if self._preview is None:
            self._write()

    def show_preview(self, preview: Preview, device: DeviceFacts | None, known: Known) -> None:
        """Show what the helper answered, and what is known of such runs."""
        self._preview, self._device, self._known, self._failed = preview, device, known, ""
        self._write()

    def show_failure(self, message: str) -> None:
        """Say that there is no preview, and why."""
        self._failed, self._preview = message, None
        self._write()

    def _write(self) -> None:
        config, preview = self._config, self._preview
        width = self.scrollable_content_region.width
        if config is None or width < 4:
            return
        stages = Content("")
        lines = []
        if preview is not None:
            lines = list(facts(config, preview, self._device, self._known, terse=width < TERSE))
            stages = shape_lines(preview.table.rows, width, self.size.height - len(lines) - _GOOD_CURVE)
        elif self._failed:
            stages = Content.styled(f"✗ {self._failed}", "$text-error")
        self.query_one("#facts", Static).update(as_content(config.model.title, lines, width, focused=self.has_focus))
        self.query_one("#stages", Static).update(stages)
        self.call_after_refresh(self._share_room)

    def _share_room(self) -> None:
        """Give the curve the lines that are left."""
        try:
            chart = self.query_one(Chart)
        except NoMatches:
            return
        above = sum(self.query_one(name).outer_size.height for name in ("#facts", "DownloadBar", "#stages")) + 2
        chart.styles.height = min(max(_LEAST_CURVE, self.size.height - above), _MOST_CURVE)
