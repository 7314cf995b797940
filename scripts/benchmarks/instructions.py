"""User-space instructions for one message or one login: what does not change from run to run, nor with what else the machine does.

By the processor's counter where perf can read it; else by callgrind, which counts them while it runs the server some
fifty times slower. Callgrind counts the logins too, so two runs are made, and their difference taken.
"""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from . import generator, setup
from .servers import Fault

# Talkers, and messages of each in the two runs: few, for callgrind takes a millisecond for one. The warm-up of both
# runs is the same from 200 on, and falls out of the difference with the logins.
LOADS = {"callgrind": (10, (200, 500)), "perf": (100, (500, 2_500))}
# Logins in the two runs.
LOGINS = {"callgrind": (200, 700), "perf": (1_000, 4_000)}


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


def per_message(kind, window, how, more=()):
    """Instructions for one message on a server of that kind."""
    talkers, messages = LOADS[how]
    arguments = ["--sessions", talkers, "--window", window, "--settle", 0, "--stanza-bytes", 245, *more]
    counts = []
    with tempfile.TemporaryDirectory(prefix="bench-") as work:
        for each in messages:
            counts.append(COUNT_BY[how](kind, Path(work), "chat", [*arguments, "--messages", each]))
    return (counts[1] - counts[0]) / (messages[1] - messages[0]) / talkers


def per_login(kind, how):
    """Instructions for one login without TLS, of accounts that nobody asked for before."""
    logins, counts = LOGINS[how], []
    with tempfile.TemporaryDirectory(prefix="bench-") as work:
        for each in logins:
            arguments = ["--logins", each, "--sessions", each, "--concurrency", 10]
            counts.append(COUNT_BY[how](kind, Path(work), "login", arguments))
    return (counts[1] - counts[0]) / (logins[1] - logins[0])


def by_perf(kind, work, phase, arguments):
    with kind(work) as server:
        counter = subprocess.Popen(
            ["perf", "stat", "-x", ",", "-e", "instructions:u", "-p", str(server.pid)],
            stderr=subprocess.PIPE, text=True,
        )
        generator.run(server, phase, arguments)
        server.process.terminate()
        return int(counter.communicate()[1].split(",")[0])


def by_callgrind(kind, work, phase, arguments):
    class Watched(kind):
        """The server under callgrind."""

        def command(self):
            watch = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={self.folder / 'callgrind.out'}"]
            return watch + super().command()

    with Watched(work) as server:
        # The start is not of interest, and varies: TLS gathers entropy.
        subprocess.run(["callgrind_control", "--zero", str(server.pid)], check=True, capture_output=True)
        generator.run(server, phase, arguments)
        server.stop()
        counted = re.search(r"^(?:summary|totals): (\d+)", (server.folder / "callgrind.out").read_text(), re.M)
        if not counted:
            raise Fault(f"callgrind counted nothing of {server.name}")
        return int(counted[1])


COUNT_BY = {"perf": by_perf, "callgrind": by_callgrind}
