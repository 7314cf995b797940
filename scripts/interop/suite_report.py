"""What the runners of the suites share: the report, one JSON line for each test, and the limit of time for one."""

import contextlib
import json
import os
import signal
from collections.abc import Iterator

TEST_S = 40
_report = os.fdopen(int(os.environ["SUITE_REPORT"]), "w")


def tell(test: str, outcome: str, why: str = "") -> None:
    print(json.dumps({"test": test, "outcome": outcome, "why": " ".join(why.split())[-400:]}), file=_report, flush=True)


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Raises where the test is, if it does not end by itself."""

    def expire(_signal: int, _frame: object) -> None:
        raise TimeoutError(f"no end in {TEST_S} s")

    before = signal.signal(signal.SIGALRM, expire)
    signal.alarm(TEST_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
