"""The command ``sterna sweep``; as those of networks.py."""

import argparse
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sterna.commands.arguments import file_name, out_folder, whole
from sterna.golden.errors import UsageError
from sterna.golden.words.names import show
from sterna.golden.words.telling import tell

if TYPE_CHECKING:
    from sterna.gen.tools.progress import Progress
    from sterna.sweep.cluster import Place
    from sterna.sweep.jobs import Packs
    from sterna.sweep.plan import Job
    from sterna.sweep.store import Store
    from sterna.sweep.task import Task

__all__ = ["add_parsers", "sweep"]

Answer = tuple[dict[str, Any], str, int]


def add_parsers(
    command: Callable[[str, str], argparse.ArgumentParser], _staged: object = None
) -> None:
    """Add the parser of this command; ``command(name, text)`` makes one."""
    sub = command("sweep", "many runs on many machines: seeds, foldings, test sets, scripts")
    sub.add_argument("plan", metavar="PLAN", help="TOML file of jobs, as docs/sweep.md shows")
    sub.add_argument(
        "-o", "--output", type=out_folder, metavar="DIR", help="sweep folder (default build/PLAN)"
    )
    sub.add_argument(
        "--retry-failed", action="store_true", help="do again what failed and is filed as that"
    )
    sub.add_argument(
        "--run-scripts",
        action="store_true",
        help="run the functions that the plan's jobs of kind script name, with your rights",
    )
    group = sub.add_argument_group("workers (default: a process for each core of this machine)")
    group.add_argument(
        "--workers",
        type=whole("workers", 1, 4096),
        metavar="N",
        help="so many processes here, or jobs of SLURM",
    )
    group.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="of dask: tcp://HOST:PORT or tls://HOST:PORT; trust it as you trust ssh",
    )
    group.add_argument("--slurm", type=file_name, metavar="SITE.toml", help="jobs of SLURM")
    group.add_argument(
        "--job-script", action="store_true", help="only print what sbatch would be given"
    )
    for name, text in (("ca", "authority"), ("cert", "certificate"), ("key", "key")):
        group.add_argument(
            f"--tls-{name}", type=file_name, metavar="FILE.pem", help=f"{text}, of every peer"
        )


def sweep(options: argparse.Namespace) -> Answer:
    """Do what a plan asks and is not filed yet; 1 where a task failed."""
    from sterna.sweep.cluster import check_place, job_script
    from sterna.sweep.plan import read_plan

    place = _place(options)
    check_place(place)
    if options.job_script:
        if place.slurm is None:
            raise UsageError("--job-script shows a job of --slurm SITE.toml; give that, too")
        text = job_script(place)
        return {"job_script": text}, text, 0
    path = Path(options.plan)
    path = path / "sweep.toml" if path.is_dir() else path
    jobs = read_plan(path)
    _check_scripts(jobs, options.run_scripts)
    folder = Path(options.output or Path("build") / path.stem)
    answer, text, failed = run_sweep(jobs, folder, place, options.retry_failed)
    if failed:
        scripts = " --run-scripts" if options.run_scripts else ""
        again = f"sterna sweep {shlex.quote(options.plan)}{scripts} --retry-failed"
        tell(f"{failed} {'task' if failed == 1 else 'tasks'} failed; {again} does it again")
    return answer, text, 1 if failed else 0


def _check_scripts(jobs: "list[Job]", allowed: bool) -> None:
    """UsageError for a plan that would run what a folder brings and nobody allowed."""
    scripts = [job for job in jobs if job.kind == "script"]
    if scripts and not allowed:
        call = show(scripts[0].said["call"])
        text = f"= {call} runs with your rights; read it, then give --run-scripts"
        raise scripts[0].wrong("call", text)


def _place(options: argparse.Namespace) -> "Place":
    from sterna.sweep.cluster import Place

    files = options.tls_ca, options.tls_cert, options.tls_key
    if any(files) and not all(files):
        raise UsageError("--tls-ca, --tls-cert and --tls-key belong together; give all three")
    tls = (files[0], files[1], files[2]) if all(files) else None
    return Place(options.workers, options.scheduler, options.slurm, tls)


