"""Augmentation of a whole batch at once, on its device; the random numbers are drawn on the CPU.

Images are (B, H, W, C) here, so that a pixel's channels lie together and a crop moves whole pixels.
"""

import numpy as np
import torch
from torch import Tensor

from engine.seeds import derive, generator


def draw_crop_and_flip(count: int, padding: int, flip: bool, seed: int, epoch: int, step: int) -> Tensor:
    """Draw where to crop and whether to mirror: int64 (3, B): row offset, column offset, 0 or 1."""
    random = generator(seed, "augment", epoch, step)
    offset_2B = torch.randint(2 * padding + 1, (2, count), generator=random)
    mirrored_1B = torch.randint(2, (1, count), generator=random)
    return torch.cat([offset_2B, mirrored_1B if flip else torch.zeros_like(mirrored_1B)])


def crop_and_flip(x_BHWC: Tensor, draws_3B: Tensor, padding: int) -> Tensor:
    """Pad with zeros, cut the original size out at the drawn offset, mirror where drawn.

    He et al. 2015, section 4.2. Takes and returns uint8 (B, H, W, C).
    """
    batch, height, width, channels = x_BHWC.shape
    device = x_BHWC.device
    tall, wide = height + 2 * padding, width + 2 * padding
    if padding:
        padded = x_BHWC.new_zeros(batch, tall, wide, channels)
        padded[:, padding : padding + height, padding : padding + width] = x_BHWC
    else:
        padded = x_BHWC
    top_B, left_B, mirrored_B = draws_3B
    column_W = torch.arange(width, device=device)
    column_BW = torch.where(mirrored_B.bool()[:, None], width - 1 - column_W, column_W) + left_B[:, None]
    image_B = torch.arange(batch, device=device) * tall
    row_BH = (image_B + top_B)[:, None] + torch.arange(height, device=device)
    pixel_BHW = row_BH[:, :, None] * wide + column_BW[:, None, :]
    pixels = padded.view(-1, channels).index_select(0, pixel_BHW.view(-1))
    return pixels.view(batch, height, width, channels)


def draw_cutout(count: int, height: int, width: int, seed: int, epoch: int, step: int) -> Tensor:
    """Draw the centre of each square, any pixel: int64 (2, B): row, column."""
    random = generator(seed, "cutout", epoch, step)
    return torch.stack(
        [
            torch.randint(height, (count,), generator=random),
            torch.randint(width, (count,), generator=random),
        ]
    )


def cut_out(x_BHWC: Tensor, centre_2B: Tensor, side: int) -> Tensor:
    """Blank a square of ``side`` pixels, clipped at the border, to 0 in place (DeVries & Taylor 2017)."""
    _, height, width, _ = x_BHWC.shape
    row_BH = _inside(centre_2B[0], height, side)
    column_BW = _inside(centre_2B[1], width, side)
    return x_BHWC.masked_fill_((row_BH[:, :, None] & column_BW[:, None, :])[..., None], 0.0)


def _inside(centre_B: Tensor, length: int, side: int) -> Tensor:
    start_B1 = (centre_B - side // 2)[:, None]
    place_L = torch.arange(length, device=centre_B.device)
    return (place_L >= start_B1) & (place_L < start_B1 + side)


def draw_mixup(count: int, alpha: float, seed: int, epoch: int, step: int) -> tuple[Tensor, float]:
    """Draw each image's partner, int64 (B,), and the share of the first image, from Beta(alpha, alpha).

    One share a batch, as in the reference implementation of Zhang et al. 2018.
    """
    random = np.random.default_rng(derive(seed, "mixup", epoch, step))
    return torch.from_numpy(random.permutation(count)), float(random.beta(alpha, alpha))
