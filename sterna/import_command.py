"""The command ``sterna import``; as those of sterna/commands.py."""

import argparse
import sys
from collections.abc import Callable
from typing import Any

import sterna.images as images
from sterna.arguments import count, whole
from sterna.golden.errors import UsageError
from sterna.golden.packages import packages

__all__ = ["add_parsers", "import"]  # noqa: F822  # pyright: ignore

Answer = tuple[dict[str, Any], str, int]
EXAMPLES = 4  # images that the model runs on while it is written down
ACCURACY = 1000  # test images


def add_parsers(
    command: Callable[[str, str], argparse.ArgumentParser], _staged: object = None
) -> None:
    """Add the parser of this command; ``command(name, text)`` makes one."""
    sub = command("import", "take in a network of another framework, and check it against that")
    sub.add_argument("source", metavar="FILE.py:FUNCTION", help="what makes the model")
    sub.add_argument("--state", metavar="FILE", help="its weights: .safetensors, .pt or .ckpt")
    sub.add_argument("-o", "--output", required=True, metavar="RUN", help="run folder")
    sub.add_argument(
        "--steps",
        type=whole("time steps", 1, 1024),
        metavar="T",
        help="time steps, where forward() computes one",
    )
    sub.add_argument("--data", required=True, help="images to run it on, check and calibrate with")
    images.add_size(sub)
    sub.add_argument("--input", choices=("direct", "frames"), help="default: as the data is")
    sub.add_argument("--mean", metavar="M[,M..]", help="of torchvision's Normalize (of 0 .. 1)")
    sub.add_argument("--std", metavar="S[,S..]", help="of torchvision's Normalize")
    sub.add_argument(
        "--readout", choices=("count", "membrane", "first_spike"), help="default: as it returns"
    )
    sub.add_argument(
        "--kind", choices=("ternary", "binary"), default="ternary", help="of calibrated weights"
    )
    sub.add_argument(
        "--approximate",
        action="store_true",
        help="take neurons that are only nearly those of the hardware",
    )
    sub.add_argument(
        "--images", type=count, default=256, metavar="N", help="calibration images (default 256)"
    )
    sub.add_argument(
        "--check", type=count, default=64, metavar="N", help="images to compare on (default 64)"
    )


def import_network(options: argparse.Namespace) -> Answer:
    """A model of somebody's own to a run folder, with a verdict for each of its modules."""
    with packages():
        import numpy as np

        from sterna.front.pytorch.model import from_torch
        from sterna.front.pytorch.model_file import load_state, make_model
        from sterna.front.run_folder import save_import
        from sterna.gen.quantize.reference import float_classes
        from sterna.golden.names import legal_name
        from sterna.golden.sources import moved
        from sterna.train.data import datasets
        from sterna.train.data.sets import Wanted
        from sterna.train.module.frames import pick

    data = images.data_name(options, None)
    parts = datasets.load(data, None, Wanted(steps=options.steps))
    for note in parts.notes:
        _say(f"{data}: {note}")
    first = parts.train[0]
    coding = options.input or ("frames" if first.ndim == 5 else "direct")
    mean, std = (_numbers(w, getattr(options, w)) for w in ("mean", "std"))
    model = make_model(options.source)
    if options.state:
        load_state(model, options.state)
    example = np.asarray(pick(first, slice(EXAMPLES)), np.float64)
    if coding == "direct":
        example = _normalised(example / 255, mean, std)
    found = from_torch(
        model,
        example,
        steps=options.steps,
        input=coding,
        mean=mean,
        std=std,
        readout=options.readout,
        approximate=options.approximate,
    )
    _say(found.report.table())
    held = (pick(parts.validation[0], slice(options.check)), parts.validation[1])
    check = found.check(held, images=options.check)
    _say(f"\n{check.table()}")
    real = any(getattr(n, "kind", "") == "real" for n in found.network.nodes)
    if real:
        found = found.calibrate(pick(first, slice(options.images)), kind=options.kind)
    name = legal_name(options.source.rpartition(":")[0].rpartition("/")[2].removesuffix(".py"))
    kept = moved(data, ".", options.output)
    classes = parts.classes or datasets.class_names(data)
    out = save_import(options.output, found, name, kept, check, classes)
    tested = pick(parts.test[0], slice(ACCURACY))
    right = float((float_classes(found.network, tested) == parts.test[1][:ACCURACY]).mean())
    number = tested.shape[1 if tested.ndim == 5 else 0]
    answer = {
        "run": str(out),
        "name": name,
        "accuracy": right,
        "images": number,
        "calibrated": real,
        **found.report.as_dict(),
        "check": check.as_dict(),
    }
    state = f"calibrated to {options.kind}, without training" if real else "weights as they came"
    text = [f"{out}: {state}, accuracy {right:.2%} on {number} test images"]
    if real:
        text.append(f"next: sterna train --from {out} -o {out}_tuned, then sterna quantize")
    else:
        text.append(f"next: sterna quantize {out} -o build/{name}")
    return answer, "\n".join(text), 0 if check.exact else 1


vars()["import"] = import_network  # the command's name is a word of Python


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


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
