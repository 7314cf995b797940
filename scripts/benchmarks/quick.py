"""`scripts/bench --quick`: rjabberd beside the bare relay in three minutes, for whoever changes the code.

Ten runs of each, in turn, so that what else the machine does meets both; medians, and ratios pair by pair.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from . import generator, instructions, machine, servers, setup
from .servers import Fault

RUNS = 10
WINDOWS = (1, 8)
TALKERS = 1_000
SECONDS = 1.5
PAIR = ["rjabberd", "r1"]


def run():
    began, busy = time.monotonic(), machine.busy_share(1)
    report = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "busy": busy}
    with tempfile.TemporaryDirectory(prefix="bench-") as work:
        pair = [servers.KINDS[name](Path(work)) for name in PAIR]
        report["version"] = pair[0].version()
        with pair[0], pair[1]:
            for window in WINDOWS:
                report[f"chat_w{window}"] = chat(pair, window)
            report["login_us"] = [login(server) for server in pair]
            report["p99_ms"] = [p99(server) for server in pair]
            report["presence_us"] = presence(pair[0])
    report["instructions"] = counted()
    kept = setup.target() / "bench" / "quick.jsonl"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.open("a") as out:
        out.write(json.dumps(report) + "\n")
    tell(report)
    print(f"\nraw results: {kept}; took {time.monotonic() - began:.0f} s", file=sys.stderr)
    return 0


def chat(pair, window):
    arguments = ["--sessions", TALKERS, "--window", window, "--seconds", SECONDS, "--warmup", 0.3, "--settle", 0, "--stanza-bytes", 245]
    taken = [[], []]
    for number in range(RUNS):
        # Each goes first in every other pair.
        for index in (0, 1) if number % 2 == 0 else (1, 0):
            taken[index].append(generator.run(pair[index], "chat", arguments)["server_cpu_us_per_op"])
        print(f"window {window}: {number + 1} of {RUNS}", file=sys.stderr)
    return taken


def login(server):
    done = generator.run(server, "login", ["--logins", 3_000, "--sessions", 3_000, "--concurrency", 20])
    return done["server_cpu_us_per_op"]


def p99(server):
    arguments = ["--sessions", TALKERS, "--rate", 1_000, "--seconds", 5, "--stanza-bytes", 245]
    return generator.run(server, "rate", arguments)["latency_us"]["p99"] / 1000


def presence(server):
    """Of rjabberd alone, for the relay has no rosters; the 2,500 pairs of contacts are made first."""
    arguments = ["--sessions", 100, "--contacts", 50, "--senders", 20, "--seconds", 5, "--settle", 0]
    try:
        return generator.run(server, "presence", arguments)["server_cpu_us_per_op"]
    except Fault as fault:
        print(fault, file=sys.stderr)
        return None


def counted():
    how, kinds = instructions.way(), [servers.KINDS[name] for name in PAIR]
    if how is None:
        return {"by": None}
    try:
        return {"by": how} | {
            f"w{window}": [instructions.per_message(kind, window, how) for kind in kinds] for window in WINDOWS
        } | {"login": [instructions.per_login(kind, how) for kind in kinds]}
    except Fault as fault:
        return {"by": None, "fault": str(fault)}


def tell(report):
    """Prints the figures as a table."""
    print(f"rjabberd {report['version']}; others took {report['busy'] * 100:.0f} % of the cores before it began")
    print(f"{'':34}{'rjabberd':>10}{'R1':>10}{'ratio':>8}   from … to")
    for window in WINDOWS:
        own, relay = report[f"chat_w{window}"]
        ratios = sorted(one / other for one, other in zip(own, relay))
        middle = statistics.median(own), statistics.median(relay), statistics.median(ratios)
        line = f"chat, window {window}, µs a message"
        print(f"{line:34}{middle[0]:10.2f}{middle[1]:10.2f}{middle[2]:8.2f}   {ratios[0]:.2f} … {ratios[-1]:.2f}")
    for line, key in (("login, µs", "login_us"), ("p99 at 1,000 messages/s, ms", "p99_ms")):
        print(f"{line:34}{report[key][0]:10.2f}{report[key][1]:10.2f}")
    if report["presence_us"] is not None:
        print(f"{'presence to 50 contacts, µs each':34}{report['presence_us']:10.2f}")
    counted = report["instructions"]
    if not counted["by"]:
        print("instructions: neither perf nor callgrind counts here " + counted.get("fault", ""))
        return
    for window in WINDOWS:
        own, relay = counted[f"w{window}"]
        line = f"instructions, window {window} ({counted['by']})"
        print(f"{line:34}{own:10,.0f}{relay:10,.0f}{own / relay:8.2f}")
    own, relay = counted["login"]
    line = f"instructions, login ({counted['by']})"
    print(f"{line:34}{own:10,.0f}{relay:10,.0f}{own / relay:8.2f}")
