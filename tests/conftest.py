"""What every test shares: missing tools, room for yosys, quiet threads, repeatable fuzzing, speed.

A test that meets a missing tool (``ToolMissing``) is skipped with that sentence on a developer's
machine and fails where ``STERNA_REQUIRE_ALL=1`` (continuous integration). Icarus, tclsh and the
headers of .fst waves have no wheel and may always be absent, as may data sets and CUDA.
"""

import os
import signal

# Two pytest workers with a thread pool each only get in each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A library's cache in the home directory must not decide a test.
os.environ.setdefault("AMARANTH_USE_YOSYS", "builtin")
# Counts of cells are those of the version that pip brings.
os.environ.setdefault("STERNA_TOOLS", "wasm")

import contextlib
import functools
import gc
import zlib

import hypothesis
import pytest

from sterna.gen.tools.programs import yowasp_cache
from sterna.gen.tools.slots import HELD, slot, slot_count
from sterna.golden.errors import SternaError, ToolMissing

hypothesis.settings.register_profile(
    "sterna",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("sterna")

_OPTIONAL = ("iverilog", "vvp", "waves as .fst")
_MISSING = ("not installed", "not on PATH", "could not import")


def _require_all() -> bool:
    return os.environ.get("STERNA_REQUIRE_ALL", "") not in ("", "0")


def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """The tests of a file are on one worker, which makes what they share once. Files with a test
    marked ``yosys`` are in as many groups, each on one worker, as heavy programs may run at once.

    (Marks ``xdist_group`` would say so, but xdist 3.8 cannot tell them to its scheduler where
    pytest is 9.2 or later.)
    """
    from xdist.scheduler import LoadScopeScheduling

    try:
        groups = slot_count()
    except SternaError as error:
        raise pytest.UsageError(str(error)) from None

    @functools.cache
    def scope(path: str) -> str:
        if "mark.yosys" not in (config.rootpath / path).read_text(encoding="utf-8"):
            return path
        return f"yosys{zlib.crc32(path.encode()) % groups}"

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope(nodeid.split("::", 1)[0])

    return ByFile(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Workers begin with whole systems and with training, and end with the folders whose files take
    seconds: so they end at the same time."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not {"system", "train"} & set(item.path.parts))


def pytest_collection_finish() -> None:
    """What was imported and collected is never garbage, and looking for some among it after every
    700 new objects took a fifth of all time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item):
    """A test marked ``yosys`` waits for its slot before its time limit begins (pytest-timeout's
    wrapper is inside this one), and holds it for all that it runs."""
    if item.get_closest_marker("yosys") is None or os.environ.get(HELD):
        return (yield)
    with contextlib.ExitStack() as held:
        capture = item.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
            held.enter_context(slot(yowasp_cache()))  # says on stderr that it waits
        os.environ[HELD] = "1"
        try:
            return (yield)
        finally:
            del os.environ[HELD]


def _must_be_there(reason: str) -> bool:
    """Whether a test was skipped for a package or program that continuous integration has."""
    optional = any(name in reason for name in _OPTIONAL)
    return _require_all() and any(text in reason for text in _MISSING) and not optional


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    """A file of tests that is skipped whole, as it is read, counts as its tests would."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple):
        path, line, reason = report.longrepr
        if _must_be_there(reason):
            report.outcome = "failed"
            report.longrepr = f"{path}:{line}: STERNA_REQUIRE_ALL is set, but: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Turn a missing tool into a skip here and into a failure in continuous integration."""
    result = yield
    path, line = str(item.path), item.location[1] or 0
    if call.excinfo is not None and call.excinfo.errisinstance(ToolMissing):
        reason = str(call.excinfo.value)
        if not _require_all() or reason.startswith(_OPTIONAL):
            result.outcome = "skipped"
            result.longrepr = (path, line, f"Skipped: {reason}")
    elif result.skipped and not hasattr(result, "wasxfail"):
        reason = result.longrepr[2] if isinstance(result.longrepr, tuple) else str(result.longrepr)
        if _must_be_there(reason):
            result.outcome = "failed"
            result.longrepr = f"{path}:{line}: STERNA_REQUIRE_ALL is set, but: {reason}"
    return result


def pytest_terminal_summary(terminalreporter) -> None:
    """How many blocks of the pages were run, and how many are marked with why they are not."""
    reports = [r for group in terminalreporter.stats.values() for r in group]
    if any("test_docs_blocks" in getattr(r, "nodeid", "") for r in reports):
        from docblocks import counts

        said = ", ".join(f"{number} {mark}" for mark, number in counts().items())
        terminalreporter.write_line(f"blocks of code in the pages: {said}")


@pytest.fixture(autouse=True)
def interrupts_are_heard():
    """A shell starts what it puts into the background with SIGINT ignored, and programs started
    from there would never hear of one."""
    before = signal.getsignal(signal.SIGINT)
    if before == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    if before == signal.SIG_IGN:
        signal.signal(signal.SIGINT, before)
