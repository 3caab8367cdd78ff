"""Dividing photographs of people so that the same photograph is never on both sides."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mi_lightning.data.base import Split


def split_groups(
    y: Tensor, groups: Sequence[object], split: Split, seed: int, *, count: int | None, share: float
) -> tuple[Tensor, Tensor]:
    """Divide the samples of each person into training and test samples, what belongs together on one side.

    Groups are put among the test samples one by one while they fit the number that is wanted; one at least is for
    testing, and one at least is left to train on.

    Args:
        y: Labels, (N,) int64, in the order of the files; everybody has two groups or more.
        groups: What each sample belongs to, N values that can be compared; of equal ones in a person all stay together.
        split: ``"first"``: the last of a person are for testing; ``"random"``: which are is drawn person by person.
        seed: Seed of the draw; the global random state is neither read nor changed.
        count: Test samples of each person; if None, ``share`` of what the person has, at least one.
        share: See ``count``.

    Returns:
        Indices of the training and of the test samples, each in the order of the files.

    Example:
        >>> train, test = split_groups(torch.zeros(4, dtype=torch.int64), "abbc", "first", 0, count=2, share=0.5)
        >>> train.tolist(), test.tolist()
        ([1, 2], [0, 3])
    """
    generator = torch.Generator().manual_seed(seed)
    for_test = torch.zeros(len(y), dtype=torch.bool)
    for label in y.unique().tolist():
        members: dict[object, list[int]] = {}
        own = (y == label).nonzero()[:, 0].tolist()
        for index in own:
            members.setdefault(groups[index], []).append(index)
        order = list(members.values())
        if split == "random":
            order = [order[place] for place in torch.randperm(len(order), generator=generator).tolist()]
        wanted = max(1, round(share * len(own))) if count is None else count
        taken: list[list[int]] = []
        for group in reversed(order):
            if len(taken) < len(order) - 1 and sum(map(len, taken)) + len(group) <= wanted:
                taken.append(group)
        for group in taken or [min(order, key=len)]:
            for_test[group] = True
    return (~for_test).nonzero()[:, 0], for_test.nonzero()[:, 0]
