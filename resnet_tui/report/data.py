"""A report, or a comparison, as JSON."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from engine.findings import counted_errors, published_rows
from resnet_tui.charts.comparison import differing, notes
from resnet_tui.run.compared import Compared


def comparison_json(runs: Sequence[Compared]) -> str:
    """Write what ``runs`` reached and in which settings they differ; values stand in the order of the runs."""
    return _written({
        "runs": [_reached(run) for run in runs],
        "differing": differing(runs),
        "notes": notes(dict(enumerate(runs))),
    })  # fmt: skip


def report_json(runs: Sequence[Compared]) -> str:
    """Write everything that a report of ``runs`` says."""
    return _written({
        "runs": [_reached(run) | _in_full(run) for run in runs],
        "differing": differing(runs),
        "notes": notes(dict(enumerate(runs))),
    })  # fmt: skip


def _reached(run: Compared) -> dict[str, Any]:
    summary = run.state.summary
    return asdict(run.listed.entry) | {
        "average_error": summary.average_error,
        "parameters": summary.params,
        "images_per_second": summary.images_per_second,
        "seed": summary.config.train.seed if summary.config else None,
    }


def _in_full(run: Compared) -> dict[str, Any]:
    summary, config = run.state.summary, run.listed.config
    known = published_rows(config.model, summary.classes) if config is not None else ()
    return {
        "path": str(run.listed.run.path),
        "config": config.model_dump(mode="json") if config is not None else None,
        "device": summary.device,
        "precision": summary.precision,
        "versions": dict(run.state.started.versions) if run.state.started is not None else {},
        "test_errors": [asdict(found) for found in counted_errors(summary)],
        "epoch_table": [asdict(row) for row in summary.rows],
        "published": [asdict(row) for row in known],
        "damaged_lines": run.damaged,
    }


def _written(tree: dict[str, Any]) -> str:
    return json.dumps(_finite(tree), indent=2, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    """Return ``value`` with null for numbers that JSON has not got."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
