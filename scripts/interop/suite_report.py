"""What the runners of the suites share: the report, which tests are left out, and the limit of time for one."""

import contextlib
import fnmatch
import json
import os
import signal
from collections.abc import Iterator

TEST_S = 40
_report = os.fdopen(int(os.environ["SUITE_REPORT"]), "w")


_left_out = json.loads(os.environ["SUITE_LEFT_OUT"])


def left_out(test: str) -> bool:
    """Whether the test shall not run; then that is told."""
    if any(fnmatch.fnmatchcase(test, pattern) for pattern in _left_out):
        tell(test, "left out")
        return True
    return False


def tell(test: str, outcome: str, why: str = "") -> None:
    """Reports one test, as one JSON line; of a traceback its end, without the marks below the lines."""
    words = [word for word in why.split() if word.strip("^~")]
    print(json.dumps({"test": test, "outcome": outcome, "why": " ".join(words)[-300:]}), file=_report, flush=True)


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
