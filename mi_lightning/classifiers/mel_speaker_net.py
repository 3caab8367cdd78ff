"""A small x-vector network on mel frames, made to judge inverted voices."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn

from mi_lightning.audio.mel import mel_filters
from mi_lightning.classifiers.speech import SpeechClassifier
from mi_lightning.errors import InputError

_FLOOR = 1e-6  # power added before the logarithm, of a waveform of standard deviation 1


class LogMel(nn.Module):
    """Logarithm of the power in mel bands: (N, 1, samples) to (N, bands, frames), in units of the natural logarithm.

    The waveform is first divided by its standard deviation: loudness carries no name.

    Args:
        bands: Mel bands.
        sample_rate: Hz.
        window_seconds: Length of the Hann window.
        hop_seconds: Time between frames.
        low_hz: Lower end of the bands, Hz.
        high_hz: Their upper end, Hz; half the rate if None.
    """

    window: Tensor
    filters: Tensor

    def __init__(
        self,
        bands: int,
        *,
        sample_rate: int = 16000,
        window_seconds: float = 0.025,
        hop_seconds: float = 0.01,
        low_hz: float = 50.0,
        high_hz: float | None = None,
    ) -> None:
        super().__init__()
        self.length, self.hop = round(window_seconds * sample_rate), round(hop_seconds * sample_rate)
        self.size = 1 << (self.length - 1).bit_length()
        filters = mel_filters(bands, self.size // 2 + 1, sample_rate=sample_rate, low_hz=low_hz, high_hz=high_hz)
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("window", torch.hann_window(self.length), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Log power in mel bands, (N, bands, frames)."""
        x = x[:, 0].float()
        x = (x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 1e-5)
        spectrum = torch.stft(
            x, self.size, self.hop, self.length, self.window, center=False, return_complex=True, onesided=True
        )
        power = torch.view_as_real(spectrum).square().sum(-1) / self.window.sum() ** 2
        return (self.filters.t() @ power + _FLOOR).log()


