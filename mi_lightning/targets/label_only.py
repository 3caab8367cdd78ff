"""Label only: the attacker asks, and gets a name."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from mi_lightning.targets.base import TargetError
from mi_lightning.targets.black_box import Remote


class LabelOnly(Remote):
    """Any function from a batch to labels: it says who it is, and not how sure it is.

    What is released is confidence 1 in the label and 0 in all others. The defense
    :class:`~mi_lightning.targets.defenses.HardLabel` does the same to a target that knows its confidences.

    Args:
        function: Takes inputs, shape (N, *input_shape), and returns class indices, shape (N,), of any integer type.
            It may change or keep the inputs: their memory is its own.
        input_shape: Shape of one input, without the batch.
        num_classes: Number of classes, C.
        class_names: Name of each class; ``"0"``, ``"1"``, ... if not given.
        input_range: Lowest and highest value of an input.
        max_batch: Inputs that the function takes at a time; larger questions are split. Any number if None.
    """

    def release(self, x: Tensor) -> Tensor:
        """Return the one-hot vector of each label, in the precision of ``x``, shape (N, C).

        Raises:
            TargetError: If the function fails, or says what is no label.
        """
        said = self.answer(x)
        if tuple(said.shape) != (len(x),) or said.is_floating_point() or said.is_complex():
            raise TargetError(f"expected {len(x)} class indices, got {said.dtype} of shape {tuple(said.shape)}")
        wrong = (said < 0) | (said >= self.num_classes)
        if bool(wrong.any()):
            row = int(wrong.nonzero()[0, 0])
            raise TargetError(
                f"expected class indices among 0-{self.num_classes - 1}, got {int(said[row])} in row {row} of {len(x)}"
            )
        return functional.one_hot(said.long(), self.num_classes).to(x.dtype)
