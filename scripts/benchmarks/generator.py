"""One run of the load generator, which measures the server's CPU time and memory itself."""

import json
import subprocess

from . import setup
from .servers import LOOPBACK, Fault

RUN_S_MAX = 300
# How long one part of a run may take: logging in, warming up, measuring.
PART_S_MAX = 200
# One address has 28,000 ports for connections, and those of ended connections stay taken for a minute.
SOURCES = ",".join(f"127.0.0.{number}" for number in range(2, 10))


def run(server, what, arguments, tls=False):
    """Runs `rjabberd-load WHAT ARGUMENTS` against a server and gives back what it printed as a dictionary."""
    command = command_line(server, what, arguments, tls)
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=RUN_S_MAX)
    except subprocess.TimeoutExpired:
        raise Fault(f"{what} on {server.name} took over {RUN_S_MAX} s") from None
    lines = ended.stdout.strip().splitlines()
    if not server.alive():
        raise Fault(f"{server.name} ended during {what}: {server.last_words()}")
    if not lines:
        raise Fault(f"{what} on {server.name}: {ended.stderr.strip()[-500:]}")
    done = json.loads(lines[-1])
    if not done.get("operations"):
        raise Fault(f"{what} on {server.name}: {done.get('errors') or 'nothing was done'}")
    # What was lost or late is in the result; the report says so.
    return done


def command_line(server, what, arguments, tls=False):
    port = server.ports["direct" if tls else "none"]
    command = [setup.program("rjabberd-load"), what, "--target", f"{LOOPBACK}:{port}", "--domain", setup.DOMAIN]
    command += ["--password", setup.PASSWORD, "--mechanism", "SCRAM-SHA-1", "--source", SOURCES]
    command += ["--tls", "direct", "--insecure"] if tls else ["--tls", "none"]
    command += ["--timeout", str(PART_S_MAX), "--server-pid", str(server.pid), "--with-children"]
    return command + [str(argument) for argument in arguments]


def shown(what, arguments, tls=False):
    """The command as the report shows it: without what differs from run to run."""
    security = " --tls direct --insecure" if tls else ""
    return " ".join(["rjabberd-load", what, "…" + security, *map(str, arguments)])
