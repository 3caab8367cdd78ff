"""Let a gradient through mainly in the directions in which faces differ: principal components of public faces."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from mi_lightning.attacks.filters.base import GradientFilter
from mi_lightning.errors import InputError
from mi_lightning.public_models.face_gan import FromPublicFaces, check_grey


class PublicFaces(FromPublicFaces, GradientFilter):
    """Let a gradient through mainly in the directions in which faces differ: principal components of public faces.

    g -> V diag(w) V^T g + rest * F g, where the columns of V are the components of public faces and their mirror
    images, with weights w_i = (variance_i / variance_1)^power, and F is another filter or the identity. It is symmetric
    and, with a positive ``rest``, positive, so that a filtered gradient still points downhill. Equal to a change of
    variables x = W z whose square W W^T it is: with ``power`` 1 the distance in z is the Mahalanobis distance of faces.

    The faces are made at the first use and kept in a file; components are computed once for each size of picture.

    Args:
        components: Number of components, at least 1 and below the number of faces.
        power: How much likelier the first components are than the last, at least 0. 1 gives smooth faces that could be
            anybody's, 0 treats all components alike.
        rest: Weight of what is no face, at least 0: clothes, background, and whatever the generator does not draw.
        rest_filter: Filter of the rest; none if None.
        **faces: The arguments of `FromPublicFaces`; mirror images of the faces come on top.

    Raises:
        InputError: If an argument is out of its range, or the weights are missing.
        MIError: If the package is not installed.
    """

    axes = "picture"

    def __init__(
        self,
        *,
        components: int = 300,
        power: float = 0.5,
        rest: float = 0.3,
        rest_filter: GradientFilter | None = None,
        **faces: Any,
    ) -> None:
        """Check the arguments and whether there is a generator."""
        super().__init__(**faces)
        if not 1 <= components < self.count:
            raise InputError(f"1 <= components < count = {self.count}", components, field="components")
        if not 0 <= power < math.inf:
            raise InputError("a finite power >= 0", power, field="power")
        if not 0 <= rest < math.inf:
            raise InputError("a finite rest >= 0", rest, field="rest")
        self.components, self.power, self.rest, self.rest_filter = components, power, rest, rest_filter
        self._bases: dict[tuple[torch.Size, torch.device, torch.dtype], tuple[Tensor, Tensor]] = {}

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse all but grey pictures."""
        super().check(shape)
        check_grey(shape)
        if self.rest_filter is not None:
            self.rest_filter.check(shape)

    def forward(self, gradient: Tensor) -> Tensor:
        """Filter grey images of shape (R, 1, height, width)."""
        self.check(gradient.shape[1:])
        key = (gradient.shape[1:], gradient.device, gradient.dtype)
        if key not in self._bases:
            basis, weight = self._basis(tuple(gradient.shape[1:]))
            self._bases[key] = (basis.to(gradient), weight.to(gradient))
        basis, weight = self._bases[key]
        rest = gradient if self.rest_filter is None else self.rest_filter(gradient)
        return ((gradient.flatten(1) @ basis * weight) @ basis.T).reshape(gradient.shape) + self.rest * rest

    @torch.no_grad()
    def _basis(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Return the components (D, components) and their weights (components,) for images of a shape."""
        faces = self.faces(shape)
        samples = torch.cat([faces, faces.flip(-1)]).flatten(1)
        samples -= samples.mean(0)
        basis, variance = principal_components(samples, min(self.components, samples.shape[1]))
        return basis, (variance / variance[0].clamp_min(torch.finfo(variance.dtype).tiny)) ** self.power


def principal_components(samples: Tensor, count: int, *, rounds: int = 3) -> tuple[Tensor, Tensor]:
    """Return the directions in which samples vary most, by a block power iteration from a fixed random start.

    Source: Halko, Martinsson, Tropp, *Finding structure with randomness*, SIAM Review 53 (2011), algorithm 4.4.

    Args:
        samples: Samples of mean zero, shape (N, D), N and D at least ``count``.
        count: Number of directions.
        rounds: Iterations; the error falls with the (2 rounds + 1)-th power of the ratio of the eigenvalues.

    Returns:
        Orthonormal directions, shape (D, count), and their variances, shape (count,), the greatest first.
    """
    wide = min(count + 20, *samples.shape)
    basis = torch.randn(samples.shape[1], wide, generator=torch.Generator().manual_seed(0)).to(samples)
    for _ in range(rounds):
        basis = torch.linalg.qr(samples.T @ (samples @ basis)).Q
    scores = samples @ basis
    variance, turn = torch.linalg.eigh(scores.T @ scores / len(samples))
    return (basis @ turn.flip(1)[:, :count]).contiguous(), variance.flip(0)[:count].clamp_min(0)
