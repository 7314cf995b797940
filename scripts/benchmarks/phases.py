"""The phases of a full run: each is the same few runs of the load generator, on every server, each started fresh."""

import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from . import generator, machine, servers
from .servers import Fault

REFERENCES = ["r1", "r2", "r3"]
EVERY = ["rjabberd", *REFERENCES, "ejabberd", "prosody"]
# R2 and R3 say where the time of a message goes; logging in and being idle is the same in all three.
USUAL = ["rjabberd", "r1", "ejabberd", "prosody"]
WITH_TLS = ["rjabberd", "ejabberd", "prosody"]
# The relays have no rosters.
WITH_ROSTERS = ["rjabberd", "ejabberd", "prosody"]
CONTACTS = [50, 500]
SIZES = [1_000, 5_000, 15_000]
TALKERS = 1_000
STANZA_BYTES = 245
STARTS = 5
# Erlang's memory falls for some seconds after the start.
SETTLE_S = 3


@dataclass
class Phase:
    name: str
    servers: list
    # Runs of the generator on one server, one after another: (what, arguments).
    runs: list = field(default_factory=list)
    tls: bool = False
    # Other runs for servers that would take too long with these.
    runs_of: dict = field(default_factory=dict)
    # Runs that are not measured, after which the server is started anew on what they left.
    before: list = field(default_factory=list)
    before_of: dict = field(default_factory=dict)

    def runs_on(self, server):
        return self.runs_of.get(server, self.runs)

    def before_on(self, server):
        return self.before_of.get(server, self.before)


