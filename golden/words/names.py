"""Names: what a network and its nodes may be called, and what they are called elsewhere.

The one place that turns a name into an identifier of another language or into a file. Names are
``[a-z][a-z0-9_]*`` of at most `MAX_NAME` characters: no two differ in capitals only, none needs a
quote anywhere, and with what is put around them they fit every file system. Standard library only.
"""

import difflib
import hashlib
import re
from collections.abc import Iterable

from sterna.golden.errors import NetworkError
from sterna.golden.words.reserved import RESERVED

__all__ = [
    "BESIDE",
    "MAX_NAME",
    "NAME",
    "Scope",
    "check_name",
    "legal_name",
    "meant",
    "module_name",
    "nearest",
    "not_one_of",
    "params_name",
    "show",
    "weights_name",
]

MAX_NAME = 64
ALIKE = 0.7  # of 0 to 1, from where on a word may have been meant
_FEW = 4  # words, of more nobody can say which was meant
_BEGINS = 3  # letters of a beginning that say which word it is of
NAME = re.compile(rf"[a-z][a-z0-9_]{{0,{MAX_NAME - 1}}}\Z")
_OWN = "sterna_"
"""What our own modules begin with, and therefore names that cannot be kept."""
_PORTS = re.compile(r"(s_axis|m_axis|s_axil|tap|limit)_")
BESIDE = (
    *("axi", "axi_tb", "csr", "tb", "system", "system_wrapper", "wrapper"),  # modules and headers
    *("counters", "dma"),  # types of the C driver, and its functions
    *(
        "check",
        "clear",
        "count",
        "infer",
        "load",
        "mapped",
        "open",
        "pack",
        "release",
        "reset",
        "transfer",
    ),
)
"""What stands beside a network ends with one of these: `digits_axi` is the wrapper of `digits`. A
test collects what an export makes and finds each of its endings here."""
_MADE = re.compile(rf"_({'|'.join(BESIDE)})_*\Z")
_OPEN = re.compile(r"_stall(?=_|\Z)")
"""Behind which the name of a node stands in a macro, and so anything: X_STALL_NODE of `x`."""
_DIGEST = 8


def show(value: object, most: int = 60) -> str:
    """A value for a sentence: its repr, cut. Never an error, whatever was given."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 128:
        return f"a number of {value.bit_length()} bits"  # Python refuses to write long ones
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a foreign object's own fault, or a long number inside a list
        text = f"a {type(value).__name__}"
    return text if len(text) <= most else text[: most - 3] + "..."


def nearest(value: object, words: Iterable[str]) -> list[str]:
    """The words that ``value`` is most like: one with the same letters, one nearly so, else all
    that begin as it does, a few; none where it is like none, or is one."""
    known = {str(w).lower(): str(w) for w in words}
    if not isinstance(value, str) or value in known.values():
        return []
    said = value.lower()[:MAX_NAME]
    near = [w for w in known if sorted(w) == sorted(said)][:1]
    near = near or difflib.get_close_matches(said, known, 1, ALIKE)
    if not near and len(said) >= _BEGINS:
        # 'ulx3' of ulx3s-85f, 'vall' of validation: at most one letter behind the beginning
        near = [w for w in known if w.startswith(said)]
        near = near or [w for w in known if len(said) > _BEGINS and w.startswith(said[:-1])]
    return [known[w] for w in near] if len(near) <= _FEW else []


def meant(value: object, words: Iterable[str]) -> str:
    """What a refusal adds of the words that ``value`` is most like; '' where it is like none."""
    near = nearest(value, words)
    if not near:
        return ""
    *others, last = (f"'{w}'" for w in near)
    return f" (did you mean {', '.join(others)}{' or ' if others else ''}{last}?)"


def not_one_of(value: object, words: Iterable[str]) -> str:
    """What a refusal says of a value that is none of the words: both, and the word most like it."""
    words = tuple(words)
    return f"{show(value)} is not one of {', '.join(words)}{meant(value, words)}"


def check_name(name: object, refusal: str) -> str:
    """``name`` if it is one; else NetworkError: REFUSAL, the rule, and a name that would do."""
    if isinstance(name, str) and NAME.match(name):
        return str(name)
    way = f"; call it '{legal_name(name)}'" if isinstance(name, str) else ""
    raise NetworkError(f"{refusal} must match [a-z][a-z0-9_]*, at most {MAX_NAME} characters{way}")


def legal_name(text: str, default: str = "network") -> str:
    """A legal name for any text, itself where it is one: a module's path ('0.conv' is n0_conv), a
    folder ('MyBuild-1' is mybuild_1). Of long texts the end is a digest of the whole."""
    if NAME.match(text):
        return text
    plain = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or default
    plain = plain if plain[0].isalpha() else f"n{plain}"
    if len(plain) > MAX_NAME:
        plain = f"{plain[: MAX_NAME - _DIGEST - 1]}_{_digest(text)}"
    return plain


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]


def module_name(name: str) -> str:
    """What a network is called where its name stands alone: Verilog module, files, C macros.

    The name itself, but with ``sterna_`` in front where it means something else there: a reserved
    word of a language or of an operating system, a port of the top, one of our own modules. A name
    that ends as what stands beside another network does (`BESIDE`) gets a ``_`` behind it, too, and
    one with ``_stall`` in it loses that for a digest of the whole. No two networks have the same:
    what is kept never begins with ``sterna_``, what is changed always does.
    """
    if _OPEN.search(name):
        return f"{_OWN}{_OPEN.sub('', name)}_{_digest(name)}_"
    if _MADE.search(name):
        return f"{_OWN}{name}_"
    if name in RESERVED or _PORTS.match(name) or f"{name}_".startswith(_OWN):
        return _OWN + name
    return name


class Scope:
    """Names of one namespace, each given once: what is wanted, or it with a number that is free.

    Who asks first gets what is wanted; the same questions in the same order get the same answers.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.taken = set(taken)

    def name(self, wanted: str) -> str:
        """``wanted``, or ``wanted__2``, ``wanted__3`` ... where that is taken."""
        found, count = wanted, 1
        while found in self.taken:
            count += 1
            found = f"{wanted}__{count}"
        self.taken.add(found)
        return found


def weights_name(node: str) -> str:
    """The name of a weighted node's memory, in every file."""
    return f"{node}_weights"


def params_name(core: str) -> str:
    """The name of the parameter memory of a neuron, after its main core."""
    return f"{core}_params"
