"""One line for each combination that works or does not, and how many there were."""

import asyncio
from collections.abc import Awaitable

from peers import Failed
from raw import Refused
from server import PATIENCE_S


class Report:
    passed = failed = 0

    async def line(self, text: str, deed: Awaitable[str | None]) -> bool:
        """Whether the deed went well; it is counted and printed."""
        try:
            async with asyncio.timeout(4 * PATIENCE_S):
                more = await deed
            self.passed += 1
            print(f"ok      {text}" + (f": {more}" if more else ""), flush=True)
            return True
        except (Failed, Refused, OSError) as error:
            self.fault(f"{text}: {str(error) or 'too slow'}")
            return False

    def fault(self, text: str) -> None:
        self.failed += 1
        print(f"FAILED  {text}", flush=True)
