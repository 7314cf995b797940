"""User-space instructions for one message: what does not change from run to run, nor with what else the machine does.

By the processor's counter where perf can read it; else by callgrind, which counts them while it runs the server some
fifty times slower. Callgrind counts the logins too, so two runs are made, and their difference taken.
"""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from . import generator, servers, setup
from .servers import Fault

# Fewer than in the chat phases: under callgrind each session costs milliseconds.
TALKERS = 100
MESSAGES = (1_000, 6_000)
PERF_MESSAGES = (50_000, 250_000)


def way():
    """"perf", "callgrind", or None where neither is there."""
    if shutil.which("perf"):
        probe = subprocess.run(
            ["perf", "stat", "-x", ",", "-e", "instructions:u", "true"], capture_output=True, text=True
        )
        if probe.returncode == 0 and "not supported" not in probe.stderr and "not counted" not in probe.stderr:
            return "perf"
    try:
        setup.need("valgrind", "valgrind")
    except SystemExit:
        return None
    return "callgrind"


def per_message(name, window, how):
    """Instructions for one message on a server of that name."""
    counts, messages = [], PERF_MESSAGES if how == "perf" else MESSAGES
    with tempfile.TemporaryDirectory(prefix="bench-") as work:
        for count in messages:
            counts.append(count_by[how](servers.KINDS[name], Path(work), window, count))
    return (counts[1] - counts[0]) / (messages[1] - messages[0])


def chat(server, window, count):
    arguments = ["--sessions", TALKERS, "--window", window, "--messages", count, "--stanza-bytes", 245]
    done = generator.run(server, "chat", arguments)
    if not done.get("operations"):
        raise Fault(f"no message was delivered by {server.name}")


def by_perf(kind, work, window, count):
    with kind(work) as server:
        counter = subprocess.Popen(
            ["perf", "stat", "-x", ",", "-e", "instructions:u", "-p", str(server.pid)],
            stderr=subprocess.PIPE, text=True,
        )
        chat(server, window, count)
        server.process.terminate()
        return int(counter.communicate()[1].split(",")[0])


def by_callgrind(kind, work, window, count):
    class Watched(kind):
        """The server under callgrind."""

        def command(self):
            watch = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={self.folder / 'callgrind.out'}"]
            return watch + super().command()

    with Watched(work) as server:
        chat(server, window, count)
        server.stop()
        counted = re.search(r"^(?:summary|totals): (\d+)", (server.folder / "callgrind.out").read_text(), re.M)
        if not counted:
            raise Fault(f"callgrind counted nothing of {server.name}")
        return int(counted[1])


count_by = {"perf": by_perf, "callgrind": by_callgrind}
