"""How samples are shown: one object for each kind of them, so that nobody else asks what they are.

``media(modality.kind)`` gives pictures, players with spectrograms, and what else a page, a folder, a terminal and
TensorBoard show of samples of that kind.
"""

from __future__ import annotations

from collections.abc import Mapping

from mi_lightning.data.base import Kind
from mi_lightning.report.media.base import Found, Media
from mi_lightning.report.media.picture import Pictures
from mi_lightning.report.media.sound import Voices

#: Every kind. Where a table can hold one kind only, the first of these that occurs decides.
MEDIA: Mapping[Kind, Media] = {"sound": Voices(), "picture": Pictures(), "other": Media()}


def media(kind: Kind) -> Media:
    """How samples of a kind are shown.

    Example:
        >>> media("sound").unseen
        'recordings'
    """
    return MEDIA[kind]


__all__ = ["MEDIA", "Found", "Media", "media"]
