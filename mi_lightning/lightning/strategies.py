"""Several devices for one attack."""

from __future__ import annotations

import torch
from lightning.pytorch.strategies import DDPStrategy, StrategyRegistry

from mi_lightning.attacks.result import InversionResult
from mi_lightning.targets.base import TargetError


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


def gather_rows(
    own: InversionResult, failure: TargetError | None, world_size: int
) -> tuple[InversionResult, TargetError | None]:
    """Return the rows of all processes in the order of one process, and what the target failed by on any of them.

    Args:
        own: Rows of this process: r, r + n, r + 2n, ... of process r of n.
        failure: What the target failed by on this process.
        world_size: Number of processes, n.
    """
    if world_size == 1:
        return own, failure
    mine = (own, None if failure is None else str(failure))
    gathered = [mine] * world_size
    torch.distributed.all_gather_object(gathered, mine)
    parts = [part for part, _ in gathered]
    place = [rank + world_size * i for rank, part in enumerate(parts) for i in range(len(part))]
    told = [TargetError(text) for _, text in gathered if text is not None]
    found = InversionResult.concatenate(parts).select(torch.tensor(place, dtype=torch.int64).argsort())
    return found, failure or next(iter(told), None)
