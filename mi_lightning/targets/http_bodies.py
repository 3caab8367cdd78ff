"""What is sent to a server, and what its answers mean."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from mi_lightning.errors import InputError, MIError
from mi_lightning.targets.http_client import GarbledError

Body = Literal["json", "base64", "png"]

_SHOWN = 60  # characters of an answer that an error shows


@dataclass(frozen=True)
class Bodies:
    """How inputs are put into a request, and answers taken from the body of a response.

    Attributes:
        body: ``json``: numbers in nested lists, exact; ``base64``: float32, little-endian; ``png``: a picture, as the
            file of a form.
        single: Whether a request holds one input and its answer, and not lists of them.
        input_path: Where in the body the inputs go, keys with dots between them, the body itself if empty; of ``png``
            the name of the form's field.
        answer_path: Where in the response the answers are, likewise; numbers are places in lists.
        instance_key: Key of each input, which is then an object; the input itself if None.
        prediction_key: Key of what counts in each answer; the answer itself if None.
        id_key: Key of a number that is given with each input and comes back with its answer.
        output: Whether numbers are probabilities or logits.
        label_only: Whether an answer is a label.
        class_names: Name of each class.
        input_range: Lowest and highest value of an input, black and white of a picture.
    """

    body: Body
    single: bool
    input_path: str
    answer_path: str
    instance_key: str | None
    prediction_key: str | None
    id_key: str | None
    output: Literal["probabilities", "logits"]
    label_only: bool
    class_names: tuple[str, ...]
    input_range: tuple[float, float]

    def question(self, x: Tensor, ids: Sequence[int]) -> dict[str, Any]:
        """Return the arguments of a request about inputs, shape (n, ...), with a number for each.

        Raises:
            InputError: If they cannot be sent.
        """
        if x.is_floating_point() and not bool(x.isfinite().all()):
            raise InputError("inputs that are finite", "NaN or infinity")
        if self.body == "png":
            return {"files": {self.input_path: ("input.png", _png(x[0], self.input_range), "image/png")}}
        if self.body == "base64":
            arrays = x.detach().cpu().float().flatten(1).numpy().astype("<f4", copy=False)
            inputs: list[Any] = [base64.b64encode(array.tobytes()).decode("ascii") for array in arrays]
        else:
            inputs = x.detach().cpu().tolist()  # float32 as the same numbers in float64
        if self.instance_key is not None:
            inputs = [{self.instance_key: each} for each in inputs]
            if self.id_key is not None:
                inputs = [{self.id_key: each} | entry for each, entry in zip(ids, inputs, strict=True)]
        content: Any = inputs[0] if self.single else inputs
        for key in reversed(self.input_path.split(".") if self.input_path else []):
            content = {key: content}
        text = json.dumps(content, separators=(",", ":"), allow_nan=False)
        return {"content": text.encode(), "headers": {"Content-Type": "application/json"}}

    def answers(self, body: bytes, ids: Sequence[int]) -> Tensor:
        """Return what a response says of each input, in the order of the numbers that were given.

        Returns:
            Confidences as they were said, shape (n, C), float64; or class indices, shape (n,).

        Raises:
            GarbledError: If it is no JSON.
            MIError: If it is no answer to these inputs.
        """
        try:
            said: Any = json.loads(body)
        except ValueError:
            raise GarbledError(f"expected JSON, got {_short(body.decode('utf-8', 'replace'))}") from None
        for key in self.answer_path.split(".") if self.answer_path else []:
            said = _entry(said, key, self.answer_path)
        entries = [said] if self.single else said
        if not isinstance(entries, list) or len(entries) != len(ids):
            got = str(len(entries)) if isinstance(entries, list) else f"{_kind(entries)}"
            raise MIError(f"expected {len(ids)} answers at {self.answer_path or 'the top'}, got {got}")
        if self.id_key is not None:
            by_id = {str(_entry(entry, self.id_key, "id_key")): entry for entry in entries}
            if by_id.keys() != {str(each) for each in ids}:
                raise MIError(f"expected the answers to the {len(ids)} inputs that were asked, by {self.id_key}")
            entries = [by_id[str(each)] for each in ids]
        if self.prediction_key is not None:
            entries = [_entry(entry, self.prediction_key, "prediction_key") for entry in entries]
        if self.label_only:
            return torch.tensor([self._index(entry) for entry in entries], dtype=torch.int64)
        numbers = torch.from_numpy(self._numbers(entries))
        return numbers.softmax(1) if self.output == "logits" else numbers

    def _numbers(self, entries: list[Any]) -> NDArray[np.float64]:
        """Numbers of each class, shape (n, C), however they were said."""
        if any(isinstance(entry, Mapping) or _is_ranking(entry) for entry in entries):
            return np.stack([self._by_name(entry) for entry in entries])
        # strings would be read as numbers, and null as NaN
        plain = all(isinstance(entry, list) and set(map(type, entry)) <= {float, int} for entry in entries)
        if not plain or {len(entry) for entry in entries} != {len(self.class_names)}:
            wrong = next(
                (entry for entry in entries if not isinstance(entry, list) or len(entry) != len(self.class_names)),
                entries[0],
            )
            got = f"{len(wrong)}" if isinstance(wrong, list) and len(wrong) != len(self.class_names) else _kind(wrong)
            raise MIError(f"expected {len(self.class_names)} numbers for each input, got {got}")
        return np.asarray(entries, dtype=np.float64)

    def _by_name(self, entry: Any) -> NDArray[np.float64]:
        """Numbers of each class, shape (C,): what is not named shares what is left of 1."""
        if isinstance(entry, Mapping):
            pairs = list(entry.items())
        elif _is_ranking(entry):
            pairs = [(each["label"], each["score"]) for each in entry]
        else:
            raise MIError(f"expected answers of one kind, got {_kind(entry)} beside names")
        row, named = np.zeros(len(self.class_names)), np.zeros(len(self.class_names), dtype=bool)
        for label, number in pairs:
            place = self._index(label)
            if named[place]:
                raise MIError(f"expected each class once, got {_short(str(label))} twice")
            if type(number) not in (int, float):
                raise MIError(f"expected a number for {_short(str(label))}, got {_kind(number)}")
            row[place], named[place] = number, True
        rest = int((~named).sum())
        if rest and self.output == "logits":
            raise MIError(f"expected the logits of {len(named)} classes, got {len(named) - rest}")
        if rest:
            row[~named] = max(0.0, 1.0 - row.sum()) / rest
        return row

    def _index(self, label: Any) -> int:
        """Class of a label: a whole number is an index, a text a name."""
        if isinstance(label, int) and not isinstance(label, bool) and 0 <= label < len(self.class_names):
            return label
        if isinstance(label, str) and label in self._place:
            return self._place[label]
        raise MIError(f"expected one of {len(self.class_names)} class_names, got {_short(str(label))}")

    @cached_property
    def _place(self) -> dict[str, int]:
        """Class of each name; of its number in text, too, where nobody's name looks like one."""
        places = range(len(self.class_names))
        numbers = {} if any(name.isdecimal() for name in self.class_names) else {str(place): place for place in places}
        return numbers | dict(zip(self.class_names, places, strict=True))


