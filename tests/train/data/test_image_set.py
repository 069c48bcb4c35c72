"""`ImageSet`: one thing for files, arrays and torch Datasets, and every call takes it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from owncase import CLASSES, draw, picture_folder
from torch.utils.data import Dataset

import sterna
from sterna.data import ImageSet
from sterna.golden.errors import UsageError
from sterna.train.data import datasets

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 1, 4, 4), np.uint8)
LABELS = np.arange(60) % 3


class Foreign(Dataset):
    """As torchvision's ImageFolder with ToTensor."""

    classes = list(CLASSES)

    def __len__(self) -> int:
        return 60

    def __getitem__(self, k: int):
        return torch.from_numpy(IMAGES[k]).float() / 255, int(LABELS[k])


def test_a_split_of_a_folder(tmp_path: Path) -> None:
    root = picture_folder(tmp_path / "png")
    found = ImageSet(f"folder:{root}", "test")
    assert found.images.shape == (12, 1, 12, 12) and found.classes == CLASSES and len(found) == 12
    assert found.files[0].endswith(".png") and found.labels is not None
    parts = datasets.load(f"folder:{root}")
    assert np.array_equal(found.images, parts.test[0]) and found.parts().hash == parts.hash
    train = ImageSet(root)  # a path is a folder
    assert len(train) == 42 and train.hash != found.hash
    assert ImageSet(root, size=(6, 6)).images.shape[1:] == (1, 6, 6)


def test_arrays_and_torch_datasets_are_the_same_images() -> None:
    ours = ImageSet((IMAGES, LABELS), "test")
    assert np.array_equal(ours.images, IMAGES) and ours.classes == ("0", "1", "2")
    theirs = ImageSet(Foreign(), scale=255)
    assert np.array_equal(theirs.images, IMAGES) and theirs.classes == CLASSES
    assert ours.hash != theirs.hash  # the classes have other names
    assert ours.hash == ImageSet((torch.from_numpy(IMAGES), LABELS.tolist())).hash
    with pytest.raises(UsageError, match="float32 is not an integer type"):
        ImageSet(Foreign())
    alone = ImageSet(IMAGES)
    assert alone.labels is None
    with pytest.raises(UsageError, match="has no labels to train on"):
        alone.parts()
    assert [len(y) for _, y in (ours.parts().train, ours.parts().test)] == [42, 12]


def test_frames_stand_behind_their_image() -> None:
    frames = np.random.default_rng(0).integers(0, 2, (60, 2, 1, 4, 4), np.uint8)
    found = ImageSet((frames, LABELS))
    assert found.images.shape == (60, 2, 1, 4, 4) and found.parts().train[0].shape[:2] == (2, 42)


def network(coding: str = "direct") -> sterna.Network:
    return sterna.Network(
        2,
        [
            sterna.Input("x", (1, 4, 4), coding=coding),
            sterna.Linear("f", "x", np.sign(np.random.default_rng(0).normal(size=(3, 16)))),
            sterna.Readout("r", ("f",), sterna.NeuronRule(np.zeros(3), "none")),
        ],
    )


def test_run_takes_a_set_a_pair_or_an_array() -> None:
    want = sterna.run(network(), IMAGES).logits
    for data in (ImageSet((IMAGES, LABELS)), (IMAGES, LABELS), ImageSet(IMAGES)):
        assert np.array_equal(sterna.run(network(), data).logits, want)
    frames = (IMAGES[:, None].repeat(2, 1) > 100).astype(np.uint8)
    frames[:, 1, :, 0] = 0
    found = sterna.run(network("frames"), ImageSet((frames, LABELS))).logits
    assert np.array_equal(found, sterna.run(network("frames"), frames.swapaxes(0, 1)).logits)


def test_evaluate_takes_a_set() -> None:
    want = sterna.evaluate(network(), (IMAGES, LABELS))
    found = sterna.evaluate(network(), ImageSet((IMAGES, LABELS)))
    assert np.array_equal(found.confusion, want.confusion) and found.images == 60
    with pytest.raises(UsageError, match="has no labels to compare with"):
        sterna.evaluate(network(), ImageSet(IMAGES))


def test_quantize_takes_a_set() -> None:
    from sterna.gen.quantize.float_network import FloatInput, FloatLinear, FloatReadout

    weight = np.sign(np.random.default_rng(0).normal(size=(3, 16)))
    nodes = [
        FloatInput("x", (1, 4, 4)),
        FloatLinear("f", "x", weight),
        FloatReadout("r", ("f",)),
    ]
    made = sterna.FloatNetwork(2, nodes)
    data = ImageSet((IMAGES, LABELS))
    one, report = sterna.quantize(made, data, evaluate=data)
    two, other = sterna.quantize(made, IMAGES, evaluate=(IMAGES, LABELS))
    assert report == other and report.evaluated == 60
    assert np.array_equal(sterna.run(one, IMAGES).logits, sterna.run(two, IMAGES).logits)
    with pytest.raises(UsageError, match=r"evaluate .* must be \(images, labels\)"):
        sterna.quantize(made, IMAGES, evaluate=ImageSet(IMAGES))  # type: ignore[arg-type]


def test_a_picture_is_taken_as_the_network_wants_it(tmp_path: Path) -> None:
    root = picture_folder(tmp_path / "png", side=4)
    found = ImageSet(f"folder:{root}", "test", like=network())
    assert found.labels is not None
    label, number = int(found.labels[0]), int(found.files[0][-6:-4])
    assert np.array_equal(found.images[0][0], draw(label, number, 4))
    with pytest.raises(UsageError, match="like 3 is no network"):
        ImageSet(IMAGES, like=3)
