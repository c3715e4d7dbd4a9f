"""Imports point one way, and what describes a run starts at once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TORCH_FREE = [
    "engine",
    "engine.config",
    "engine.config_file",
    "engine.control",
    "engine.errors",
    "engine.event_log",
    "engine.events",
    "engine.host",
    "engine.folders",
    "engine.mistakes",
    "engine.presets",
    "engine.resume",
    "engine.run_dir",
    "engine.event_file",
    "engine.export_scalars",
    "engine.lr_range",
    "engine.scalars",
    "engine.sinks.tensorboard",
    "engine.sinks.console",
    "engine.sinks.json_lines",
    "engine.sinks.log_file",
    "engine.sinks.metrics",
    "engine.summary",
    "engine.text",
    "engine.thread",
    "engine.condensed_log",
    "engine.data",
    "engine.data.facts",
    "engine.helper",
    "engine.helper_messages",
    "engine.literature",
    "resnet_tui.cli",
    "resnet_tui.run.process",
    *(f"resnet_tui.commands.{p.stem}" for p in (ROOT / "resnet_tui/commands").glob("[a-z]*.py")),
]
ENGINE = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "engine").rglob("*.py")
)


HEAVY = {"torch", "torchvision", "sklearn", "scipy"}


def imported_by(*modules: str) -> dict[str, set[str]]:
    """Import ``modules`` in turn in a fresh interpreter; return the packages that each was first to load."""
    code = (
        "import importlib, json, sys\n"
        "loaded = {}\n"
        "for name in sys.argv[1:]:\n"
        "    before = {*sys.modules}\n"
        "    importlib.import_module(name)\n"
        "    loaded[name] = sorted({new.partition('.')[0] for new in {*sys.modules} - before})\n"
        "print(json.dumps(loaded))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *modules], capture_output=True, text=True, check=True, timeout=120
    )
    return {name: set(packages) for name, packages in json.loads(result.stdout).items()}


@pytest.mark.parametrize("order", [1, -1], ids=["in order", "backwards"])
def test_imports_no_torch(order: int) -> None:
    """Backwards as well: what imports another in a circle is found where it begins at the other end."""
    loaded = imported_by(*TORCH_FREE[::order])
    assert loaded.keys() == {*TORCH_FREE}
    assert {name: packages & HEAVY for name, packages in loaded.items() if packages & HEAVY} == {}


def test_the_dashboard_imports_no_torch() -> None:
    modules = sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "resnet_tui").rglob("*.py")
        if path.stem != "__main__"
    )
    loaded = set.union(*imported_by(*modules).values())
    assert "textual" in loaded, "the test imported too little to prove anything"
    assert not loaded & {*HEAVY, "numpy"}


def test_engine_never_imports_the_interface() -> None:
    loaded = set.union(*imported_by(*ENGINE).values())
    assert "torch" in loaded, "the test imported too little to prove anything"
    assert not loaded & {"resnet_tui", "textual", "typer", "plotext"}


def test_help_imports_no_torch() -> None:
    code = (
        "import sys\n"
        "sys.argv = ['resnet-tui', 'train', '--help']\n"
        "from resnet_tui.start import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "assert 'typer' in sys.modules\n"
        "assert not {'torch', 'textual', 'numpy', 'engine.config'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
