"""Components that a design has many times alike, which a generator may elaborate once.

A network of twenty layers has a handful of different dot products and line buffers. Elaborating
each again is most of the time that its Verilog takes.
"""

import functools
from collections.abc import Hashable
from typing import Any, Protocol, TypeVar, runtime_checkable

from amaranth.lib import wiring

__all__ = ["Apart", "made_of", "once"]

C = TypeVar("C", bound="type[wiring.Component[Any]]")


@runtime_checkable
class Apart(Protocol):
    """A platform that puts components of `once` into designs of their own."""

    def apart(self, component: "wiring.Component[Any]") -> Any:
        """What stands for it, an elaboratable; None: it is elaborated where it is."""


def once(component: C) -> C:
    """A class whose objects are the same hardware where their arguments are equal, and of which
    nothing but the ports of the signature is used from outside."""
    init, elaborate = component.__init__, component.elaborate  # type: ignore[attr-defined]

    @functools.wraps(init)
    def remember(self: Any, *args: Any, **kwargs: Any) -> None:
        if not hasattr(self, "_made_of"):  # by the class that was called, not by one below
            self._made_of = (type(self), _frozen(args), _frozen(sorted(kwargs.items())))
        init(self, *args, **kwargs)

    @functools.wraps(elaborate)
    def elaborated(self: Any, platform: object) -> Any:
        instead = platform.apart(self) if isinstance(platform, Apart) else None
        return elaborate(self, platform) if instead is None else instead

    component.__init__ = remember  # type: ignore[method-assign]
    component.elaborate = elaborated  # type: ignore[attr-defined]
    return component


def made_of(component: "wiring.Component[Any]") -> Hashable:
    """Class and arguments; components with equal ones are the same hardware."""
    return component._made_of  # type: ignore[attr-defined]  # pyright: ignore


def _frozen(value: Any) -> Any:
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return tuple(map(_frozen, value))
    return value
