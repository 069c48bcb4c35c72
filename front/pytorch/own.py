"""Sterna's own neurons of ``sterna.nn``: the scan that training has, in the same words."""

from typing import Any

from sterna.front.cell import Cell, handles

__all__: list[str] = []

FIRING = {
    "threshold": "exact",
    "reset": "exact",
    "v_init": "exact",
    "strict": "exact",
    "steps": "exact: T of an input that is one for all steps",
}
LEAKING = {
    "leak": "exact: the nearest num/4096 where it is built",
    "synapse": "exact",
    "reset_by": "exact",
}


def _synapse(module: Any) -> Any:
    return "ramp" if module.synapse == 1 else module.synapse


@handles("sterna.IF", arguments=FIRING)
@handles("sterna.LIF", arguments=FIRING | LEAKING)
def _firing(module: Any, path: str) -> Cell:
    return Cell(
        module.leak,
        synapse=_synapse(module),
        threshold=module.threshold,
        strict=module.strict,
        reset=module.reset,
        reset_by=module.reset_by if module.reset == "subtract" else None,
        v_init=module.v_init,
    )


@handles(
    "sterna.Membrane",
    arguments={n: (FIRING | LEAKING)[n] for n in ("leak", "synapse", "v_init", "steps")},
)
def _membrane(module: Any, path: str) -> Cell:
    return Cell(
        module.leak,
        synapse=_synapse(module),
        reset="none",
        v_init=module.v_init,
        membrane=True,
    )
