"""What scanners and brain extraction do to an ideal image."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from wmhseg.training.anatomy import Anatomy
from wmhseg.training.heads import INDEX, N_BRAIN, Mask
from wmhseg.training.noise import Float, Noise, between

_IN_PLANE = np.array([False, True, False])[:, None, None]


def brain_extraction(rng: np.random.Generator, anatomy: Anatomy) -> Mask:
    """Draws what a brain extraction would have kept."""
    tissue = anatomy.tissue
    keep = (tissue > 0) & (tissue < N_BRAIN)
    if rng.random() < 0.6:  # tight masks lose the outer CSF
        keep &= tissue != INDEX["csf"]
        # Closing by a few pixels, as brain extraction gives smooth outlines.
        cross = ndimage.generate_binary_structure(3, 1) & _IN_PLANE
        keep = ndimage.binary_closing(keep, cross, iterations=int(rng.integers(2, 7)))
    return keep


def acquire(rng: np.random.Generator, image: Float, noise: Noise, keep: Mask | None) -> Float:
    """Applies texture, blur, bias field and Rician noise to averaged slices."""
    image = image * (1 + between(rng, 0, 0.04) * noise(3))
    blur = between(rng, 0.25, 0.9) if rng.random() < 0.85 else between(rng, 0.9, 1.3)
    image = ndimage.gaussian_filter(image, (0, blur, blur))
    image = image * np.exp(between(rng, 0, 0.12) * noise(between(rng, 45, 90)))
    sigma = between(rng, 0.004, 0.06)
    real = image + rng.normal(0, sigma, image.shape)
    imaginary = rng.normal(0, sigma, image.shape)
    image = np.sqrt(real**2 + imaginary**2).astype(np.float32)
    if rng.random() < 0.4:  # interpolated noise of resampled images
        soft = between(rng, 0.3, 0.7)
        image = ndimage.gaussian_filter(image, (0, soft, soft))
    if keep is not None:
        image = image * keep
    image = image ** np.float32(between(rng, 0.85, 1.2))
    if rng.random() < 0.1:  # saturated bright end
        image = np.minimum(image, np.percentile(image, between(rng, 98.5, 99.8)))
    return image.astype(np.float32)
