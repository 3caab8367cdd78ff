"""dlib's network in torch: read from a file made by hand, and against dlib itself where that is installed."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d, conv2d, max_pool2d

from mi_lightning.errors import MIError
from mi_lightning.nn.dlib_resnet import DlibResNet, load_dlib_resnet
from mi_lightning.recognisers.dlib_faces import NETWORK


def number(value):
    """A number as dlib writes it."""
    size = (value.bit_length() + 7) // 8
    return bytes([size]) + value.to_bytes(size, "little")


def tensor(values, *shape):
    """A tensor as dlib writes it: version, four sizes, numbers."""
    return b"".join(map(number, (2, *shape))) + struct.pack(f"<{values.numel()}f", *values.flatten().tolist())


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A file of random weights, between words of no use, and the parts that were written."""
    generator = torch.Generator().manual_seed(0)
    parts, content = [], b"loss_metric_2 some settings"
    for layer in DlibResNet().convolutions():
        outputs = layer.out_channels
        weight = torch.randn(layer.weight.shape, generator=generator) / layer.weight[0].numel() ** 0.5
        bias, factor, shift = torch.randn(3, outputs, generator=generator)
        parts.append((weight, bias, factor, shift))
        both = torch.cat([weight.flatten(), bias])
        content += b"con_4" + tensor(both, len(both), 1, 1, 1) + b"affine_"
        content += tensor(torch.cat([factor, shift]), 2 * outputs, 1, 1, 1)
    matrix = torch.randn(256, 128, generator=generator)
    path = tmp_path_factory.mktemp("dlib") / "network.dat"
    path.write_bytes(content + b"fc_2" + tensor(matrix, 256, 128, 1, 1) + b"end")
    return path, parts, matrix


def test_weights_are_read_and_the_network_is_its_equations(written):
    """Every layer by itself, scale and shift after the convolution, zeros where channels or pixels are missing."""
    path, parts, matrix = written
    network = load_dlib_resnet(path)
    faces = torch.randint(0, 256, (2, 3, 150, 150), generator=torch.Generator().manual_seed(1)).float()
    left = iter(parts)

    def layer(x, stride, margin):
        weight, bias, factor, shift = next(left)
        return conv2d(x, weight, bias, stride, margin) * factor[:, None, None] + shift[:, None, None]

    x = (faces - torch.tensor([122.782, 117.001, 104.298])[:, None, None]) / 256
    x = max_pool2d(layer(x, 2, 0).relu(), 3, 2)
    assert x.shape[2:] == (35, 35)
    sides = []
    for count, halves in ((3, False), (4, True), (3, True), (3, True), (1, True)):
        for place in range(count):
            halved = halves and place == 0
            y = layer(layer(x, 2 if halved else 1, 0 if halved else 1).relu(), 1, 1)
            past = avg_pool2d(x, 2) if halved else x
            side, channels = max(y.shape[-1], past.shape[-1]), y.shape[1]
            total = torch.zeros(2, channels, side, side)
            total[:, :, : y.shape[2], : y.shape[3]] += y
            total[:, : past.shape[1], : past.shape[2], : past.shape[3]] += past
            x = total.relu()
        sides.append(side)
    assert sides == [35, 17, 8, 4, 2]
    assert next(left, None) is None
    torch.testing.assert_close(network(faces), x.mean((2, 3)) @ matrix, rtol=1e-3, atol=1e-3)


def test_a_face_does_not_depend_on_the_others_of_its_batch(written):
    network = load_dlib_resnet(written[0])
    faces = torch.rand(5, 3, 150, 150, generator=torch.Generator().manual_seed(1)) * 255
    alone = torch.cat([network(face[None]) for face in faces])
    torch.testing.assert_close(network(faces), alone, rtol=1e-4, atol=1e-4)


def test_damaged_files(written, tmp_path):
    content = written[0].read_bytes()
    for name, part in (("short.dat", content[:-1000]), ("empty.dat", b""), ("other.dat", bytes(1000))):
        (tmp_path / name).write_bytes(part)
        with pytest.raises(MIError, match=rf"{name} does not hold dlib's face recogniser"):
            load_dlib_resnet(tmp_path / name)
    with pytest.raises(MIError, match=r"cannot read .*absent\.dat: No such file"):
        load_dlib_resnet(tmp_path / "absent.dat")


def test_vectors_are_those_of_dlib():
    dlib = pytest.importorskip("dlib", reason="needs the extra judges")
    try:
        path = NETWORK.checked()
    except MIError:
        pytest.skip("needs the extra judges")
    levels = np.random.default_rng(0).integers(0, 256, (3, 150, 150, 3), dtype=np.uint8)
    smooth = np.linspace(0, 255, 150).astype(np.uint8)
    levels[2] = smooth[:, None, None]
    expected = np.array(dlib.face_recognition_model_v1(str(path)).compute_face_descriptor(list(levels)))
    found = load_dlib_resnet(path)(torch.from_numpy(levels).permute(0, 3, 1, 2).float())
    np.testing.assert_allclose(found, expected, atol=1e-5)