def run_sweep(
    jobs: "list[Job]", folder: Path, place: "Place", retry: bool = False
) -> tuple[dict[str, Any], str, int]:
    """(the table as an object, as text, how many tasks failed) of jobs, with results in
    ``folder``, of which those that are filed are taken."""
    from sterna.gen.tools.progress import Progress
    from sterna.golden.files.disk import check_new_folder, make_folder
    from sterna.golden.files.locks import held
    from sterna.sweep.store import FAILED, Store

    check_new_folder(folder)
    make_folder(folder)
    progress = Progress(2)
    with held(folder):
        store = Store(folder)
        packs: Packs = {}
        with progress.step("tasks of the plan"):
            tasks = _tasks(jobs, packs, store)
        found = {task.id: store.take(task) for every in tasks for task in every}
        again = [f for f in found.values() if retry and f is not None and f["state"] == FAILED]
        wanted = {
            task.id: task
            for every in tasks
            for task in every
            if (f := found[task.id]) is None or f in again
        }
        kept = len(found) - len(wanted)
        if wanted:
            _compute([*wanted.values()], kept, jobs, packs, place, store, found, progress)
        return _answer(jobs, tasks, found, folder, len(wanted))


def _tasks(jobs: "list[Job]", packs: "Packs", store: "Store") -> "list[list[Task]]":
    from sterna.sweep.jobs import tasks_of
    from sterna.sweep.plan import MOST
    from sterna.sweep.work import run

    def now(task: "Task") -> dict[str, Any]:
        if (found := store.take(task)) is not None:
            return found
        inputs = {name: packs[key] for name, key in task.inputs.items()}
        said = task.as_dict()
        return store.file(task, run(task.kind, task.arguments, inputs, None, said["code"]))

    out = [tasks_of(job, packs, now) for job in jobs]
    if (count := sum(map(len, out))) > MOST:
        raise UsageError(f"the plan has {count:,} tasks; a sweep has {MOST:,} at most, make two")
    return out


def _compute(
    tasks: "list[Task]",
    kept: int,
    jobs: "list[Job]",
    packs: "Packs",
    place: "Place",
    store: "Store",
    found: dict[str, dict[str, Any] | None],
    progress: "Progress",
) -> None:
    """Have workers compute tasks; every result is filed as it comes."""
    from sterna.gen.tools.progress import at
    from sterna.sweep.cluster import check_workers, connected
    from sterna.sweep.engine import compute
    from sterna.sweep.jobs import needs_of
    from sterna.sweep.store import FAILED

    names = {task.job for task in tasks}
    done = 0

    def took(task: "Task", result: dict[str, Any]) -> None:
        nonlocal done
        found[task.id] = store.file(task, result)
        done += 1
        at(done, len(tasks))
        if result["state"] == FAILED:
            tell(f"{task.job}: failed, {result['error']}")

    with connected(place) as client:
        needs = needs_of([job for job in jobs if job.name in names])
        workers = check_workers(client, needs, *([None] if place.slurm else []))
        filed = f", {kept} are filed" if kept else ""
        with progress.step(f"{len(tasks)} tasks on {workers} workers{filed}"):
            compute(client, tasks, packs, took)


def _answer(
    jobs: "list[Job]",
    tasks: "list[list[Task]]",
    found: dict[str, dict[str, Any] | None],
    folder: Path,
    ran: int,
) -> tuple[dict[str, Any], str, int]:
    """The table, written to its two files, too."""
    from sterna.golden.files.disk import canonical_json, write_atomic
    from sterna.sweep.store import FAILED
    from sterna.sweep.table import csv_text, job_text, rows_of, summary_of

    shown, texts, every = [], [], []
    for job, mine in zip(jobs, tasks):
        rows = rows_of(job, [(task, found[task.id]) for task in mine])
        summary = summary_of(job, rows)
        shown.append({"name": job.name, "kind": job.kind, "summary": summary, "rows": rows})
        texts.append(job_text(job, rows, summary))
        every += rows
    failed = sum(row["state"] == FAILED for row in every)
    body = {"tasks": len(every), "failed": failed, "jobs": shown}
    files = [folder / "table.csv", folder / "table.json"]
    write_atomic(files[0], csv_text(every).encode())
    write_atomic(files[1], canonical_json(body).encode())
    answer = {"sweep": str(folder), "ran": ran, **body, "wrote": [str(f) for f in files]}
    return answer, "\n\n".join(texts), failed
