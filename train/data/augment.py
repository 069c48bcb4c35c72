"""Augmentation of uint8 images in plain torch, repeatable from a seed."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["mirror", "shift", "warp", "augment"]


def shift(images: Tensor, reach: int, generator: torch.Generator) -> Tensor:
    """Each image [B,C,H,W] moved by up to ``reach`` pixels in y and x, zeros coming in."""
    b, _, h, w = images.shape
    padded = F.pad(images, (reach,) * 4)
    move = torch.randint(0, 2 * reach + 1, (2, b), generator=generator).to(images.device)
    rows = move[0][:, None] + torch.arange(h, device=images.device)
    cols = move[1][:, None] + torch.arange(w, device=images.device)
    index = torch.arange(b, device=images.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[index, rows[:, :, None], cols[:, None, :]].permute(0, 3, 1, 2)


def warp(
    images: Tensor, degrees: float, zoom: float, reach: int, generator: torch.Generator
) -> Tensor:
    """Random rotation up to +-degrees, scale and shear up to +-zoom, shift up to +-reach pixels;
    bilinear, zeros coming in. uint8 [B,C,H,W] in and out."""
    b, _, h, w = images.shape
    r = torch.rand(6, b, generator=generator) * 2 - 1
    angle = r[0] * math.radians(degrees)
    sx, sy, shear = 1 + zoom * r[1], 1 + zoom * r[2], zoom * r[3]
    cos, sin = torch.cos(angle), torch.sin(angle)
    theta = torch.zeros(b, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = sx * cos, -sy * sin + shear
    theta[:, 1, 0], theta[:, 1, 1] = sx * sin, sy * cos
    theta[:, 0, 2], theta[:, 1, 2] = r[4] * reach * 2 / w, r[5] * reach * 2 / h
    grid = F.affine_grid(theta.to(images.device), [b, 1, h, w], align_corners=False)
    moved = F.grid_sample(images.float(), grid, "bilinear", "zeros", align_corners=False)
    return (moved + 0.5).clamp_(0, 255).to(torch.uint8)


def mirror(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image [B,C,H,W] flipped left to right with probability one half."""
    flip = torch.rand(len(images), generator=generator).to(images.device) < 0.5
    return torch.where(flip[:, None, None, None], images.flip(3), images)


def augment(
    images: Tensor,
    reach: int,
    degrees: float,
    zoom: float,
    generator: torch.Generator,
    flips: bool = False,
) -> Tensor:
    """What a recipe's ``mirror``, ``shift``, ``rotate`` and ``zoom`` ask for, of images [B,C,H,W];
    recordings [T,B,C,H,W] move as a whole. No value becomes larger than the largest."""
    if images.ndim == 5:
        steps = len(images)
        flat = images.transpose(0, 1).flatten(1, 2)
        moved = augment(flat, reach, degrees, zoom, generator, flips)
        return moved.unflatten(1, (steps, -1)).transpose(0, 1)
    if flips:
        images = mirror(images, generator)
    if degrees or zoom:
        return warp(images, degrees, zoom, reach, generator)
    return shift(images, reach, generator) if reach else images
