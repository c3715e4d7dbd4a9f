"""Weights in files for others: safetensors with a description in the header, and ONNX that was run and compared."""

import io
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from engine.errors import UserError, WorldError
from engine.files import write_atomic
from engine.seeds import generator
from engine.weights import Weights
from engine.weights.layouts import METADATA, Description

TOLERANCE = 1e-3
"""Largest difference of a logit, as a fraction of the largest logit, between PyTorch and ONNX Runtime."""
_BATCHES = (1, 3)


@dataclass(frozen=True)
class Compared:
    """What running both came to."""

    difference: float
    """Largest difference of a logit."""
    largest: float
    """Largest logit."""


def export_safetensors(weights: Weights, path: Path) -> None:
    """Write ``weights`` under this program's names; ``resnet-tui eval`` and ``--weights`` read the file back.

    Raises:
        OSError: it cannot be written; an older file at ``path`` is untouched.
    """
    content = save(weights.tensors, metadata={METADATA: _description(weights).model_dump_json()})
    write_atomic(path, lambda file: file.write(content))


def export_onnx(weights: Weights, input_shape: tuple[int, ...], path: Path) -> Compared:
    """Write ``weights`` as an ONNX network for batches of any size, after running it beside PyTorch.

    Input ``images`` (or ``features``), normalised float32; output ``logits``.

    Args:
        weights: complete ones.
        input_shape: (C, H, W) of one image, or (F,).
        path: the file.

    Raises:
        UserError: ONNX is not installed.
        WorldError: ONNX Runtime gives other logits than PyTorch; nothing is written.
        OSError: it cannot be written; an older file at ``path`` is untouched.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 (torch's exporter needs it)
    except ImportError as error:
        raise UserError(
            f"--format onnx needs the package {error.name}: uv sync --extra onnx, or pip install '.[onnx]'"
        ) from error
    model = _model(weights, input_shape)
    content = _onnx(model, weights, input_shape)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    difference = largest = 0.0
    for batch in _BATCHES:
        x = torch.randn(batch, *input_shape, generator=generator(batch, "export"))
        with torch.no_grad():
            expected_BK: Tensor = model(x)
        (found_BK,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        difference = max(difference, float((torch.from_numpy(found_BK) - expected_BK).abs().max()))
        largest = max(largest, float(expected_BK.abs().max()))
    if not difference <= TOLERANCE * max(1.0, largest):
        raise WorldError(
            f"the ONNX network gives other logits than PyTorch (by {difference:g}, the largest being {largest:g}), "
            "so it was not written; report this with the versions that resnet-tui doctor prints"
        )
    write_atomic(path, lambda file: file.write(content))
    return Compared(difference, largest)


def _model(weights: Weights, input_shape: tuple[int, ...]) -> nn.Module:
    from engine.models import build

    model = build(weights.model, input_shape, weights.classes).to_empty(device="cpu")
    model.load_state_dict(weights.tensors)
    return model.eval()


def _onnx(model: nn.Module, weights: Weights, input_shape: tuple[int, ...]) -> bytes:
    batch = torch.export.Dim("batch", min=1)
    name = "images" if len(input_shape) == 3 else "features"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            model,
            (torch.zeros(2, *input_shape),),
            dynamo=True,
            dynamic_shapes=({0: batch},),
            input_names=[name],
            output_names=["logits"],
            verbose=False,
        )
    if program is None:
        raise WorldError(
            "torch's exporter gave no network; report this with the versions that resnet-tui doctor prints"
        )
    proto = program.model_proto
    entry = proto.metadata_props.add()
    entry.key, entry.value = METADATA, _description(weights).model_dump_json()
    buffer = io.BytesIO(proto.SerializeToString())
    return buffer.getvalue()


def _description(weights: Weights) -> Description:
    return Description(
        model=weights.model,
        classes=weights.class_names,
        normalise=weights.normalise,
        dataset=weights.dataset,
        image_size=weights.image_size,
    )
