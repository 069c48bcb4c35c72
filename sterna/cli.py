"""The command ``sterna``: reads arguments, calls one function, prints its result.

As long as no command is chosen nothing of weight is imported, so that ``sterna --help`` is quick.
What comes before ``main`` is the shorter, the sooner Ctrl-C is ours.
"""

import sys

__all__ = ["main", "parser"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


def parser() -> "argparse.ArgumentParser":
    """The argument parser of every command."""
    from sterna.commands.parsers import parser as make

    return make()


def main(argv: "Sequence[str] | None" = None) -> int:
    """Run one command. Without ``argv`` this is the program: it also takes signals over.

    Returns:
        0; 1 failed; 2 wrong usage; 3 a tool or package is missing; 128 + its number where a signal
        ended it (130 for Ctrl-C).
    """
    if argv is None:
        try:
            import sterna.interrupts as interrupts

            interrupts.install()
        except KeyboardInterrupt:  # before they are taken over
            sys.stderr.write("sterna: interrupted; run the same command again to go on\n")
            return 130
        import gc

        import sterna.streams as streams

        streams.secure()
        # Designs are many small objects that live long. Looking for garbage among them after every
        # 700 new ones took a sixth of the time of Verilog (digits, median of three: 4.9 to 4.1 s).
        gc.set_threshold(50_000, 20, 20)
    from sterna.running import run

    return run(sys.argv[1:] if argv is None else list(argv))


if __name__ == "__main__":
    sys.exit(main())
