"""Process-DAE: Algorithm 2 of Fredrikson et al. (CCS 2015)."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mi_lightning.attacks.problem import Problem
from mi_lightning.attacks.projections.base import Projection
from mi_lightning.attacks.spaces.latent import LatentSpace
from mi_lightning.data.axes import check_axes
from mi_lightning.errors import InputError

_LEVELS = 65535  # of the 16-bit images that are denoised; strength is in the 255 of 8-bit images


class ProcessDAE(Projection):
    """Project candidate codes onto faces: decode, non-local-means denoise, unsharp mask, encode again.

    Algorithm 2, Process-DAE [F15], the PROCESS step of Algorithm 1 for a stacked denoising autoencoder, for all active
    rows every few iterations. Rows are worked on in parallel. The picture is denoised in 16 bits: in 8, a step of the
    descent that changes every pixel by less than half a grey level would be undone.

    Args:
        every: Iterations between two projections, at least 1.
        strength: Strength of the denoiser (its h), in grey levels of 255: differences between patches up to about this
            size pass for noise. 0 leaves denoising out.
        template: Side of the patches that are compared, in pixels, odd.
        search: Side of the window in which like patches are looked for, in pixels, odd.
        sharpen_sigma: Standard deviation of the blur of the unsharp mask, in pixels, above 0.
        sharpen_amount: What is added: this times the difference between the picture and its blur. 0 leaves sharpening
            out.

    Raises:
        InputError: If an argument is outside its range.
    """

    def __init__(
        self,
        every: int = 512,
        strength: float = 10.0,
        template: int = 5,
        search: int = 11,
        sharpen_sigma: float = 2.0,
        sharpen_amount: float = 1.0,
    ) -> None:
        """Check the arguments."""
        super().__init__(every)
        for name, side in (("template", template), ("search", search)):
            if side < 1 or side % 2 == 0:
                raise InputError(f"an odd {name} >= 1", side, field=name)
        for name, value in (("strength", strength), ("sharpen_amount", sharpen_amount)):
            if not 0 <= value < math.inf:
                raise InputError(f"a finite {name} >= 0", value, field=name)
        if not 0 < sharpen_sigma < math.inf:
            raise InputError("a finite sharpen_sigma > 0", sharpen_sigma, field="sharpen_sigma")
        self.strength, self.template, self.search = strength, template, search
        self.sharpen_sigma, self.sharpen_amount = sharpen_sigma, sharpen_amount

    def bind(self, problem: Problem) -> None:
        """See that candidates can be decoded to pictures and encoded again.

        Raises:
            InputError: If they cannot, or decode to something that is no picture.
        """
        space = problem.space
        if not isinstance(space, LatentSpace):
            raise InputError("a LatentSpace for ProcessDAE", type(space).__name__, field="space")
        if not space.can_encode:
            got = "a decoder without an encoder"
            raise InputError("a latent space of the target's own autoencoder for ProcessDAE", got, field="space")
        check_axes(space.input_shape, "picture", self, "projections")
        self._space = space

    def apply(self, z: Tensor) -> Tensor:
        """Return the codes, shape (R, code_size), of the cleaned pictures that codes of that shape stand for."""
        return self._space.encode(self.clean(self._space.decode(z), self._space.input_range))

    def clean(self, x: Tensor, input_range: tuple[float, float]) -> Tensor:
        """Denoise and sharpen pictures.

        Args:
            x: Pictures, shape (R, channels, height, width); what is outside the range is clipped.
            input_range: Lowest and highest value of a pixel.

        Returns:
            Pictures of the same shape, within the range, on the same device.
        """
        import cv2  # here, so that attacks on anything else do without it

        low, high = input_range
        planes = ((x.detach().float() - low) / (high - low)).clamp(0, 1).flatten(0, 1).cpu().numpy()
        # OpenCV lets other Python threads run while it works; whole planes keep the cores busier than its own division
        # of each small plane
        with ThreadPoolExecutor(max(1, cv2.getNumThreads())) as pool:
            cleaned = torch.from_numpy(np.stack(list(pool.map(self._clean_plane, planes)))).to(x)
        return cleaned.view_as(x) * (high - low) + low

    def _clean_plane(self, plane: NDArray[Any]) -> NDArray[np.float32]:
        """Denoise and sharpen one channel of one picture, (height, width), in [0, 1]."""
        import cv2

        if self.strength > 0:
            grey = np.rint(plane * _LEVELS).astype(np.uint16)
            h = [self.strength * _LEVELS / 255]
            # 16-bit images are compared by absolute differences only
            smooth = cv2.fastNlMeansDenoising(grey, h, None, self.template, self.search, cv2.NORM_L1)
            plane = (smooth / _LEVELS).astype(np.float32)
        if self.sharpen_amount > 0:
            blurred = cv2.GaussianBlur(plane, (0, 0), self.sharpen_sigma)
            plane = cv2.addWeighted(plane, 1 + self.sharpen_amount, blurred, -self.sharpen_amount, 0)
        clipped: NDArray[np.float32] = plane.clip(0, 1)
        return clipped
