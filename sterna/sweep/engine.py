"""Tasks on workers of dask: a window of them at a time, each result handed on as it comes."""

import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sterna.golden.errors import SternaError, ToolMissing
from sterna.sweep.jobs import Packs
from sterna.sweep.store import FAILED
from sterna.sweep.task import Task
from sterna.sweep.work import Mismatch, run, same

__all__ = ["compute"]

_WINDOW = 4
"""Tasks that are sent, for each thread of the workers: the next one waits there already."""
_LOOK = 2.0
"""Seconds between looks at which workers there are."""

Took = Callable[[Task, dict[str, Any]], object]


class _Sent:
    """What the scheduler was given: packs and what is made before tasks once, as long as some task
    still wants it."""

    def __init__(self, client: Any, tasks: Iterable[Task], packs: Packs, suffix: str) -> None:
        self.client, self.packs, self.suffix = client, packs, suffix
        self.wanted = Counter(key for task in tasks for key in _shared(task))
        self.shared: dict[str, Any] = {}
        self.running: dict[str, tuple[Any, Task]] = {}
        self._threads, self._asked = 1, -math.inf

    def threads(self) -> int:
        """Of all workers that there are, at least 1; asked for now and then, as some come later."""
        if (now := time.monotonic()) > self._asked + _LOOK:
            workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
            self._threads = max(1, sum(w["nthreads"] for w in workers))
            self._asked = now
        return self._threads

    def send(self, task: Task) -> Any:
        before = None if task.before is None else self._before(task.before)
        future = self._submit(task, before)
        self.running[future.key] = future, task
        return future

    def ended(self, future: Any) -> Task:
        _, task = self.running.pop(future.key)
        for key in _shared(task):
            self.wanted[key] -= 1
            if not self.wanted[key]:
                self.shared.pop(key, None)
        return task

    def _before(self, task: Task) -> Any:
        if task.id not in self.shared:
            self.shared[task.id] = self._submit(task, None)
        return self.shared[task.id]

    def _submit(self, task: Task, before: Any) -> Any:
        inputs = {name: self._pack(key) for name, key in task.inputs.items()}
        said = task.kind, task.arguments, inputs, before, task.as_dict()["code"]
        key = f"sterna-{task.kind}-{task.id}{self.suffix}"
        return self.client.submit(run, *said, key=key)

    def _pack(self, key: str) -> Any:
        if key not in self.shared:
            # Not `scatter`, of which a worker that dies takes the only copy along.
            name = f"sterna-pack-{key}{self.suffix}"
            self.shared[key] = self.client.submit(same, self.packs[key], key=name)
        return self.shared[key]


def _shared(task: Task) -> list[str]:
    return [*task.packs, *([task.before.id] if task.before else ())]


def compute(client: Any, tasks: list[Task], packs: Packs, took: Took) -> None:
    """Compute ``tasks`` in their order, as far as there are workers; ``took`` gets each result.

    A task whose worker dies is done again by another one. Where that happens again and again it may
    be a neighbour's fault: it is then done alone, after all others, and fails where it kills its
    worker there, too. ToolMissing, SternaError: a worker cannot do them, or the scheduler has gone.
    However it ends, what still runs is called off.
    """
    suspects = _passed(client, tasks, packs, took)
    for task in suspects:
        if _passed(client, [task], packs, took, "-alone"):
            error = "its worker died each time that it was tried (out of memory?)"
            took(task, {"state": FAILED, "error": error, "made": {}})


def _passed(
    client: Any, tasks: list[Task], packs: Packs, took: Took, suffix: str = ""
) -> list[Task]:
    """Compute tasks; returns those whose workers died."""
    from distributed import as_completed

    sent, left, suspects = _Sent(client, tasks, packs, suffix), iter(tasks), []
    ended = as_completed(loop=client.loop)
    try:
        _refill(sent, left, ended)
        for future in ended:
            task, result = sent.ended(future), _result(client, future)
            if result is None:
                suspects.append(task)
            else:
                took(task, result)
            _refill(sent, left, ended)
    finally:
        with contextlib.suppress(Exception):  # it may be the scheduler that has gone
            client.cancel([*(f for f, _ in sent.running.values()), *sent.shared.values()])
    return suspects


def _refill(sent: _Sent, left: Iterator[Task], ended: Any) -> None:
    room = _WINDOW * sent.threads() - len(sent.running)
    for _, task in zip(range(room), left):  # in this order none is lost
        ended.add(sent.send(task))


def _result(client: Any, future: Any) -> dict[str, Any] | None:
    """Of a task that has ended, computed again where its worker has died since; None where workers
    died of it, as it seems."""
    from concurrent.futures import CancelledError

    from distributed.scheduler import KilledWorker

    try:
        return future.result()
    except KilledWorker:
        return None
    except CancelledError:
        raise SternaError(
            f"the scheduler at {client.scheduler.address} has gone; run the same command again to "
            "go on"
        ) from None
    except ImportError as error:
        if isinstance(error, ToolMissing):
            raise
        text = f"a worker has no Sterna of this version ({error}); install it there"
        raise Mismatch(text) from None