class MelSpeakerNet(SpeechClassifier):
    """An x-vector network [Snyder et al., ICASSP 2018] that serves as evaluator: it judges inverted voices.

    Log-mel frames -> three convolutions in time, farther and farther apart -> mean and standard deviation over time ->
    hidden layer (the features) -> logits. It shares nothing with SincNet but the speakers: it sees no waveform, and it
    looks at the whole utterance at once instead of averaging over chunks. In training (and only there) each batch is
    cut to a length drawn between a chunk and what the data give (``train_seconds``), and each waveform is filtered,
    made noisy, and loses bands of its spectrum, by amounts drawn for it alone.

    Args:
        bands: Mel bands.
        width: Channels of the convolutions.
        hidden: Size of the hidden layer.
        dropout: Part of the hidden layer set to zero, in training.
        noise: Augmentation: greatest standard deviation of noise, white or pink, as a part of the waveform's own.
        tilt: Augmentation: greatest change of the spectrum by a smooth random curve, in decibels.
        mask: Augmentation: greatest part of the mel bands that is hidden.
        optimizer: Optimizer over the weights.
        **speech: The arguments of `SpeechClassifier`.

    Raises:
        InputError: If a size or an amount is out of its range.

    Example:
        >>> classifier = MelSpeakerNet(input_shape=(1, 3200), num_classes=10).eval()
        >>> classifier(torch.zeros(2, 1, 3200)).shape, classifier.features(torch.zeros(2, 1, 48000)).shape
        (torch.Size([2, 10]), torch.Size([2, 128]))
    """

    def __init__(
        self,
        *,
        bands: int = 48,
        width: int = 128,
        hidden: int = 128,
        dropout: float = 0.2,
        noise: float = 0.3,
        tilt: float = 6.0,
        mask: float = 0.2,
        optimizer: OptimizerCallable = lambda parameters: torch.optim.AdamW(parameters, lr=3e-3),
        **speech: Any,
    ) -> None:
        super().__init__(optimizer=optimizer, **speech)
        for name, size in (("bands", bands), ("width", width), ("hidden", hidden)):
            if size < 2:
                raise InputError(f"{name} >= 2", size, field=name)
        for name, value, high in (("dropout", dropout, 0.99), ("noise", noise, 10.0), ("tilt", tilt, 60.0)):
            if not 0 <= value <= high:
                raise InputError(f"0 <= {name} <= {high:g}", value, field=name)
        if not 0 <= mask < 1:
            raise InputError("0 <= mask < 1", mask, field="mask")
        self.bands, self.width, self.hidden, self.dropout = bands, width, hidden, dropout
        self.noise, self.tilt, self.mask = noise, tilt, mask

        self.mel = LogMel(bands, sample_rate=self.sample_rate)
        if self.chunk_samples < self.mel.size:
            raise InputError(f"chunks of {self.mel.size} samples or more", self.chunk_samples, field="input_shape")
        layers: list[nn.Module] = [nn.BatchNorm1d(bands)]
        for (before, after), kernel, dilation in zip(
            itertools.pairwise((bands, width, width, width)), (5, 3, 3), (1, 2, 3), strict=True
        ):
            layers += [nn.Conv1d(before, after, kernel, padding="same", dilation=dilation, bias=False)]
            layers += [nn.BatchNorm1d(after), nn.ReLU()]
        self.frames = nn.Sequential(*layers)
        self.embedding = nn.Sequential(nn.Linear(2 * width, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU())
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden, self.num_classes))
        self.remember()

    def chunk_features(self, x: Tensor) -> Tensor:
        """Activations of the hidden layer, (N, hidden), of waveforms of any length, all of it at once."""
        return self._embed(self.mel(x))

    def _embed(self, mel: Tensor) -> Tensor:
        """Go from log-mel frames (N, bands, frames) to the hidden layer."""
        frames = self.frames(mel)
        # the deviation as a root of a sum, so that its gradient is finite where nothing changes
        deviation = (frames.var(2, correction=0) + 1e-5).sqrt()
        embedding: Tensor = self.embedding(torch.cat((frames.mean(2), deviation), 1))
        return embedding

    def features(self, x: Tensor) -> Tensor:
        """Activations of the hidden layer, (N, hidden), of waveforms (N, 1, samples): all of an utterance at once."""
        self.check(x)
        return self.chunk_features(x)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (N, num_classes), of waveforms (N, 1, samples).

        Raises:
            InputError: If the waveforms have another shape, or are shorter than a chunk.
        """
        logits: Tensor = self.head(self.features(x))
        return logits

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Mean loss of a batch, cut to a random length and changed at random."""
        x, y = batch
        logits = self.head(self._embed(self._hide(self.mel(self.augment(x)))))
        loss = self.loss(logits, y).mean()
        self.train_loss.update(loss.detach(), len(y))
        self.train_accuracy.update(logits.detach(), y)
        return loss

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Count a batch of test utterances, each as a whole, and frame by frame."""
        x, y = batch
        frames = self.frame_logits(x).float()
        logits = self(x).float()
        self.test_loss.update(self.loss(logits, y).mean(), len(y))
        self.test_accuracy.update(logits, y)
        self.test_frame_accuracy.update(frames.flatten(0, 1), y.repeat_interleave(frames.shape[1]))

    def augment(self, x: Tensor) -> Tensor:
        """Cut the batch to one random length, and change the spectrum of each waveform, (N, 1, samples), at random."""
        n, _, length = x.shape
        # in steps of a frame: lengths with large prime factors make Fourier transforms slow
        steps = int(torch.randint((length - self.chunk_samples) // self.mel.hop + 1, (1,)))
        length = self.chunk_samples + steps * self.mel.hop
        x = x[:, :, :length]
        if not self.noise and not self.tilt:
            return x
        spectrum = torch.fft.rfft(x[:, 0])
        bins = spectrum.shape[1]
        if self.tilt:
            # a curve over the logarithm of frequency through a few random points, straight between them
            points = (2 * torch.rand(n, 1, 6, device=x.device) - 1) * self.tilt
            curve = nn.functional.interpolate(points, bins, mode="linear", align_corners=True)[:, 0]
            octave = torch.linspace(1, 1 + bins, bins, device=x.device).log2() / math.log2(1 + bins)
            curve = curve[:, (octave * (bins - 1)).long()]
            spectrum = spectrum * 10 ** (curve / 20)
        filtered: Tensor = torch.fft.irfft(spectrum, length)[:, None]
        if not self.noise:
            return filtered
        noise = torch.fft.rfft(torch.randn(n, length, device=x.device))
        frequency = torch.arange(1, bins + 1, device=x.device)
        colour = frequency ** (-0.5 * torch.randint(2, (n, 1), device=x.device))
        noise = torch.fft.irfft(noise * colour, length)[:, None]
        amount = torch.rand(n, 1, 1, device=x.device) * self.noise
        noisy: Tensor = filtered + noise * amount * filtered.std(2, keepdim=True) / (noise.std(2, keepdim=True) + 1e-8)
        return noisy

    def _hide(self, mel: Tensor) -> Tensor:
        """Put the mean of each frame in place of neighbouring bands, as many as are drawn for each waveform."""
        n, bands, _ = mel.shape
        width = torch.rand(n, 1, 1, device=mel.device) * self.mask * bands
        first = torch.rand(n, 1, 1, device=mel.device) * (bands - width)
        band = torch.arange(bands, device=mel.device)[:, None]
        hidden = (band >= first.round()) & (band < (first + width).round())
        return torch.where(hidden, mel.mean(1, keepdim=True), mel)
