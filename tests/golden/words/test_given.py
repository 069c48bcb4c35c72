"""Images, pairs and sets, as every call of Python takes them."""

from types import SimpleNamespace

import numpy as np

from sterna.golden.files.classes import class_name, read_classes, write_classes
from sterna.golden.words.given import images_of


def test_pairs_and_sets_are_told_from_images() -> None:
    images, labels = np.zeros((3, 1, 2, 2), np.uint8), np.arange(3)
    assert images_of(images) == (images, None) or images_of(images)[0] is images
    assert images_of((images, labels)) == (images, labels)
    assert images_of((images, None)) == (images, None)
    assert images_of((images, labels.tolist()))[1] == [0, 1, 2]
    both = (images[0], images[1])  # two images in a tuple, which numpy takes as an array
    assert images_of(both) == (both, None)
    given = SimpleNamespace(images=np.zeros((3, 2, 1, 4, 4)), labels=labels, split="test")
    assert images_of(given)[0].shape == (2, 3, 1, 4, 4) and images_of(given)[1] is labels


def test_class_names_go_with_a_build(tmp_path) -> None:
    assert read_classes(tmp_path, 3) == ()
    write_classes(tmp_path, ["a", "b"])
    assert read_classes(tmp_path, 3) == ("a", "b")
    assert [class_name(("a", "b"), k) for k in (1, 2)] == ["b", "2"]
    write_classes(tmp_path, ())
    assert not (tmp_path / "classes.json").exists()
