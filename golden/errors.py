"""The errors: one clear sentence each, and the exit code that the command line gives it."""

__all__ = ["SternaError", "NetworkError", "FileError", "DesignError", "ToolMissing", "UsageError"]

_MOST = 4000  # characters; a sentence that quotes a tool or lists nodes is a few hundred


class SternaError(Exception):
    """Something is refused. The message is one sentence: what, why, and what to do next.

    ``exit_code`` is what the command line returns: 1 failed, 2 usage, 3 tool missing. Whatever was
    given, the message can be printed: half a character is spelled out, a very long one is cut.
    """

    exit_code = 1

    def __init__(self, *args: object) -> None:
        super().__init__(*(_short(a) if isinstance(a, str) else a for a in args))

    def __str__(self) -> str:
        """The sentence on one line: a name from a file may hold line ends, or half characters that
        no terminal takes, and they are shown escaped."""
        text = super().__str__()
        if text.isprintable():
            return text
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _short(text: str) -> str:
    return text if len(text) <= _MOST else f"{text[: _MOST // 2]} ... {text[-_MOST // 2 :]}"


class NetworkError(SternaError):
    """A network description is wrong or cannot be computed exactly; names the node."""


class FileError(SternaError):
    """A file is truncated, altered, of another version or cannot be written."""


class DesignError(SternaError):
    """A network is valid but no hardware can be built as asked; names the node and the way out."""


class UsageError(SternaError):
    """The command or call was given something it does not understand."""

    exit_code = 2


class ToolMissing(SternaError):
    """A program outside Python is missing; names it and what installs it."""

    exit_code = 3
