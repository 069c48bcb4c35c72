"""All results of a sweep in one table: for people, as CSV, as JSON, with what they come to."""

import csv
import io
import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from sterna.gen.build.tables import rows_text
from sterna.golden.words.shares import accuracy_text, wilson
from sterna.sweep.plan import Job
from sterna.sweep.store import DONE, FAILED
from sterna.sweep.task import Task

__all__ = ["MISSING", "csv_text", "job_text", "median_interval", "rows_of", "summary_of"]

MISSING = "missing"
SHOWN = 40
"""Rows of a job that are shown; the files have all."""
_FIRST = ("job", "state", "error")
_LAST = ("seconds", "host", "tools", "code", "id")
Row = dict[str, Any]


def rows_of(job: Job, results: Iterable[tuple[Task, dict[str, Any] | None]]) -> list[Row]:
    """A row of each task: what it was asked, what it found, and by whom."""
    rows = [_row(task, found) for task, found in results]
    if job.kind == "foldings":
        _mark_front(rows)
    return rows


def _row(task: Task, found: dict[str, Any] | None) -> Row:
    said = {k: v for k, v in task.arguments.items() if v is not None}
    asked = said.pop("arguments", {})
    row: Row = {"job": task.job, "state": MISSING, "error": ""}
    row |= {**said, **asked, "code": task.as_dict()["code"], "id": task.id}
    if found is None:
        return row
    made = found["made"]
    tools = {n: t["version"] for n, t in made.get("tools", {}).items()}
    row |= {"state": found["state"], "error": found.get("error", "")} | found.get("row", {})
    return row | {"seconds": made.get("seconds"), "host": made.get("host", ""), "tools": tools}


def _mark_front(rows: list[Row]) -> None:
    """``front``: 'estimated', 'true', 'both' or '': the designs that none beats in rate and LUTs,
    by the estimate and by what was counted, or placed where a board is given."""
    done = [r for r in rows if r["state"] == DONE]
    placed = any("placed_fps" in r for r in done)
    speed, luts = ("placed_fps", "used_luts") if placed else ("fps", "luts")
    fronts = {"estimated": _front(done, "fps", "estimated_luts"), "true": _front(done, speed, luts)}
    for row in done:
        names = [name for name, front in fronts.items() if row["id"] in front]
        row["front"] = "both" if len(names) == 2 else "".join(names)


def _front(rows: list[Row], speed: str, cost: str) -> set[str]:
    known = [r for r in rows if r.get(speed) is not None and r.get(cost) is not None]
    best, out = math.inf, set()
    for row in sorted(known, key=lambda r: (-r[speed], r[cost])):
        if row[cost] < best:
            best = row[cost]
            out.add(row["id"])
    return out


def median_interval(values: Sequence[float], share: float = 0.95) -> tuple[float, float] | None:
    """An interval that holds the median of what ``values`` are drawn from with at least this
    probability, whatever its distribution; None for fewer values than that takes (6 for 95%)."""
    found, n = sorted(values), len(values)
    tail, k = 0.0, 0
    while k < n // 2:
        tail += math.comb(n, k) / 2**n if n < 1000 else 0.0
        if n >= 1000 or 2 * tail > 1 - share:
            break
        k += 1
    if n >= 1000:  # by the normal distribution
        k = math.floor(n / 2 - 1.959964 * math.sqrt(n) / 2)
    return (found[k - 1], found[n - k]) if k > 0 else None


def _spread(values: Sequence[float]) -> dict[str, Any]:
    """Of some numbers: count, least, median with its 95% interval, most."""
    return {
        "count": len(values),
        "least": min(values),
        "median": statistics.median(values),
        "median_95": median_interval(values),
        "most": max(values),
    }


def summary_of(job: Job, rows: list[Row]) -> dict[str, Any]:
    """What the rows come to: how many of each state, and what there is to say of the kind."""
    states = {s: sum(r["state"] == s for r in rows) for s in (DONE, FAILED, MISSING)}
    out: dict[str, Any] = {"tasks": len(rows), **states}
    done = [r for r in rows if r["state"] == DONE]
    if not done:
        return out
    out["seconds"] = _spread([r["seconds"] for r in done])
    used = {(name, v) for r in done for name, v in r["tools"].items()}
    names = sorted({name for name, _ in used})
    out["tools"] = {name: sorted(v for n, v in used if n == name) for name in names}
    return out | _SUMMARIES[job.kind](job, done)


def _seeds(_job: Job, rows: list[Row]) -> dict[str, Any]:
    best = max(rows, key=lambda r: (r["mhz"], -r["seed"]))
    return {"mhz": _spread([r["mhz"] for r in rows]), "best_seed": best["seed"]}


def _foldings(_job: Job, rows: list[Row]) -> dict[str, Any]:
    pairs = [(r["estimated_luts"], r["luts"]) for r in rows if r["estimated_luts"]]
    out: dict[str, Any] = {
        f"front_{name}": sum(r["front"] in (name, "both") for r in rows)
        for name in ("estimated", "true")
    }
    if pairs:
        out["luts_error"] = _spread([round((guess - luts) / luts, 4) for guess, luts in pairs])
    return out


