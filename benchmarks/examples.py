"""The accuracy of every shipped network on the test images at hand, as `sterna examples` lists it.

    python benchmarks/examples.py [NAME ...]

Writes ``examples/NAME/accuracy.json``: images, how many are right, the data set, and the digest of
the network that it is of. Networks whose file is of this very network are left out, unless named.
"""

import argparse
import json
import sys

import sterna
from sterna.golden.files.disk import write_atomic
from sterna.golden.files.sources import data_of_folder
from sterna.shipped import ACCURACY, example_folder, measured
from sterna.train.data import datasets
from sterna.train.data.sets import Wanted


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: those without a file")
    given = parser.parse_args().names
    for name in given or [n for n in sterna.examples() if measured(example_folder(n)) is None]:
        folder = example_folder(name)
        network, data = sterna.load(folder), data_of_folder(folder)
        try:
            parts = datasets.load(data, None, Wanted.by(network))
        except sterna.SternaError as error:
            print(f"{name}: {error}", file=sys.stderr)
            continue
        found = sterna.evaluate(network, parts.test)
        body = {
            "data": data,
            "images": found.images,
            "right": found.right,
            "network": network.digest,
        }
        write_atomic(folder / ACCURACY, (json.dumps(body, indent=1) + "\n").encode())
        print(f"{name}: {found}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
