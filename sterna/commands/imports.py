"""The command ``sterna import``; as those of networks.py."""

import argparse
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sterna.images as images
from sterna.commands.arguments import count, out_folder, time_step, whole
from sterna.golden.errors import UsageError
from sterna.golden.files.instead import instead
from sterna.golden.words.packages import packages
from sterna.golden.words.shares import accuracy_text
from sterna.golden.words.telling import tell

if TYPE_CHECKING:
    from sterna.front.check import Check
    from sterna.front.imported import Imported
    from sterna.train.data.sets import DataSet

__all__ = ["add_parsers", "import"]  # noqa: F822  # pyright: ignore

Answer = tuple[dict[str, Any], str, int]
EXAMPLES = 4  # images that the model runs on while it is written down
ACCURACY = 1000  # test images
NIR, QONNX = ".nir", ".onnx"
OF_MODELS = ("state", "readout")
OF_NIR = ("dt", "reset")


def add_parsers(
    command: Callable[[str, str], argparse.ArgumentParser], _staged: object = None
) -> None:
    """Add the parser of this command; ``command(name, text)`` makes one."""
    sub = command("import", "take in a network of another framework, and check it against that")
    sub.add_argument(
        "source",
        metavar="FILE.py:FUNCTION|FILE.nir|FILE.onnx",
        help="what makes the model, or a graph",
    )
    sub.add_argument(
        "-o", "--output", type=out_folder, required=True, metavar="RUN", help="run folder"
    )
    sub.add_argument(
        "--steps",
        type=whole("time steps", 1, 1024),
        metavar="T",
        help="time steps: where forward() computes one, and of a .nir file",
    )
    sub.add_argument(
        "--data",
        help="images to run it on, check and calibrate with (a .nir file with ternary weights needs"
        " none)",
    )
    images.add_size(sub)
    sub.add_argument("--input", choices=("direct", "frames"), help="default: as the data is")
    sub.add_argument(
        "--bits",
        type=whole("bits", 1, 8),
        metavar="B",
        help="bits of a value of the input (default: of frames as the data needs, of pixels 8); "
        "events are counted up to 2**B - 1",
    )
    sub.add_argument(
        "--scale",
        metavar="S",
        help="a value p of the input is p*S to the model (default: of frames 1, of pixels 1/255)",
    )
    sub.add_argument("--mean", metavar="M[,M..]", help="of torchvision's Normalize (of 0 .. 1)")
    sub.add_argument("--std", metavar="S[,S..]", help="of torchvision's Normalize")
    sub.add_argument(
        "--kind", choices=("ternary", "binary"), default="ternary", help="of calibrated weights"
    )
    sub.add_argument(
        "--images", type=count, default=256, metavar="N", help="calibration images (default 256)"
    )
    sub.add_argument(
        "--check", type=count, default=64, metavar="N", help="images to compare on (default 64)"
    )
    group = sub.add_argument_group("a model of PyTorch (FILE.py:FUNCTION)")
    group.add_argument("--state", metavar="FILE", help="its weights: .safetensors, .pt or .ckpt")
    group.add_argument(
        "--readout", choices=("count", "membrane", "first_spike"), help="default: as it returns"
    )
    sub.add_argument(
        "--approximate",
        action="store_true",
        help="take neurons and quantizers that are only nearly those of the hardware",
    )
    group = sub.add_argument_group("a NIR graph (FILE.nir)")
    group.add_argument(
        "--dt", type=time_step, help="length of a step, in the unit of its time constants"
    )
    group.add_argument(
        "--reset",
        choices=("zero", "subtract"),
        help="of its neurons (default: to v_reset, as nir says; exporters lose others)",
    )


def import_network(options: argparse.Namespace) -> Answer:
    """A network of somebody's own to a run folder, with a verdict for each of its parts."""
    place, mark, _ = options.source.rpartition(".py:")
    place = f"{place}.py" if mark else options.source
    if (refusal := instead(place, "model")) is not None:
        raise UsageError(refusal)
    suffix = Path(options.source).suffix
    if suffix == NIR:
        _refuse_options(options, ("approximate",), f"does not go with a {NIR} file")
        return _graph(options)
    _refuse_options(options, OF_NIR, f"goes with a {NIR} file")
    if suffix == QONNX:
        return _qonnx(options)
    if options.data is None:
        raise UsageError("give --data, the images to run the model on and check it with")
    return _model(options)


