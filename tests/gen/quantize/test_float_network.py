"""A FloatNetwork checks itself when it is made, and its file when it is read."""

import json

import numpy as np
import pytest
from floatcase import chain, make_images, swap

from sterna.gen.quantize.float_network import FloatNetwork
from sterna.gen.quantize.quantize import quantize
from sterna.gen.quantize.reference import float_logits
from sterna.golden.errors import FileError, NetworkError
from sterna.golden.network import Linear
from sterna.golden.nodes.streams import read_back


def test_float_network_checks_itself() -> None:
    net = chain()
    nodes = list(net.nodes)
    with pytest.raises(
        NetworkError, match="'full3': weight .* does not fit its input of 5 x 3 x 3"
    ):
        swap(net, "full3", weight=np.zeros((4, 44)))
    with pytest.raises(NetworkError, match="'spike1': input 'conv9' does not exist"):
        swap(net, "spike1", inputs=("conv9",))
    with pytest.raises(NetworkError, match="the name is used twice"):
        FloatNetwork(4, [*nodes, nodes[2]])
    with pytest.raises(NetworkError, match="part of a cycle"):
        swap(net, "conv1", input="pool2")
    with pytest.raises(NetworkError, match="exactly one Readout"):
        FloatNetwork(4, nodes[:-1])


@pytest.mark.parametrize("bits", range(1, 9))
def test_frames_of_several_bits_are_said_by_keys_of_their_own(tmp_path, bits) -> None:
    """Files of one bit stay what they were, though 'bits' and 'scale' mean 1 there now."""
    net = swap(chain(), "image", coding="frames", bits=bits, scale=1.0)
    path = net.save(tmp_path)
    (entry,) = (n for n in json.loads(path.read_text())["nodes"] if n["op"] == "input")
    said = {"frame_bits": bits} if bits > 1 else {"bits": 8}
    assert {k: v for k, v in entry.items() if "bits" in k} == said and entry["scale"] == 1 / 255
    assert read_back(entry | {"bits": 8}) == read_back(entry)  # both stood there once
    again = FloatNetwork.load(path)
    assert again.input.bits == bits and again.input.scale == 1.0 and again.digest == net.digest
    half = swap(net, "image", scale=0.5)
    half.save(tmp_path, "half")
    assert FloatNetwork.load(tmp_path / "half.json").amplitude["image"] == 0.5
    assert len({net.digest, half.digest, swap(net, "image", bits=9 - bits).digest}) == 3
    with pytest.raises(NetworkError, match="node 'image': bits 9 must be 1 to 8"):
        swap(net, "image", bits=9)


def test_float_network_file(tmp_path) -> None:
    net = chain(leak=0.75)
    path = net.save(tmp_path)
    again = FloatNetwork.load(tmp_path)
    images = make_images(5)
    assert np.array_equal(float_logits(net, images), float_logits(again, images))
    first = path.read_bytes(), (tmp_path / "float.safetensors").read_bytes()
    again.save(tmp_path)
    assert first == (path.read_bytes(), (tmp_path / "float.safetensors").read_bytes())
    whole = path.read_text()
    assert '"leak": 1.0' in whole and "floor" not in whole  # which came later, and is not said
    low = chain(leak=0.75, floor=np.arange(5) / -4)
    assert low.digest != net.digest == again.digest
    low.save(tmp_path, "low")
    assert FloatNetwork.load(tmp_path / "low.json").digest == low.digest
    for old, new in (("0.75", "0.25"), ('"steps"', '"stepz"'), ('"check"', '"chuck"')):
        assert old in whole
        path.write_text(whole.replace(old, new))
        with pytest.raises(FileError, match="altered, its text is not what.*sterna train"):
            FloatNetwork.load(tmp_path)
    lines = [line for line in whole.splitlines(keepends=True) if '"check"' not in line]
    text = "".join(lines)  # as an earlier Sterna, without a check, wrote it
    for old, new, message in (
        ("sterna-float", "other", "is not a sterna-float file"),
        ('"version": 1', '"version": 2', "version 2"),
        ('"op": "pool"', '"op": "pond"', "op 'pond' is unknown"),
        ('"strict"', '"strikt"', "unknown key"),
        ('"nodes": [', '"nodes": [1, ', "does not describe a network"),
        ("{", "", "is not JSON"),
    ):
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(FileError, match=message):
            FloatNetwork.load(tmp_path)
    path.write_text(text)
    assert FloatNetwork.load(tmp_path).steps == net.steps
    blob = bytearray((tmp_path / "float.safetensors").read_bytes())
    blob[-3] ^= 1
    (tmp_path / "float.safetensors").write_bytes(bytes(blob))
    with pytest.raises(FileError, match="altered or truncated"):
        FloatNetwork.load(tmp_path)
    with pytest.raises(FileError, match="does not exist"):
        FloatNetwork.load(tmp_path / "nothing.json")
    assert isinstance(quantize(net, images)[0]["full3"], Linear)
