"""Where workers are: on this machine, at a scheduler's address, or in jobs of SLURM. All of it is
dask's; nothing else here knows of it but `engine`."""

import contextlib
import logging
import os
import tempfile
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

from sterna.gen.tools.progress import waiting
from sterna.golden.errors import SternaError, ToolMissing, UsageError
from sterna.golden.files.disk import parse_toml, read_bytes
from sterna.golden.words.names import meant, show
from sterna.golden.words.packages import packages
from sterna.golden.words.telling import tell
from sterna.sweep.task import task_code
from sterna.sweep.work import NEEDS, facts

__all__ = ["Place", "check_place", "check_workers", "connected", "job_script", "slurm_settings"]

PATIENCE = 5.0
"""Seconds that a scheduler has to answer in."""
FIRST = 600.0
"""Seconds that the first worker may take at a scheduler; a queue of SLURM may be longer."""
LOCAL = "127.0.0.1"
_SLURM = {
    "cores": int,
    "processes": int,
    "memory": str,
    "walltime": str,
    "queue": str,
    "account": str,
    "interface": str,
    "python": str,
    "local_directory": str,
    "shared_temp_directory": str,
    "job_script_prologue": list,
    "job_extra_directives": list,
    "worker_extra_args": list,
}
"""Arguments of dask_jobqueue.SLURMCluster that a site's file may give."""


@dataclass(frozen=True)
class Place:
    """workers: how many to start here or as jobs, None for as many as there are cores. scheduler:
    address of one that runs. slurm: a site's file. tls: files of ca, cert and key. threads: workers
    are threads of this process, for tests."""

    workers: int | None = None
    scheduler: str | None = None
    slurm: str | None = None
    tls: tuple[str, str, str] | None = None
    threads: bool = False


def check_place(place: Place) -> None:
    """UsageError, FileError, PackageMissing: what can be refused before anything is started."""
    with packages():
        import distributed

        del distributed
    if place.scheduler is not None:
        if place.slurm is not None or place.workers is not None:
            raise UsageError("--scheduler has its own workers; leave --workers and --slurm out")
        kind, _, rest = place.scheduler.partition("://")
        if kind not in ("tcp", "tls") or ":" not in rest:
            raise UsageError(
                f"--scheduler {show(place.scheduler)}: write tcp://HOST:PORT or tls://"
            )
        if (kind == "tls") != (place.tls is not None):
            raise UsageError(
                "--scheduler tls:// and --tls-ca, --tls-cert, --tls-key belong together; give all "
                "of them, or none"
            )
    for file in place.tls or ():
        read_bytes(file, 1 << 20, "give a file in PEM form")
    if place.slurm is not None:
        slurm_settings(place.slurm)
        with packages():
            import dask_jobqueue

            del dask_jobqueue


def cores() -> int:
    """Cores that this process may use."""
    mine = getattr(os, "sched_getaffinity", None)
    return len(mine(0)) if mine else os.cpu_count() or 1