vars()["import"] = import_network  # the command's name is a word of Python


def _model(options: argparse.Namespace) -> Answer:
    with packages():
        import numpy as np

        from sterna.front.pytorch.model import from_torch
        from sterna.front.pytorch.model_file import load_state, make_model
        from sterna.train.module.frames import pick

    parts = _data(options)
    assert parts is not None
    first = parts.train[0]
    entry = _entry(options, parts)
    model = make_model(options.source)
    if options.state:
        for other in load_state(model, options.state):
            tell(f"{options.state}: {other} is not of the model, left out")
    else:
        tell("no --state: the weights are those that the function gives")
    example = np.asarray(pick(first, slice(EXAMPLES)), np.float64)
    example = _normalised(example * entry["scale"], entry["mean"], entry["std"])
    found = from_torch(
        model,
        example,
        steps=options.steps,
        **entry,
        readout=options.readout,
        approximate=options.approximate,
    )
    tell(found.report.table())
    check = found.check(parts.validation, images=options.check)
    tell(f"\n{check.table()}")
    return _kept(options, found, parts, check)


def _data(options: argparse.Namespace) -> "DataSet | None":
    """The images that are asked for, None where none are."""
    from sterna.train.data import datasets
    from sterna.train.data.sets import Wanted

    if not options.data:
        return None
    data = images.data_name(options, None)
    parts = datasets.load(data, None, Wanted(steps=options.steps, bits=options.bits))
    for note in parts.notes:
        tell(f"{data}: {note}")
    return parts


def _graph(options: argparse.Namespace) -> Answer:
    _refuse_options(options, OF_MODELS, "goes with a model of PyTorch, FILE.py:FUNCTION")
    for word, why in (
        ("dt", "the length of a step in the unit of its time constants"),
        ("steps", "the number of time steps"),
    ):
        if getattr(options, word) is None:
            raise UsageError(f"a {NIR} file does not say {why}; give --{word}")
    with packages():
        from sterna.front.nir import from_nir
        from sterna.train.module.frames import check_fits

    parts = _data(options)
    entry = _entry(options, parts, "frames")
    for word in ("input", "bits", "scale"):  # what nobody says may stand in the file
        if getattr(options, word) is None and (parts is None or word == "scale"):
            entry[word] = None
    found = from_nir(
        options.source,
        dt=options.dt,
        steps=options.steps,
        reset=options.reset,
        **entry,
    )
    tell(found.report.table())
    if parts is not None:
        way = f"choose another than {options.data} with --data"
        check_fits(options.source, found.network.input, options.steps, parts.train[0], way)
    return _kept(options, found, parts, None)


def _qonnx(options: argparse.Namespace) -> Answer:
    _refuse_options(options, OF_MODELS, "goes with a model of PyTorch, FILE.py:FUNCTION")
    if options.steps not in (None, 1):
        raise UsageError(f"a {QONNX} file is a network of one step; leave --steps out")
    options.steps = 1
    with packages():
        from sterna.front.qonnx.model import from_qonnx
        from sterna.train.module.frames import check_fits

    parts = _data(options)
    entry = _entry(options, parts)
    found = from_qonnx(options.source, **entry, approximate=options.approximate)
    tell(found.report.table())
    check = None
    if parts is not None:
        way = f"choose another than {options.data} with --data"
        check_fits(options.source, found.network.input, 1, parts.train[0], way)
        check = found.check(parts.validation, images=options.check)
        tell(f"\n{check.table()}")
    return _kept(options, found, parts, check)


def _entry(
    options: argparse.Namespace, parts: "DataSet | None", coding: str = "direct"
) -> dict[str, Any]:
    """How images enter, as the front ends ask it; ``coding`` where there are none."""
    from sterna.golden.nodes.streams import default_bits, default_scale

    if parts is not None:
        coding = "frames" if parts.train[0].ndim == 5 else "direct"
    coding = options.input or coding
    bits = options.bits or default_bits(coding)
    if options.bits is None and coding == "frames" and parts is not None:
        largest = max(int(parts.part(p)[0].max(initial=0)) for p in images.PARTS)
        bits = max(1, largest.bit_length())
    return {
        "input": coding,
        "bits": bits,
        "scale": default_scale(coding) if options.scale is None else _ratio(options.scale),
        "mean": _numbers("mean", options.mean),
        "std": _numbers("std", options.std),
    }


