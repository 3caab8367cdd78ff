"""Label only: the attacker asks, and gets a name."""

from __future__ import annotations

from torch import Tensor

from mi_lightning.targets.answers import certainties_of
from mi_lightning.targets.black_box import Remote


class LabelOnly(Remote):
    """Any function from a batch to labels: it says who it is, and not how sure it is.

    What is released is confidence 1 in the label and 0 in all others. The defense
    :class:`~mi_lightning.targets.defenses.HardLabel` does the same to a target that knows its confidences.

    Args:
        function: Takes inputs, shape (N, *input_shape), and returns class indices, shape (N,), of any integer type.
            It may change or keep the inputs: their memory is its own.
        **facts: The other arguments of `Remote`: shape and range of the inputs, classes, preprocessing, ``max_batch``.
    """

    def release(self, x: Tensor) -> Tensor:
        """Return the one-hot vector of each label, in the precision of ``x``, shape (N, C).

        Raises:
            TargetError: If the function fails, or says what is no label.
        """
        return certainties_of(self.answer(x), x, self.num_classes)
