"""Runs the integration tests of slixmpp and aioxmpp, unmodified, against our server.

What should come of them stands in suites.toml: all pass but those named there, each with its reason. A failure that is
not named fails the run, and so does a test that is named and passes, or that is named and does not exist. Each suite
runs in a process of its own, which reports one JSON line for each test.
"""

import argparse
import collections
import dataclasses
import fnmatch
import json
import os
import subprocess
import sys
import tempfile
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path

from server import CONFIG, ROOT, Server

HERE = Path(__file__).resolve().parent
TESTS = ROOT / ".tools" / "suites"
SUITE_S = 300
PASSWORD = "pass word <&>"
# slixmpp wants two accounts at a time, aioxmpp up to three. Behind the slash stands what is different: aioxmpp manages its
# streams whenever it can, slixmpp only when told to.
ACCOUNTS = {
    "slixmpp": ["slix-1", "slix-2"],
    "slixmpp/managed": ["managed-1", "managed-2"],
    "aioxmpp": ["aio-1", "aio-2", "aio-3", "aio-4"],
}


class Expected:
    """What suites.toml says of one suite."""

    def __init__(self, told: dict[str, dict[str, str]]) -> None:
        self.told = {
            "failed": told.get("fails", {}),
            "skipped": told.get("skips", {}),
            "left out": told.get("left_out", {}),
        }
        self.seen: set[str] = set()

    @property
    def left_out(self) -> list[str]:
        return list(self.told["left out"])

    def of(self, test: str) -> tuple[str, str]:
        """The outcome that is expected of a test, and why."""
        for outcome, patterns in self.told.items():
            for pattern, why in patterns.items():
                if fnmatch.fnmatchcase(test, pattern):
                    self.seen.add(pattern)
                    return outcome, why
        return "passed", ""

    def unseen(self) -> list[str]:
        return [pattern for patterns in self.told.values() for pattern in patterns if pattern not in self.seen]


@dataclasses.dataclass
class Summary:
    """How many tests came out as expected, by outcome, and how many did not."""

    right: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    wrong: int = 0

    def count(self, suite: str, told: dict[str, str], expected: Expected) -> None:
        outcome, why = expected.of(told["test"])
        name = f"{suite} {told['test']}"
        if told["outcome"] != outcome:
            self.wrong += 1
            print(f"FAILED   {name}: {told['outcome']}, not {outcome}{told['why'] and ': ' + told['why']}", flush=True)
        else:
            self.right[outcome] += 1
            print(f"{'ok' if outcome == 'passed' else outcome:9}{name}{why and ': ' + why}", flush=True)

    def fault(self, what: str) -> None:
        self.wrong += 1
        print(f"FAILED   {what}", flush=True)


def slixmpp_environment(server: Server, _folder: Path, suite: str = "slixmpp") -> dict[str, str]:
    """The variables that slixmpp's tests read; its default SSL context trusts SSL_CERT_FILE."""
    accounts = {}
    for index, user in enumerate(ACCOUNTS[suite], 1):
        accounts[f"CI_ACCOUNT{index}"] = f"{user}@localhost"
        accounts[f"CI_ACCOUNT{index}_PASSWORD"] = PASSWORD
    return {
        **accounts,
        "CI_MUC_SERVER": "rooms.localhost",
        "SSL_CERT_FILE": server.certificate,
        "SUITE_ADDRESS": f"127.0.0.1:{server.port}",
    }


def managed_environment(server: Server, folder: Path) -> dict[str, str]:
    """The same, and what each client shall have beside what its test asks for."""
    more = ["xep_0198", "xep_0280", "xep_0352", "xep_0359"]
    return {**slixmpp_environment(server, folder, "slixmpp/managed"), "SUITE_PLUGINS": json.dumps(more)}


def aioxmpp_environment(server: Server, folder: Path) -> dict[str, str]:
    """aioxmpp's tests read a file, which names the class that gives them clients."""
    provisioner = "suite_provisioner.SettledProvisioner"
    config = folder / "e2etest.ini"
    config.write_text(
        f"[global]\nprovisioner={provisioner}\ntimeout=10\n\n"
        f"[{provisioner}]\nhost=127.0.0.1\ndomain=localhost\nport={server.port}\nno_verify=true\n"
        f"accounts={[(user, PASSWORD) for user in ACCOUNTS['aioxmpp']]}\n"
    )
    return {"SUITE_CONFIG": str(config)}


ENVIRONMENTS = {
    "slixmpp": slixmpp_environment,
    "slixmpp/managed": managed_environment,
    "aioxmpp": aioxmpp_environment,
}


def client(suite: str) -> str:
    return suite.partition("/")[0]


def outcomes(suite: str, environment: dict[str, str], log: Path, chosen: list[str]) -> Iterator[dict[str, str]]:
    """Runs one suite and gives what it reports while it runs; a suite that takes too long is ended."""
    reads, writes = os.pipe()
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(HERE / f"suite_{client(suite)}.py"), *chosen],
            cwd=TESTS,
            env={**os.environ, **environment, "SUITE_REPORT": str(writes), "PYTHONDONTWRITEBYTECODE": "1"},
            pass_fds=[writes],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    os.close(writes)
    alarm = threading.Timer(SUITE_S, process.kill)
    alarm.start()
    try:
        with os.fdopen(reads) as report:
            yield from map(json.loads, report)
        if (status := process.wait()) != 0:
            yield {"test": "the suite itself", "outcome": f"ended with {status}", "why": ""}
    finally:
        alarm.cancel()
        process.kill()
        process.wait()


def run(suite: str, server: Server, expected: Expected, chosen: list[str]) -> Summary:
    summary = Summary()
    for user in ACCOUNTS[suite]:
        server.add_account(f"{user}@localhost", PASSWORD)
    with tempfile.TemporaryDirectory(prefix="rjabberd-suites-") as name:
        folder = Path(name)
        log = folder / "log"
        environment = {**ENVIRONMENTS[suite](server, folder), "SUITE_LEFT_OUT": json.dumps(expected.left_out)}
        for told in outcomes(suite, environment, log, chosen):
            summary.count(suite, told, expected)
        if not summary.right["passed"]:
            summary.fault(f"{suite}: no test passed")
        if not chosen:
            for pattern in expected.unseen():
                summary.fault(f"{suite}: suites.toml names {pattern}, which does not exist")
        if summary.wrong:
            print(f"-- the end of what {suite} wrote:\n{log.read_text(errors='replace')[-6000:]}", file=sys.stderr)
    return summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", choices=list(ACCOUNTS), help="only this one")
    parser.add_argument("--server-log", type=Path, help="keeps the log of the server in this file")
    parser.add_argument("tests", nargs="*", help="only the tests whose names contain one of these")
    options = parser.parse_args()
    told = tomllib.loads((HERE / "suites.toml").read_text())
    server = Server(CONFIG)
    summaries = {}
    try:
        for suite in [options.suite] if options.suite else ACCOUNTS:
            summaries[suite] = run(suite, server, Expected(told.get(client(suite), {})), options.tests)
    finally:
        stopped = server.stop()
        if options.server_log:
            options.server_log.write_text("".join(server.log))
    for suite, summary in summaries.items():
        print(
            f"suites: {suite}: {summary.right['passed']} tests passed; as expected {summary.right['failed']} failed, "
            f"{summary.right['skipped']} skipped themselves, {summary.right['left out']} were left out; "
            f"{summary.wrong} came out wrong"
        )
    if not stopped:
        print("FAILED   the server did not stop well")
    sys.exit(0 if stopped and not any(summary.wrong for summary in summaries.values()) else 1)


main()