def _ratio(text: str) -> float:
    """A number, or two as 1/256."""
    try:
        first, _, second = text.partition("/")
        value = float(first) / float(second or 1)
        if not 0 < value < float("inf"):
            raise ValueError
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"--scale {text!r} is not a number above 0; write it as 1/255") from None
    return value


def _kept(
    options: argparse.Namespace,
    found: "Imported",
    parts: "DataSet | None",
    check: "Check | None",
) -> Answer:
    """Calibrate where weights are real, write the folder, and say what it is worth."""
    from sterna.front.run_folder import save_import
    from sterna.gen.quantize.reference import float_classes
    from sterna.golden.files.sources import moved
    from sterna.golden.words.names import legal_name
    from sterna.train.data import datasets
    from sterna.train.module.frames import pick

    real = any(getattr(n, "kind", "") == "real" for n in found.network.nodes)
    if real and parts is not None:
        found = found.calibrate(
            pick(parts.train[0], slice(options.images)), kind=options.kind, images=options.images
        )
    elif real:
        raise UsageError(
            f"{options.source}: has real weights; give --data, images (without labels) that make "
            f"them {options.kind}"
        )
    # As `quantize` and `train` name: one file may make many models.
    name = legal_name(Path(options.output).resolve().name)
    data = images.data_name(options, None)
    kept = moved(data, ".", options.output) if data else ""
    classes = parts.classes or datasets.class_names(data) if parts is not None else ()
    out = save_import(options.output, found, name, kept, check, classes)
    answer: dict[str, Any] = {"run": str(out), "name": name, "wrote": [str(out)]}
    accuracy = ""
    if parts is not None:
        tested = pick(parts.test[0], slice(ACCURACY))
        right = float((float_classes(found.network, tested) == parts.test[1][:ACCURACY]).mean())
        number = tested.shape[1 if tested.ndim == 5 else 0]
        answer |= {"accuracy": right, "images": number}
        accuracy = f", accuracy {accuracy_text(right, number)} on {number} test images"
    answer |= {
        "calibrated": real,
        **found.report.as_dict(),
        "check": None if check is None else check.as_dict(),
    }
    state = f"calibrated to {options.kind}, without training" if real else "weights as they came"
    text = [f"{out}: {state}{accuracy}"]
    if check is not None and check.failed:
        names = ", ".join(s.name for s in check.failed)
        text.append(
            f"FAILED: {names} differ from the model (above). The folder is kept to look at; train "
            "and quantize refuse it without --force"
        )
        return answer, "\n".join(text), 1
    if check is None:
        why = "a graph has no forward pass of its own to compare with"
        why = "no --data to compare on" if options.source.endswith(QONNX) else why
        text.append(f"{why}: nothing was checked")
    text.append(_next(out, name, real, parts is not None))
    return answer, "\n".join(text), 0


def _next(out: Path, name: str, real: bool, with_data: bool) -> str:
    """What to do with an imported network next."""
    where = shlex.quote(str(out))
    if real:
        tuned = shlex.quote(f"{out}_tuned")
        return f"next: sterna train --from {where} -o {tuned}, then sterna quantize"
    data = "" if with_data else " --data DATA"
    return f"next: sterna quantize {where} -o build/{name}{data}"


def _refuse_options(options: argparse.Namespace, words: tuple[str, ...], why: str) -> None:
    for word in words:
        if getattr(options, word) not in (None, False):
            raise UsageError(f"--{word} {why}; leave it out for {options.source}")


def _numbers(word: str, text: str | None) -> Any:
    if text is None:
        return None
    import numpy as np

    try:
        values = [float(v) for v in text.split(",")]
    except ValueError:
        raise UsageError(f"--{word} {text!r} is not numbers; write them as 0.4914,0.4822") from None
    return values[0] if len(values) == 1 else np.array(values)


def _normalised(x: Any, mean: Any, std: Any) -> Any:
    import numpy as np

    cols = lambda v: np.reshape(v, (-1, 1, 1))  # noqa: E731
    x = x if mean is None else x - cols(mean)
    return x if std is None else x / cols(std)