def _png(x: Tensor, input_range: tuple[float, float]) -> bytes:
    """A picture, shape (1 or 3, H, W) or with channels last, as a PNG file of 8 bits; bytes are taken as they are.

    Raises:
        InputError: If it is none.
    """
    if x.ndim != 3 or (x.shape[0] not in (1, 3) and x.shape[2] not in (1, 3)):
        raise InputError("inputs that are pictures of one or three channels, for body png", tuple(x.shape), "body")
    if x.is_floating_point():
        low, high = input_range
        x = ((x.detach() - low) * (255 / (high - low))).round().clamp(0, 255).to(torch.uint8)
    array = (x if x.shape[2] in (1, 3) and x.shape[0] not in (1, 3) else x.movedim(0, 2)).cpu().contiguous().numpy()
    file = io.BytesIO()
    Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array).save(file, "PNG")
    return file.getvalue()


def _entry(said: Any, key: str, field: str) -> Any:
    """One entry of an object or a list."""
    if isinstance(said, list) and key.isdecimal() and int(key) < len(said):
        return said[int(key)]
    if not isinstance(said, Mapping) or key not in said:
        keys = f"an object with {_short(', '.join(map(str, said)))}" if isinstance(said, Mapping) else _kind(said)
        raise MIError(f"expected {key} of {field} in the answer, got {keys}")
    return said[key]


def _is_ranking(entry: Any) -> bool:
    """Whether an answer is a list of labels and scores, as hosted models of Hugging Face give it."""
    if not isinstance(entry, list) or not entry:
        return False
    return all(isinstance(each, Mapping) and {"label", "score"} <= each.keys() for each in entry)


def _kind(said: Any) -> str:
    """Name what was said, shortly."""
    if isinstance(said, list):
        return f"a list of {len(said)}"
    return "an object" if isinstance(said, Mapping) else _short(json.dumps(said))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
