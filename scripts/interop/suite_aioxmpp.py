"""Runs aioxmpp's end-to-end tests (tests/**/test_e2e.py of its source) and reports what came of each.

They are run as aioxmpp does it: by pytest with the plugin aioxmpp.e2etest, whose file names a provisioner of accounts.
"""

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import suite_report

sys.path.insert(0, os.getcwd())


class Reporter:
    def __init__(self) -> None:
        self.outcomes: dict[str, tuple[str, str]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if not suite_report.left_out(name(item.nodeid))]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Iterator[None]:
        with suite_report.limited():
            return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test fails by any of its three phases; it ends with the last."""
        if report.outcome != "passed":
            why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self.outcomes.setdefault(report.nodeid, (report.outcome, why))
        if report.when == "teardown":
            suite_report.tell(name(report.nodeid), *self.outcomes.get(report.nodeid, ("passed", "")))


def name(node: str) -> str:
    return node.removeprefix("tests/").replace("/test_e2e.py", "").replace("test_e2e.py::", "").replace("::", ".")


def main() -> None:
    # The plugin asks for the current event loop; since Python 3.14 there is none unless somebody made it.
    asyncio.set_event_loop(asyncio.new_event_loop())
    arguments = [
        "--quiet",
        "-p",
        "no:cacheprovider",
        "-p",
        "aioxmpp.e2etest",
        "--tb=short",
        f"--e2etest-config={os.environ['SUITE_CONFIG']}",
        *(["-k", " or ".join(sys.argv[1:])] if sys.argv[1:] else []),
        *sorted(str(path) for path in Path("tests").rglob("test_e2e.py")),
    ]
    # That tests failed is in the report; other ends are the runner's own.
    status = pytest.main(arguments, plugins=[Reporter()])
    sys.exit(0 if status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) else int(status))


main()
