"""What every test shares: missing tools, room for yosys, quiet threads, repeatable fuzzing.

A test that meets a missing tool (``ToolMissing``) is skipped with that sentence on a developer's
machine and fails where ``STERNA_REQUIRE_ALL=1`` (continuous integration). Icarus has no wheel and
may always be absent, as may data sets and CUDA.
"""

import os

# Two pytest workers with a thread pool each only get in each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A library's cache in the home directory must not decide a test.
os.environ.setdefault("AMARANTH_USE_YOSYS", "builtin")
# Counts of cells are those of the version that pip brings.
os.environ.setdefault("STERNA_TOOLS", "wasm")

import contextlib
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

_OPTIONAL = ("iverilog", "vvp")
_MISSING = ("not installed", "not on PATH", "could not import")


def _require_all() -> bool:
    return os.environ.get("STERNA_REQUIRE_ALL", "") not in ("", "0")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked ``yosys`` are in as many groups, each on one worker, as heavy programs may run
    at once; those of a file stay together."""
    try:
        groups = slot_count()
    except SternaError as error:
        raise pytest.UsageError(str(error)) from None
    for item in items:
        if item.get_closest_marker("yosys") is not None:
            group = zlib.crc32(item.path.name.encode()) % groups
            item.add_marker(pytest.mark.xdist_group(f"yosys{group}"))


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
    elif result.skipped and _require_all() and not hasattr(result, "wasxfail"):
        reason = result.longrepr[2] if isinstance(result.longrepr, tuple) else str(result.longrepr)
        optional = any(name in reason for name in _OPTIONAL)
        if any(text in reason for text in _MISSING) and not optional:
            result.outcome = "failed"
            result.longrepr = f"{path}:{line}: STERNA_REQUIRE_ALL is set, but: {reason}"
    return result
