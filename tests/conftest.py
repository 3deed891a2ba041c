"""What holds for every test: which ones run here, which may not run side by side, and an environment of their own."""

import gc
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import settings as hypothesis_settings

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

AnyReport = TypeVar("AnyReport", pytest.TestReport, pytest.CollectReport)

TESTS = Path(__file__).parent
SERIAL = ("chaos", "e2e")
"""Folders whose tests start whole fabrics and take the machine's time: they run in one worker, one after another."""

IN_A_BROWSER = "tests/e2e/test_panel_"
"""Files of these names have one fabric and one browser each: each runs in one worker, beside the long chain."""

ALLOWED_SKIPS = {
    r"takes hours; run by make soak": "make soak runs them",
    r"this machine enforces \[.*\]: .*": "control groups are the kernel's; a container may have none to give",
    r"no unified hierarchy here": "as above: cgroup v2 is mounted, or it is not",
    r"this machine has no IPv6 loopback": "the kernel may be without IPv6",
    r"this driver lacks \[.*\]": "WASI has no signals, exec or files; that they are refused is tested",
    r"this driver can": "the test is for those that cannot",
}
"""The reasons for which a test may be skipped in CI, each with why no package and no right that CI has can help.

CI is root and has what scripts/system-packages installs: every other skip there hides a hole, and fails.
"""

# A test says what must be true, not how fast this machine is today.
hypothesis_settings.register_profile("omnitide", deadline=None, print_blob=True)
hypothesis_settings.load_profile("omnitide")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="also run the tests marked soak, which take hours")
    parser.addoption("--renew-snapshots", action="store_true", help="make the pictures of pages anew")


def pytest_configure(config: pytest.Config) -> None:
    # The settings of whoever runs the tests are not those of the tests.
    for variable in [name for name in os.environ if name.startswith("OMNITIDE_")]:
        del os.environ[variable]
    # Nor is a fabric of a test one of theirs, of which the machine is told.
    register = tempfile.mkdtemp(prefix="omnitide-fabrics-")
    config.add_cleanup(lambda: shutil.rmtree(register, ignore_errors=True))
    os.environ["OMNITIDE_FABRICS"] = register
    # Nor is how they want Python to be: without it each of some thousand processes would compile its modules anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("soak") and not config.getoption("--soak"):
            item.add_marker(pytest.mark.skip(reason="takes hours; run by make soak"))
        elif item.get_closest_marker("root") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))
    if not config.getoption("--renew-snapshots"):
        pictures = [item for item in items if item.get_closest_marker("pictures")]
        config.hook.pytest_deselected(items=pictures)
        items[:] = [item for item in items if item not in pictures]
    if hasattr(config, "workerinput"):
        # The one long chain starts first, and all else runs beside it.
        items.sort(key=lambda item: not _is_serial(item.path))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Modules and tests are some hundred thousand objects, and stay: the collector of garbage is to look through what
    tests make, and not again and again through those."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Any test to any worker, but those of SERIAL to one. (`--dist loadgroup` of pytest-xdist 3.8 groups nothing under
    pytest 9.2: it says so by changing node ids, which that pytest ignores.)"""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            if file.startswith(IN_A_BROWSER):
                return file
            return "serial" if _is_serial(config.rootpath / file) else nodeid

        def mark_test_complete(self, node: "WorkerController", item_index: int, duration: float = 0) -> None:
            """And what is done is forgotten: with each test that ends, what a worker has is counted through."""
            super().mark_test_complete(node, item_index, duration)
            scopes = self.assigned_work[node]
            scope = self._split_scope(self.registered_collections[node][item_index])
            if all(scopes[scope].values()):
                del scopes[scope]

    return Scheduling(config, log)


def _is_serial(path: Path) -> bool:
    return path.is_relative_to(TESTS) and path.relative_to(TESTS).parts[0] in SERIAL


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _judged(item, (yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _judged(collector, (yield))


def _judged(node: pytest.Item | pytest.Collector, report: AnyReport) -> AnyReport:
    """A skip in CI is a failure, unless its reason is one of ALLOWED_SKIPS."""
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = reason.removeprefix("Skipped: ")
        if not any(re.fullmatch(allowed, reason, re.DOTALL) for allowed in ALLOWED_SKIPS):
            report.outcome = "failed"
            report.longrepr = (
                f"{node.nodeid} was skipped although CI=true, and tests/conftest.py does not allow: {reason}"
            )
    return report
