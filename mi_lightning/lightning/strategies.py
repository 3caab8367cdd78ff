"""Several devices for one attack."""

from __future__ import annotations

from lightning.pytorch.strategies import DDPStrategy, StrategyRegistry


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
