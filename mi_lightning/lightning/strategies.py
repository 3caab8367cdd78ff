"""Several devices for one attack."""

from __future__ import annotations

import torch
from lightning.pytorch.strategies import DDPStrategy, StrategyRegistry

from mi_lightning.attacks.result import InversionResult


class RowShardStrategy(DDPStrategy):
    """Spread the rows of an attack over processes that never talk until the results are gathered.

    Rows are independent, so there is no gradient to average: the model is not wrapped. Process r of n takes the rows
    r, r + n, r + 2n, ... Choose it with ``--trainer.strategy row_shard --trainer.devices N``; ``torchrun`` and SLURM
    start it as they start any of Lightning's strategies.
    """

    strategy_name = "row_shard"

    def configure_ddp(self) -> None:
        """Leave the model as it is."""


def register() -> None:
    """Make ``row_shard`` known to Lightning; it may be called again."""
    if RowShardStrategy.strategy_name not in StrategyRegistry:
        summary = (RowShardStrategy.__doc__ or "").splitlines()[0]
        StrategyRegistry.register(RowShardStrategy.strategy_name, RowShardStrategy, description=summary)


def gather_rows(own: InversionResult, world_size: int) -> InversionResult:
    """Return the rows of all processes in the order of one process.

    Args:
        own: Rows of this process: r, r + n, r + 2n, ... of process r of n.
        world_size: Number of processes, n.
    """
    if world_size == 1:
        return own
    parts: list[InversionResult] = [own] * world_size
    torch.distributed.all_gather_object(parts, own)
    place = [rank + world_size * i for rank, part in enumerate(parts) for i in range(len(part))]
    return InversionResult.concatenate(parts).select(torch.tensor(place).argsort())
