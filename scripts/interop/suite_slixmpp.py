"""Runs slixmpp's integration tests (the folder itests of its sdist) and reports what came of each.

The tests connect to the domain of the account, by the ports that SRV records name; the suite has no other way to name
a port. So what DNS would answer is given here; the tests and slixmpp's way from there on are theirs. Clients may be given
plugins beside those that a test asks for.
"""

import json
import os
import sys
import unittest
from pathlib import Path

import suite_report
from slixmpp import ClientXMPP
from slixmpp.test import integration

sys.path.insert(0, os.getcwd())
HOST, PORT = os.environ["SUITE_ADDRESS"].rsplit(":", 1)


async def records(client: ClientXMPP, domain: str, port: int | None = None) -> list[tuple[str, str, str, int]]:
    """Stands in for the resolver: one SRV record, for STARTTLS."""
    return [("xmpp-client", domain, HOST, int(PORT))]


class Client(ClientXMPP):
    def __init__(self, *arguments, **options) -> None:
        super().__init__(*arguments, **options)
        for plugin in json.loads(os.environ.get("SUITE_PLUGINS", "[]")):
            self.register_plugin(plugin)


class Result(unittest.TestResult):
    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self.outcome = ("passed", "")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        self.outcome = ("skipped", reason)

    def addError(self, test: unittest.TestCase, err) -> None:
        super().addError(test, err)
        self.outcome = ("failed", self.errors[-1][1])

    def addFailure(self, test: unittest.TestCase, err) -> None:
        super().addFailure(test, err)
        self.outcome = ("failed", self.failures[-1][1])

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        suite_report.tell(name(test), *self.outcome)


def name(test: unittest.TestCase) -> str:
    return test.id().removeprefix("itests.")


def tests(suite: unittest.TestSuite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from tests(item)
        else:
            yield item


def main() -> None:
    ClientXMPP.get_dns_records = records
    integration.ClientXMPP = Client
    chosen = sys.argv[1:]
    result = Result()
    for path in sorted(Path("itests").glob("test_*.py")):
        for test in tests(unittest.defaultTestLoader.loadTestsFromName(f"itests.{path.stem}")):
            wanted = not chosen or any(word in name(test) for word in chosen)
            if wanted and not suite_report.left_out(name(test)):
                with suite_report.limited():
                    test(result)


main()
