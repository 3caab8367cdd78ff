"""Vocoders: the waveform that a spectrogram describes, so that only what a spectrogram can say is left."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from mi_lightning.audio.rate import Rated
from mi_lightning.errors import InputError, MIError
from mi_lightning.extras import load_torchaudio


class GriffinLimVocoder(Rated, nn.Module):
    """Amplitudes of a short-time spectrum, phases forgotten and found again [Griffin, Lim, IEEE TASSP 1984].

    On the mel scale the fine structure that mel bands do not resolve is forgotten, too.

    Args:
        scale: ``"mel"`` or ``"linear"`` frequencies.
        sample_rate: Samples in a second; the target's if not given.
        n_fft: Samples of a window.
        hop: Samples between two windows.
        mels: Mel bands.
        iterations: Iterations of Griffin-Lim.
        momentum: Of the fast Griffin-Lim algorithm, in [0, 1).

    Raises:
        InputError: If an argument is outside its range.
        MIError: On first use, if torchaudio cannot be imported.
    """

    def __init__(
        self,
        *,
        scale: Literal["mel", "linear"] = "mel",
        sample_rate: int | None = None,
        n_fft: int = 1024,
        hop: int = 256,
        mels: int = 80,
        iterations: int = 32,
        momentum: float = 0.99,
    ) -> None:
        """Check the arguments; torchaudio is imported on first use."""
        super().__init__()
        if scale not in ("mel", "linear"):
            raise InputError("scale mel or linear", scale, field="scale")
        for name, value in (("n_fft", n_fft), ("hop", hop), ("mels", mels), ("iterations", iterations)):
            if value < 1:
                raise InputError(f"{name} >= 1", value, field=name)
        if hop > n_fft // 2:
            raise InputError(f"hop <= {n_fft // 2}, half of n_fft", hop, field="hop")
        if not 0 <= momentum < 1:
            raise InputError("momentum in [0, 1)", momentum, field="momentum")
        self.scale, self.n_fft, self.hop = scale, n_fft, hop
        self.start_rate(sample_rate)
        self.mels, self.iterations, self.momentum = mels, iterations, momentum
        self._bands: tuple[Tensor, Tensor] | None = None

    def rate_changed(self) -> None:
        """Forget the bands at another rate."""
        self._bands = None

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Pass waveforms (N, 1, samples) through, same shape."""
        audio = load_torchaudio().functional
        window = torch.hann_window(self.n_fft, dtype=x.dtype, device=x.device)
        length = x.shape[-1]
        # reflection needs more samples than half a window
        padded = pad(x[:, 0], (0, max(0, self.n_fft - length)))
        spectrum = torch.stft(padded, self.n_fft, self.hop, window=window, return_complex=True)
        amplitude = spectrum.abs()
        if self.scale == "mel":
            to_mel, back = self._mel(x)
            amplitude = (back @ (to_mel @ amplitude)).clamp_min_(0)
        found: Tensor = audio.griffinlim(
            amplitude,
            window=window,
            n_fft=self.n_fft,
            hop_length=self.hop,
            win_length=self.n_fft,
            power=1.0,
            n_iter=self.iterations,
            momentum=self.momentum,
            length=padded.shape[-1],
            rand_init=False,  # the same waveform gives the same result
        )
        return found[:, None, :length]

    def _mel(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Matrices from frequencies to mel bands and back, by least squares."""
        if self._bands is None:
            audio = load_torchaudio().functional
            bands = audio.melscale_fbanks(self.n_fft // 2 + 1, 0.0, self.sample_rate / 2, self.mels, self.sample_rate)
            self._bands = (bands.T.contiguous(), torch.linalg.pinv(bands.T))
        to_mel, back = self._bands
        return to_mel.to(like), back.to(like)


class VocosVocoder(Rated, nn.Module):
    """The neural vocoder Vocos [Siuzdak, ICLR 2024]: mel spectrogram to waveform by one pass through a network.

    Args:
        weights: Folder with ``config.yaml`` and ``pytorch_model.bin``, or a name on the hub of Hugging Face, from where
            the package fetches it.
        sample_rate: Samples in a second of what is passed through; the target's if not given.
        model_rate: Samples in a second that the network was trained for; waveforms are resampled on the way in and out.

    Raises:
        InputError: If there are no such weights.
        MIError: On first use, if vocos or torchaudio cannot be imported.
    """

    #: Knowledge of other people, which an attacker has without the target (the control *prior alone*).
    public: ClassVar[bool] = True

    def __init__(
        self, *, weights: str = "charactr/vocos-mel-24khz", sample_rate: int | None = None, model_rate: int = 24000
    ) -> None:
        """Keep the arguments; nothing is loaded yet."""
        super().__init__()
        self.start_rate(sample_rate)
        if model_rate < 1:
            raise InputError("model_rate >= 1", model_rate, field="model_rate")
        self.weights, self.model_rate = weights, model_rate
        self._network: Any = None

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode."""
        return super().train(False)

    def load(self) -> Any:
        """Load the network, the first time only."""
        if self._network is None:
            self._network = _load_vocos(self.weights)
        return self._network

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Pass waveforms (N, 1, samples) through, same shape."""
        audio = load_torchaudio().functional
        network = self.load().to(x.device)
        wave = audio.resample(x[:, 0], self.sample_rate, self.model_rate)
        spoken: Tensor = network(wave).clone()  # out of inference mode
        back: Tensor = audio.resample(spoken, self.model_rate, self.sample_rate)
        return pad(back, (0, max(0, x.shape[-1] - back.shape[-1])))[:, None, : x.shape[-1]]


def _load_vocos(weights: str) -> Any:
    """Load the network from a folder, safely, or from the hub."""
    load_torchaudio()
    try:
        from vocos import Vocos  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise MIError(f"NeuralVocoder needs the package vocos, which fails: {reason}; pip install vocos") from error
    folder = Path(weights)
    if not folder.is_dir():
        if weights.count("/") != 1 or weights.startswith((".", "/", "~")):
            raise InputError("a folder of weights, or a name on the hub", weights, field="weights")
        try:
            return Vocos.from_pretrained(weights).eval().requires_grad_(False)
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                "a folder of weights, or a name on the hub that can be reached",
                f"{weights}: {reason}",
                field="weights",
            ) from error
    config, state = folder / "config.yaml", folder / "pytorch_model.bin"
    for path in (config, state):
        if not path.is_file():
            raise InputError(f"{path.name} in the folder of weights", f"none in {folder}", field="weights")
    try:
        network = Vocos.from_hparams(str(config))
        network.load_state_dict(torch.load(state, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError("weights of Vocos", f"{folder}: {reason}", field="weights") from error
    return network.eval().requires_grad_(False)


def same_loudness(x: Tensor, like: Tensor, input_range: tuple[float, float]) -> Tensor:
    """Scale waveforms to the root mean square of others, then clamp them to the range: phases move the peaks.

    Args:
        x: Shape (N, 1, samples).
        like: Same shape.
        input_range: Lowest and highest value.
    """
    tiny = torch.finfo(x.dtype).tiny
    scale = (like.square().mean(-1, keepdim=True) / x.square().mean(-1, keepdim=True).clamp_min(tiny)).sqrt()
    return (x * scale.clamp_max(math.sqrt(1 / tiny))).nan_to_num(0.0).clamp(*input_range)