def _accuracy(_job: Job, rows: list[Row]) -> dict[str, Any]:
    found = []
    for name in dict.fromkeys(r["network"] for r in rows):
        mine = [r for r in rows if r["network"] == name]
        images, right = (sum(r[k] for r in mine) for k in ("images", "right"))
        one = {"network": name, "images": images, "right": right, "accuracy": right / images}
        one["accuracy_95"] = wilson(right / images, images)
        if "spikes_compared" in mine[0]:
            one["spikes_compared"] = sum(r["spikes_compared"] for r in mine)
            one["mismatches"] = sum(r["mismatches"] for r in mine)
        found.append(one)
    return {"networks": found}


def _script(job: Job, rows: list[Row]) -> dict[str, Any]:
    out = {}
    known = {*job.said["arguments"], *_FIRST, *_LAST}
    for key in dict.fromkeys(k for r in rows for k in r if k not in known):
        values = [r[key] for r in rows if _number(r.get(key))]
        if values:
            out[key] = _spread(values)
    return {"numbers": out}


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_SUMMARIES = {
    "seeds": _seeds,
    "foldings": _foldings,
    "accuracy": _accuracy,
    "script": _script,
}


# --- for people ---------------------------------------------------------------------------------


_COLUMNS = {
    "seeds": ("seed", "mhz", "uart_mhz", "fps"),
    "foldings": (
        "clocks",
        "fps",
        "estimated_luts",
        "luts",
        "estimated_ff",
        "ff",
        "estimated_bram",
        "bram",
        "placed_mhz",
        "placed_fps",
        "front",
    ),
}
_HEADS = {"estimated_luts": "~LUT", "luts": "LUT", "estimated_ff": "~FF", "ff": "FF"}
_HEADS |= {"estimated_bram": "~BRAM", "bram": "BRAM", "placed_mhz": "MHz", "mhz": "MHz"}
_HEADS |= {"placed_fps": "fps there", "uart_mhz": "UART MHz"}


def job_text(job: Job, rows: list[Row], summary: dict[str, Any]) -> str:
    """A job for people: its rows, but for slices of a test set, and what they come to."""
    lines = [f"{job.name}: {summary[DONE]} of {summary['tasks']} tasks done"]
    done = [r for r in rows if r["state"] == DONE]
    if job.kind == "accuracy":
        lines += [_accuracy_line(one) for one in summary.get("networks", ())]
    elif done:
        lines.append(_rows(job, done))
    lines += _said(job, summary)
    for name, versions in summary.get("tools", {}).items():
        if len(versions) > 1:
            lines.append(f"warning: by different versions of {name}: {', '.join(versions)}")
    failed = [r for r in rows if r["state"] == FAILED]
    lines += [f"FAILED {_asked(r)}: {r['error']}" for r in failed[:SHOWN]]
    if len(failed) > SHOWN:
        lines.append(f"and {len(failed) - SHOWN} more that failed, in the table")
    return "\n".join(lines)


def _accuracy_line(one: dict[str, Any]) -> str:
    line = f"{one['network']}: {one['right']} of {one['images']} right, "
    line += accuracy_text(one["accuracy"], one["images"])
    if "mismatches" in one:
        line += f"; {one['spikes_compared']} spikes of the Verilog compared with golden"
    return line


def _rows(job: Job, rows: list[Row]) -> str:
    hidden = {"module", "function", *_FIRST, *_LAST}
    keys = _COLUMNS.get(job.kind) or tuple(k for k in rows[0] if k not in hidden)
    keys = tuple(k for k in keys if any(r.get(k) not in (None, "") for r in rows))
    keys = tuple(k for k in keys if not any(isinstance(r.get(k), dict | list) for r in rows))
    keys = (*keys, "seconds", "host")
    cells = [[_cell(r.get(k)) for k in keys] for r in rows[:SHOWN]]
    text = rows_text([_HEADS.get(k, k) for k in keys], cells)
    return text + (f"\nand {len(rows) - SHOWN} more, in the table" if len(rows) > SHOWN else "")


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1f}" if abs(value) >= 100 else f"{value:.4g}"
    return "-" if value is None else str(value)[:60]


def _said(job: Job, summary: dict[str, Any]) -> list[str]:
    if "mhz" in summary:
        return [f"{_spread_text(summary['mhz'])} MHz; the best is seed {summary['best_seed']}"]
    if "front_true" in summary:
        line = f"{summary['front_true']} on the true front, {summary['front_estimated']} on the "
        line += "estimated one"
        if "luts_error" in summary:
            error = summary["luts_error"]
            line += f"; LUTs estimated {error['least']:+.1%} to {error['most']:+.1%} off, median "
            line += f"{error['median']:+.1%}"
        return [line]
    return [f"{key}: {_spread_text(v)}" for key, v in summary.get("numbers", {}).items()]


def _spread_text(found: dict[str, Any]) -> str:
    text = f"median {found['median']:.4g}"
    if found["median_95"]:
        low, high = found["median_95"]
        text += f" (95% interval {low:.4g} to {high:.4g})"
    return f"{text}, {found['least']:.4g} to {found['most']:.4g}"


def _asked(row: Row) -> str:
    told = {"job", "state", "error", "seconds", "host", "tools", "code", "id", "module"}
    return " ".join(f"{k}={_cell(v)}" for k, v in row.items() if k not in told)[:200]


def csv_text(rows: list[Row]) -> str:
    """All rows of all jobs; a column of each word that any has."""
    inner = dict.fromkeys(k for r in rows for k in r if k not in (*_FIRST, *_LAST))
    keys = [*_FIRST, *inner, *_LAST]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(keys)
    for row in rows:
        table.writerow([_plain(row.get(k)) for k in keys])
    return text.getvalue()


def _plain(value: Any) -> Any:
    import json

    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value
