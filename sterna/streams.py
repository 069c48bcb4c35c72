"""stdout and stderr of the program ``sterna``: whatever they are, the answer comes out or its loss
is said, and what is said on the way never stops a command.
"""

import contextlib
import errno
import io
import os
import sys
from typing import Any

__all__ = ["Lost", "out", "say", "secure"]


class Lost(Exception):
    """stdout takes no more. ``sentence``: why; empty where its reader has gone, as after | head."""

    def __init__(self, sentence: str):
        super().__init__(sentence)
        self.sentence = sentence


class _Forgiving:
    """stderr, whose failures stop nobody: a full disk or a closed pipe only loses what is said."""

    def __init__(self, stream: Any):
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def secure() -> None:
    """Once, before anything is opened. Descriptors 0 to 2 that are closed become the null device,
    so that no file of ours gets their number; letters that a stream cannot write are escaped."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.stderr = _Forgiving(sys.stderr)


def out(text: str) -> None:
    """A line on stdout, at once. Lost where stdout does not take it; then nothing of it is left to
    be tried again when the program ends."""
    stream = sys.stdout
    if stream is None:
        raise Lost("stdout is closed, so that the answer is lost; give the command an open one")
    try:
        print(_writable(text, stream), file=stream, flush=True)
    except (OSError, ValueError) as error:
        _drop(stream)
        if isinstance(error, BrokenPipeError):
            raise Lost("") from None
        cause = getattr(error, "strerror", None) or str(error)
        full = getattr(error, "errno", None) == errno.ENOSPC
        raise Lost(
            f"stdout takes no more ({cause}), so that the answer is lost; "
            + ("free some space" if full else "give the command an open one")
        ) from None


def say(text: str) -> None:
    """A line on stderr."""
    with contextlib.suppress(OSError, ValueError):
        print(_writable(text, sys.stderr), file=sys.stderr, flush=True)


def _writable(text: str, stream: Any) -> str:
    """The text with what the stream's encoding lacks, and half characters, escaped."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding, "replace")


def _drop(stream: Any) -> None:
    """Let what a stream still holds go nowhere: Python would try it again at its end."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
        stream.flush()