@contextlib.contextmanager
def connected(place: Place) -> "Generator[Any]":
    """A client of dask, with workers; those that were started here end with the block."""
    from dask import config
    from distributed import Client

    # Only the sentences of this program are told; a pack that is large is meant to be.
    quiet = {
        "distributed.admin.large-graph-warning-threshold": "4 GiB",
        "distributed.scheduler.allowed-failures": 1,  # of one started here; see `engine.compute`
    }
    for name in ("distributed", "tornado", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with config.set(quiet), contextlib.ExitStack() as held:
        target: Any = place.scheduler
        if target is None:
            target = _slurm(place, held) if place.slurm else _local(place, held)
        try:
            client = Client(
                target, timeout=PATIENCE, security=_security(place), set_as_default=False
            )
        except (OSError, ValueError) as error:
            if place.scheduler is None:
                raise
            raise _unreachable(place, error) from None
        held.callback(client.close, timeout=PATIENCE)
        yield client


def _unreachable(place: Place, error: Exception) -> SternaError:
    cause = " ".join(str(error).split())[:200]
    return SternaError(
        f"no scheduler answers at {place.scheduler} ({cause}); start one there with: dask scheduler"
    )


def _security(place: Place) -> Any:
    """TLS, which asks every peer for a certificate of the same authority; None without."""
    from distributed.security import Security

    if place.tls is None:
        return None
    ca, cert, key = place.tls
    every = {
        f"tls_{role}_{what}": file
        for role in ("client", "scheduler", "worker")
        for what, file in (("cert", cert), ("key", key))
    }
    return Security(tls_ca_file=ca, require_encryption=True, **every)


def _local(place: Place, held: contextlib.ExitStack) -> Any:
    from distributed import LocalCluster

    work = held.enter_context(
        tempfile.TemporaryDirectory(prefix="sterna-sweep-", ignore_cleanup_errors=True)
    )
    more: dict[str, Any] = {
        "dashboard_address": f"{LOCAL}:0",
        "worker_dashboard_address": f"{LOCAL}:0",
    }
    if not place.threads:
        more |= {"host": LOCAL, "preload": ["sterna.sweep.local"]}
    cluster = LocalCluster(
        n_workers=place.workers or cores(),
        threads_per_worker=1,
        processes=not place.threads,
        protocol="tls://" if place.tls else None,
        security=_security(place),
        memory_limit=0,  # yosys is another process: dask's measure of a worker says nothing
        local_directory=work,
        silence_logs=logging.CRITICAL + 1,
        **more,
    )
    held.callback(cluster.close, timeout=PATIENCE)
    return cluster


def slurm_settings(path: str) -> dict[str, Any]:
    """The arguments of SLURMCluster in a site's file. FileError, UsageError."""
    found = parse_toml(read_bytes(path, 1 << 20, "give a TOML file"), path)
    for key, value in found.items():
        if key not in _SLURM:
            known = ", ".join(_SLURM)
            raise UsageError(
                f"{path}: {show(key)} is none of {known}{meant(key, _SLURM)}; correct it"
            )
        if not isinstance(value, _SLURM[key]) or isinstance(value, bool):
            raise UsageError(f"{path}: {key} = {show(value)} must be {_SLURM[key].__name__}")
    for key in ("cores", "memory"):
        if key not in found:
            raise UsageError(f"{path}: {key} is missing; SLURM asks for it")
    return found


def _slurm_cluster(place: Place) -> Any:
    assert place.slurm is not None
    with packages():
        from dask_jobqueue.slurm import SLURMCluster

    said = slurm_settings(place.slurm)
    security: Mapping[str, Any] = {"security": _security(place)} if place.tls else {}
    try:
        return SLURMCluster(
            scheduler_options={"dashboard_address": f"{LOCAL}:0"},
            **{"processes": said["cores"], **said},  # a thread each: one task at a time
            **security,
        )
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        raise UsageError(f"{place.slurm}: {' '.join(str(error).split())}; correct it") from None


def _slurm(place: Place, held: contextlib.ExitStack) -> Any:
    import shutil

    if shutil.which("sbatch") is None:
        raise ToolMissing("sbatch is not on PATH; run this where jobs of SLURM are submitted")
    cluster = _slurm_cluster(place)
    held.callback(cluster.close, timeout=PATIENCE)
    cluster.scale(place.workers or 1)
    return cluster


def job_script(place: Place) -> str:
    """The script of one job, as sbatch will be given it."""
    cluster = _slurm_cluster(place)
    try:
        return cluster.job_script()
    finally:
        cluster.close(timeout=PATIENCE)


def check_workers(client: Any, kinds: list[str], wait: float | None = FIRST) -> int:
    """How many workers there are, once there is one; all have this Sterna and what ``kinds`` of
    `work.NEEDS` ask for. SternaError, ToolMissing: the sentence of the first that has not."""
    from distributed import TimeoutError as Late

    try:
        with waiting("no worker yet"):
            client.wait_for_workers(1, timeout=wait)
    except (Late, TimeoutError):
        raise SternaError(
            f"no worker came in {wait:.0f} s; start some with: dask worker {_address(client)}"
        ) from None
    needs = sorted({n for kind in kinds for n in NEEDS[kind][0]})
    programs = sorted({p for kind in kinds for p in NEEDS[kind][1]})
    for worker, known in client.scheduler_info(n_workers=-1)["workers"].items():
        if (threads := known["nthreads"]) > 1:
            tell(
                f"the worker at {worker} uses one of its {threads} threads; start it with "
                f"--nworkers {threads} --nthreads 1"
            )
    said = client.run(facts, needs, programs, on_error="return")
    for worker, found in said.items():
        if isinstance(found, ImportError | AttributeError):
            raise SternaError(
                f"the worker at {worker} has no Sterna of this version ({found}); install "
                f"{task_code()} there, and start it again"
            )
        if isinstance(found, BaseException):
            raise SternaError(f"the worker at {worker} does not answer ({found}); start it again")
        if found["code"] != task_code():
            raise SternaError(
                f"the worker on {found['host']} has Sterna {found['code']}, this one is "
                f"{task_code()}; install the same there, and start it again"
            )
        if found["lacks"]:
            raise ToolMissing(f"the worker on {found['host']} lacks something: {found['lacks']}")
    return len(said)


def _address(client: Any) -> str:
    return str(client.scheduler.address)
