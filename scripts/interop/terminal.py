"""Profanity in a real terminal (tmux), and waiting for what its screen shows."""

import itertools
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

PATIENCE_S = 60
Answer = TypeVar("Answer")


def until(what: str, deed: Callable[[], Answer], patience: float = PATIENCE_S) -> Answer:
    """Asks again until the answer is yes."""
    deadline = time.monotonic() + patience
    while not (answer := deed()):
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {patience} s for {what}")
        time.sleep(0.1)
    return answer


class Tmux:
    """Profanity in a terminal of its own, with a home of its own."""

    number = itertools.count()

    def __init__(self, home: Path) -> None:
        self.socket = home / f"tmux-{next(self.number)}"
        # The log in the home tells what Profanity received, should the screen not say why.
        profanity = ["env", f"HOME={home}", "TERM=screen", "TZ=UTC", "profanity", "--log", "DEBUG"]
        self.run("new-session", "-d", "-x", "200", "-y", "50", *profanity)
        until("Profanity", lambda: "Profanity" in self.screen())

    def run(self, *arguments: str) -> str:
        command = ["tmux", "-S", str(self.socket), "-f", "/dev/null", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def screen(self) -> str:
        return self.run("capture-pane", "-p", "-S", "-200")

    def type(self, line: str) -> None:
        self.run("send-keys", "-l", line)
        self.run("send-keys", "Enter")

    def close(self) -> None:
        subprocess.run(["tmux", "-S", str(self.socket), "kill-server"], capture_output=True, check=False)
