"""Files: same bytes, and every altered byte refused with one sentence."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field, fields, replace
from typing import Annotated

import numpy as np
import pytest
from altered import altered
from fuzz import Limits, Seeded, random_images, random_network
from hypothesis import given, settings
from hypothesis import strategies as st
from netcase import example
from repo import ROOT

from sterna.gen.design.specs import declared_ranges
from sterna.golden import rule as rules
from sterna.golden.errors import FileError, NetworkError
from sterna.golden.exact import run
from sterna.golden.files import network_files as files
from sterna.golden.network import Input, Network, Neuron, NeuronNode
from sterna.golden.parameters import Level, Whole
from sterna.golden.result import compare
from sterna.golden.rule import NeuronRule

SMALL = Limits(channels=4, side=5, layers=2, steps=5, graphs=True)


def one_sentence(error):
    text = str(error.value)
    assert "\n" not in text and "Traceback" not in text and len(text) < 600
    return text


def test_random_networks_come_back_and_compute_the_same(tmp_path):
    for seed in range(25):
        draw = Seeded(seed)
        network = random_network(draw, SMALL)
        files.save(network, tmp_path / "a")
        again = files.load(tmp_path / "a")
        files.save(again, tmp_path / "b")
        for name in ("network.json", "network.safetensors"):
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        assert files.structure_text(network) == files.structure_text(again)
        assert files.weights_id(network) == files.weights_id(again)
        assert [n.name for n in again.nodes] == [n.name for n in network.nodes]
        images = random_images(draw, network, 2)
        assert compare(run(network, images, "all"), run(again, images, "all")) is None


@dataclass(frozen=True, eq=False)
class Wider(NeuronRule):
    """A rule with fields that no Sterna has."""

    tilt: Annotated[int, Whole(3)] = field(default=0, kw_only=True)
    lean: Annotated[np.ndarray | None, Level()] = field(default=None, kw_only=True)


def with_rules(network, kind, **new):
    def wider(n):
        same = {f.name: getattr(n.rule, f.name) for f in fields(NeuronRule)}
        return replace(n, rule=kind(**same, **new if isinstance(n, Neuron) else {}))

    nodes = [wider(n) if isinstance(n, NeuronNode) else n for n in network.nodes]
    return Network(network.steps, nodes, network.name)


def test_a_new_field_of_the_rule_leaves_files_and_ids_of_before(tmp_path, monkeypatch):
    """And is kept, and part of the structure, where it is said: by its kind alone."""
    former = example()
    files.save(former, tmp_path / "former")
    design = '{"clock": 1}'
    before = files.structure_ids(former, design), files.weights_id(former)
    ranges = declared_ranges(former.neuron("hidden").rule)
    monkeypatch.setitem(rules.PARAMETERS, "tilt", Whole(3))
    monkeypatch.setitem(rules.PARAMETERS, "lean", Level())
    monkeypatch.setitem(rules.LEVELS, "lean", Level())
    monkeypatch.setattr(files, "NeuronRule", Wider)
    plain = with_rules(former, Wider)
    files.save(plain, tmp_path / "plain")
    for name in ("network.json", "network.safetensors"):
        made = (tmp_path / place / name for place in ("former", "plain"))
        assert len({path.read_bytes() for path in made}) == 1
    read = files.load(tmp_path / "former").neuron("hidden").rule
    assert isinstance(read, Wider) and read.tilt == 0 and read.lean is None
    assert before == (files.structure_ids(plain, design), files.weights_id(plain))
    assert declared_ranges(plain.neuron("hidden").rule) == ranges
    ids = {before[0][0]}
    for new in ({"tilt": 2}, {"lean": [3, -1, 2]}, {"tilt": 1, "lean": [0, 0, 0]}):
        said = with_rules(former, Wider, **new)
        ids.add(files.structure_id(said, design))
        files.save(said, tmp_path / "said")
        again = files.load(tmp_path / "said").neuron("hidden").rule
        assert isinstance(again, Wider) and again.tilt == new.get("tilt", 0)
        assert (again.lean is None) == ("lean" not in new)
        assert again.lean is None or again.lean.tolist() == new["lean"]
        assert ("lean" in declared_ranges(again)) == ("lean" in new)
    assert len(ids) == 4
    with pytest.raises(NetworkError, match=r"rule: tilt 4 not in 0\.\.3"):
        with_rules(former, Wider, tilt=4)
    with pytest.raises(NetworkError, match="rule: lean has 2 channels, threshold has 3"):
        with_rules(former, Wider, lean=[1, 2])
    head = json.loads((tmp_path / "said" / "network.json").read_text())
    assert head["nodes"][2]["rule"]["lean"] is True
    monkeypatch.undo()
    with pytest.raises(FileError, match="unknown key '(lean|tilt)'; it comes from a newer Sterna"):
        files.load(tmp_path / "said")


def counting(bits, coding="frames"):
    nodes = [n for n in example().nodes if n.op != "input"]
    old = example().input
    return Network(2, [Input(old.name, old.shape, coding, bits), *nodes], "example")


def test_frames_of_one_bit_keep_their_file_and_ids_and_more_bits_have_a_key(tmp_path):
    """An earlier Sterna, to which all frames are of one bit, refuses the key."""
    ids = set()
    for bits in range(1, 9):
        network = counting(bits)
        files.save(network, tmp_path)
        entry = json.loads((tmp_path / "network.json").read_text())["nodes"][0]
        said = {"frame_bits": bits} if bits > 1 else {"bits": 8}
        assert {k: v for k, v in entry.items() if "bits" in k} == said
        again = files.load(tmp_path)
        assert again.input.bits == bits and again.maximum[again.input.name] == 2**bits - 1
        ids.add(files.structure_id(again, "{}"))
    assert len(ids) == 8
    files.save(counting(8), tmp_path)
    path, (head, *_) = tmp_path / "network.json", counting(4, "direct").nodes
    body = json.loads(path.read_text())
    for change, sentence in (
        ({"coding": "direct", "bits": 4}, f"node '{head.name}' has the unknown key 'frame_bits'"),
        ({"frame_bits": 9}, "bits 9 must be 1 to 8"),
        ({"frame_bits": "2"}, "'bits' is not int"),
        ({"bits": 8}, None),  # stood there, too, once
    ):
        nodes = [body["nodes"][0] | change, *body["nodes"][1:]]
        made = {k: v for k, v in body.items() if k != "check"} | {"nodes": nodes}
        made["check"] = files.sha256(files.canonical_json(made).encode())
        path.write_text(files.canonical_json(made))
        if sentence is None:
            assert files.load(tmp_path).input.bits == 8
            continue
        with pytest.raises(FileError, match=sentence):
            files.load(tmp_path)


def test_real_metadata_is_kept_but_is_no_structure(tmp_path):
    files.save(example(scale=0.37), tmp_path)
    again = files.load(tmp_path)
    assert again.readout.scale == 0.37 and again["hidden"].amplitude == 0.1
    a, b, c = example(), example(scale=2.0), example(flip=-1)
    design = '{"clock": 1}'
    assert len({files.structure_id(n, design) for n in (a, b, c)}) == 1  # retrained: still loads
    assert files.weights_id(a) == files.weights_id(b) != files.weights_id(c)
    assert files.structure_id(a, design) != files.structure_id(a, '{"clock": 2}')
    other = Network(
        3,
        [n for n in example().nodes if n.name != "hidden"]
        + [Neuron("hidden", "conv", NeuronRule([3, 4, 5], "zero"))],
        "example",
    )
    assert files.structure_id(other, design) != files.structure_id(a, design)
    same = '{"clock": 1, "latency": 7, "ends": {"flight": 3}, "cores": [{"law": {"input": 5}}]}'
    better = same.replace("7", "8").replace("5", "6")  # predictions
    assert files.structure_id(a, same) == files.structure_id(a, better)
    assert files.structure_id(a, same) != files.structure_id(a, same.replace("1", "2"))
    for text in (files.structure_id(a, design), files.weights_id(a)):
        assert len(text) == 64 and set(text) <= set("0123456789abcdef")


def test_the_same_network_gives_the_same_bytes_in_another_process(tmp_path):
    files.save(example(), tmp_path / "a")
    code = (
        "from netcase import example; from sterna.golden.files import network_files as files; "
        f"files.save(example(), {str(tmp_path / 'b')!r})"
    )
    env = os.environ | {"PYTHONHASHSEED": "77", "PYTHONPATH": str(ROOT / "tests" / "helpers")}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)
    for name in ("network.json", "network.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_host_reads_files_without_torch_or_amaranth():
    code = (
        "import sys; import sterna.golden.files.network_files; "
        "import sterna.golden.coding, sterna.golden.result; "
        "bad = {'torch', 'amaranth', 'scipy'} & set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- what is refused ---------------------------------------------------------------------------


def edited(folder, change):
    """network.json with a change and a check that is right again: only the reader's own rules
    stand between it and the program."""
    path = folder / "network.json"
    head = json.loads(path.read_text())
    head.pop("check")
    change(head)
    head["check"] = files.sha256(files.canonical_json(head).encode())
    path.write_text(files.canonical_json(head))


def put(*keys, value):
    def change(head):
        for key in keys[:-1]:
            head = head[key]
        head[keys[-1]] = value

    return change


def drop(*keys):
    def change(head):
        for key in keys[:-1]:
            head = head[key]
        del head[keys[-1]]

    return change


@pytest.mark.parametrize(
    "change, message",
    [
        (put("version", value=2), "is version 2, this Sterna reads version 1; update Sterna"),
        (put("format", value="onnx"), "is not a Sterna network"),
        (put("comment", value="hi"), "the network has the unknown key 'comment'"),
        (put("nodes", 0, "dilation", value=1), "node 'x' has the unknown key 'dilation'"),
        (put("nodes", 2, "rule", "gain", value=1), "node 'hidden' rule has the unknown key 'gain'"),
        (put("nodes", 1, "op", value="conv3d"), "node 'conv' has the unknown op 'conv3d'"),
        (drop("nodes", 1, "stride"), "node 'conv' has no 'stride'"),
        (put("nodes", 1, "groups", value=True), "'groups' is not int"),
        (put("nodes", 1, "stride", value=[1, "2"]), "'stride' does not list int"),
        (put("nodes", 1, "inputs", value=["nobody"]), "node 'conv': reads unknown node 'nobody'"),
        (put("nodes", 1, "inputs", value=["hidden"]), "is part of a cycle"),
        (put("nodes", 1, "inputs", value=[]), "has 0 inputs, not 1"),
        (put("nodes", 1, "weight_shape", value=[3, 1, 3]), "'conv.weight' is missing or of"),
        (put("nodes", 2, "rule", "channels", value=4), "'hidden.threshold' is missing or of"),
        (put("nodes", 2, "rule", "leak", value=[1, 2, 3]), "'leak' is not one or two exponents"),
        (put("nodes", 2, "rule", "leak", value=[99]), "decay exponent must be"),
        (put("nodes", 2, "rule", "synapse", value="exp"), "'synapse' is not list"),
        (put("nodes", 2, "rule", "spike_inputs", value=-1), "-1 spike inputs"),
        (put("nodes", 2, "rule", "spike_inputs", value=1), "'hidden.coef.0' is missing"),
        (put("nodes", 0, "name", value="conv"), "the name is used twice"),
        (put("nodes", 3, value="fc"), "node 3 is not an object"),
        (put("steps", value=3), "node 'hidden': bias has 2 steps, the network 3"),
        (put("steps", value="2"), "'steps' is not int"),
        (put("tensors", "sha256", value="0" * 64), "not the file of network.json"),
        (put("tensors", "bytes", value=10), "is larger than the 10 bytes it can have"),
    ],
)
def test_a_network_file_that_is_wrong_inside_is_refused(tmp_path, change, message):
    files.save(example(), tmp_path)
    edited(tmp_path, change)
    with pytest.raises(FileError) as error:
        files.load(tmp_path)
    assert message in one_sentence(error) and str(tmp_path) in str(error.value)


def test_weights_outside_the_set_and_foreign_tensors_are_refused_even_with_right_hashes(tmp_path):
    from safetensors import numpy as safetensors

    def rewrite(**changed):
        data = safetensors.save(files.tensors(example()) | changed)
        (tmp_path / "network.safetensors").write_bytes(data)
        tensors = {"bytes": len(data), "sha256": files.sha256(data)}
        files.save(example(), tmp_path / "new")
        edited(tmp_path / "new", put("tensors", value=tensors))
        (tmp_path / "network.json").write_bytes((tmp_path / "new" / "network.json").read_bytes())

    rewrite(**{"fc.weight": np.zeros((2, 27), np.int8)})
    with pytest.raises(FileError, match="node 'fc': weight 0 at .* outside the binary set"):
        files.load(tmp_path)
    rewrite(**{"ghost.weight": np.zeros(2, np.int8)})
    with pytest.raises(FileError, match="tensor 'ghost.weight' belongs to no node"):
        files.load(tmp_path)
    rewrite(**{"fc.weight": np.ones((2, 27), np.float32)})
    with pytest.raises(FileError, match="'fc.weight' is missing or of another"):
        files.load(tmp_path)
    junk = b"\xff" * 64
    (tmp_path / "network.safetensors").write_bytes(junk)
    edited(tmp_path, put("tensors", value={"bytes": 64, "sha256": files.sha256(junk)}))
    with pytest.raises(FileError, match="not a safetensors file"):
        files.load(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[1]",
        b"null",
        b"\xff\xfe",
        b'{"a": NaN}',
        b'{"a": 1, "a": 2}',
        b"[" * 100_000,
        b'{"format": "sterna-network", "version": 1}',
        b"9" * 5000,
        b'{"format": "sterna-network", "version": 1, "check": 3}',
    ],
)
def test_a_network_json_of_anything_else_is_refused(tmp_path, text):
    files.save(example(), tmp_path)
    (tmp_path / "network.json").write_bytes(text)
    with pytest.raises(FileError) as error:
        files.load(tmp_path)
    assert "network.json" in one_sentence(error)


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(FileError, match=r"holds no network\.json; give a build folder"):
        files.load(tmp_path)
    files.save(example(), tmp_path)
    (tmp_path / "network.safetensors").unlink()
    with pytest.raises(FileError, match=r"network\.safetensors: does not exist"):
        files.load(tmp_path)
    (tmp_path / "network.safetensors").mkdir()
    with pytest.raises(FileError, match=r"network\.safetensors: cannot be read"):
        files.load(tmp_path)


@settings(max_examples=150)
@given(st.data())
def test_fuzzed_networks_are_refused_or_equal(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "fuzzed_network"
    network = example()
    files.save(network, folder)
    path = folder / data.draw(st.sampled_from(("network.json", "network.safetensors")))
    path.write_bytes(altered(data.draw, path.read_bytes()))
    try:
        again = files.load(folder)
    except FileError as e:
        assert str(folder) in str(e)
    else:
        assert files.structure_text(again) == files.structure_text(network)
        assert files.weights_id(again) == files.weights_id(network)