def all_phases(small):
    """Every phase, at full size or at a twentieth of it."""
    part = 20 if small else 1
    sizes = {size: size // part for size in SIZES}
    talkers, seconds = TALKERS // part, 2 if small else 8
    phases = [Phase("start", USUAL)]
    for kind, tls in (("plain", False), ("tls", True)):
        named = WITH_TLS if tls else USUAL
        # The second run finds the accounts where the first left them: in the server's and the system's caches.
        one = lambda logins: ("login", ["--logins", logins // part, "--sessions", logins // part, "--concurrency", 20])
        slow = {name: [one(1_000), one(1_000)] for name in ("ejabberd", "prosody")}
        phases.append(Phase(f"login-{kind}", named, [one(4_000), one(4_000)], tls, slow))
        for size, sessions in sizes.items():
            watched = 2 if small else 10 if size == SIZES[-1] else 5
            idle = ["--sessions", sessions, "--settle", 3, "--idle-seconds", watched]
            traffic = idle + ["--traffic", 100]
            # 15,000 sessions with 100 messages each are 1.5 million: minutes for the slower two.
            slow = {name: [("idle", idle)] for name in ("ejabberd", "prosody") if size > 1_000}
            phases.append(Phase(f"idle-{kind}-{size}", named, [("idle", traffic)], tls, slow))
    chat = ["--sessions", talkers, "--stanza-bytes", STANZA_BYTES, "--seconds", seconds, "--settle", 1]
    for window in (1, 8):
        phases.append(Phase(f"chat-w{window}", EVERY, [("chat", chat + ["--window", window])]))
    for rate in (1_000, 5_000):
        phases.append(Phase(f"rate-{rate}", USUAL, [("rate", chat + ["--rate", rate])]))
    for size, sessions in sizes.items():
        crowd = chat + ["--window", 1, "--idle-sessions", sessions, "--idle-seconds", 1]
        phases.append(Phase(f"crowd-{size}", EVERY, [("chat", crowd)]))
    return phases + with_contacts(part, seconds)


def with_contacts(part, seconds):
    """Phases whose accounts have each other as contacts, which the generator arranges by the protocol first."""
    contacts = [number // (5 if part > 1 else 1) // 2 * 2 for number in CONTACTS]
    # In the second, senders have as many contacts as the others are; those have only the senders.
    few = ["--sessions", 4 * contacts[0], "--senders", 20, "--contacts", contacts[0]]
    many = ["--sessions", contacts[1] + 4, "--senders", 4, "--contacts", contacts[1], "--only-senders"]
    more = ["--seconds", seconds, "--settle", 1]
    phases = [Phase(f"presence-{CONTACTS[0]}", WITH_ROSTERS, [("presence", few + more)])]
    phases.append(Phase(f"presence-{CONTACTS[1]}", WITH_ROSTERS, [("presence", many + more)]))

    def login(accounts):
        one = ["--sessions", accounts, "--contacts", contacts[0], "--concurrency", 20, "--settle", 0]
        again = one + ["--logins", 3 * accounts]
        return [("login-roster", one), ("login-roster", again)]

    def rosters(accounts):
        return [("contacts", ["--layout", "halves", "--sessions", 2 * accounts, "--contacts", contacts[0]])]

    # Prosody writes the whole roster for each change: a thousand are half an hour.
    full, less = max(1_000 // part, contacts[0]), max(100 // part, contacts[0])
    slow = ("ejabberd", "prosody")
    phases.append(
        Phase(
            "login-roster", WITH_ROSTERS, login(full), runs_of={name: login(less) for name in slow},
            before=rosters(full), before_of={name: rosters(less) for name in slow},
        )
    )
    return phases


def run(plan, named, results):
    """Makes all runs, phase by phase, and keeps each result at once; gives the number that failed."""
    failed = 0
    with tempfile.TemporaryDirectory(prefix="bench-") as work:
        made = {name: servers.KINDS[name](Path(work)) for name in named}
        for phase in plan:
            for name in [name for name in phase.servers if name in made]:
                row = run_one(phase, made[name])
                results.add(row)
                failed += "fault" in row
                print(f"{phase.name:18} {name:9} {summary(row)}", file=sys.stderr, flush=True)
    return failed


def run_one(phase, server):
    row = {"phase": phase.name, "server": server.name, "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    row |= {"version": server.version(), "machine": machine.describe(), "busy": machine.busy_share()}
    try:
        if phase.name == "start":
            row["starts_s"] = starts(server)
        else:
            runs = phase.runs_on(server.name)
            shown = phase.before_on(server.name) + runs
            row["commands"] = [generator.shown(what, arguments, phase.tls) for what, arguments in shown]
            with server:
                for what, arguments in phase.before_on(server.name):
                    prepared = generator.run(server, what, arguments, phase.tls)
                    if not prepared.get("ok"):
                        raise Fault(f"{what} on {server.name}: {prepared.get('errors')}")
                    server.restart()
                if phase.name.startswith("idle-"):
                    time.sleep(SETTLE_S)
                row["runs"] = [generator.run(server, what, arguments, phase.tls) for what, arguments in runs]
    except (Fault, OSError) as fault:
        row["fault"] = str(fault)
    return row


def starts(server):
    """Seconds from the start of the process to the first stream features, several times."""
    taken = []
    for _ in range(STARTS):
        with server:
            taken.append(round(server.started_s, 4))
    return taken


def summary(row):
    if "fault" in row:
        return "FAILED: " + row["fault"]
    if "starts_s" in row:
        return f"{statistics.median(row['starts_s']) * 1000:.0f} ms"
    return "; ".join(one_line(run) for run in row["runs"])


def one_line(run):
    units = {
        "operations": "operations",
        "server_cpu_us_per_op": "µs each",
        "server_cpu_us_for_roster": "µs of that for the roster",
        "kib_per_session": "KiB a session",
        "idle_cpu_percent": "% of a core when idle",
    }
    parts = [f"{run[key]:,.1f} {unit}" for key, unit in units.items() if isinstance(run.get(key), (int, float))]
    return ", ".join(parts) + ("" if run.get("ok") else f" NOT CLEAN: {run.get('errors')}, {run.get('lost')} lost")
