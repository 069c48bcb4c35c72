"""One function for each command: fetch the inputs, call the function that does the work.

Each returns (object for --json, text for people, exit code).
"""

import argparse
from typing import Any

__all__ = ["doctor"]

Answer = tuple[dict[str, Any], str, int]


def doctor(options: argparse.Namespace) -> Answer:
    """Look at the machine; 3 where something needed is missing."""
    from sterna.gen import doctor as doctors

    checks = doctors.first_stage() if options.first else doctors.examine()
    answer = doctors.report(checks)
    return answer, doctors.table(checks), 0 if answer["ok"] else 3
