"""The command line of `scripts/bench`: which runs are made, and what is written from them."""

import argparse
import signal
import sys
import time

from . import acknowledged, phases, quick, report, servers, setup
from .results import Results


def main(arguments):
    options = parse(arguments)
    # So that an interrupted run ends the servers that it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results = Results(setup.target() / "bench" / ("small.jsonl" if options.small else "results.jsonl"))
    if options.report:
        report.write(results, options.small)
        return 0
    if options.quick:
        setup.prepare(["rjabberd", "r1"])
        return quick.run()
    if options.acknowledged:
        named = options.servers or ["rjabberd", "ejabberd", "prosody"]
        setup.prepare(named)
        return acknowledged.run(named, options.before)
    plan = [phase for phase in phases.all_phases(options.small) if wanted(phase, options.only)]
    named = options.servers or list(servers.KINDS)
    setup.prepare(named)
    print(f"{len(plan)} phases; raw results go to {results.path}", file=sys.stderr)
    began = time.monotonic()
    failed = phases.run(plan, named, results)
    report.write(results, options.small)
    print(f"took {time.monotonic() - began:.0f} s", file=sys.stderr)
    return 1 if failed else 0


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures rjabberd beside a bare relay, ejabberd and Prosody, each fresh for each phase, and writes "
        "docs/performance.md. What is compared is a server's own CPU time for one operation, and its memory.",
    )
    parser.add_argument("--quick", action="store_true", help="rjabberd and r1 only, in three minutes, on the terminal")
    parser.add_argument("--acknowledged", action="store_true", help="what archive and stream management cost, and only that")
    parser.add_argument("--before", metavar="PROGRAM", help="an older rjabberd to measure beside, with --acknowledged")
    parser.add_argument("--only", type=names, metavar="PHASE,…", help="only phases whose name is or begins with this")
    parser.add_argument("--servers", type=names, metavar="SERVER,…", help=f"only these of {', '.join(servers.KINDS)}")
    parser.add_argument("--small", action="store_true", help="every phase at a twentieth of its size, to see that it works")
    parser.add_argument("--report", action="store_true", help="measure nothing, write the report from the raw results")
    options = parser.parse_args(arguments)
    for name in options.servers or []:
        if name not in servers.KINDS:
            parser.error(f"there is no server {name!r}: {', '.join(servers.KINDS)}")
    known = [phase.name for phase in phases.all_phases(False)]
    for name in options.only or []:
        if not any(other == name or other.startswith(name + "-") for other in known):
            parser.error(f"there is no phase {name!r}: {', '.join(known)}")
    return options


def names(text):
    return [name.strip() for name in text.split(",") if name.strip()]


def wanted(phase, only):
    return only is None or any(phase.name == name or phase.name.startswith(name + "-") for name in only)
