"""`scripts/bench --acknowledged`: what it costs that no message is lost: the archive (XEP-0313), and stream management (XEP-0198).

Each server runs in several ways that differ in one thing. Those take turns, so that what else the machine does meets all
of them; told are medians, and ratios of runs that stood side by side. Writes its section of docs/performance.md.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from . import generator, instructions, machine, report, servers, setup
from .charts import number
from .phases import STANZA_BYTES
from .servers import Fault

HEADING = "Archive and stream management"
ROUNDS = 5
WINDOWS = (1, 8)
TALKERS = 200
CHAT = ["--sessions", TALKERS, "--seconds", 1.5, "--warmup", 0.3, "--settle", 0.5, "--stanza-bytes", STANZA_BYTES]
SESSIONS = 5_000
IDLE = ["--sessions", SESSIONS, "--settle", 3, "--idle-seconds", 4]
# Each is some 12 s of Prosody's logins.
IDLE_ROUNDS = {"rjabberd": 3, "rjabberd-before": 2}
IDLE_ROUNDS_OTHERS = 1
MANAGED = ["--managed"]


class Rjabberd(servers.Rjabberd):
    name = "rjabberd"


class RjabberdArchive(servers.Rjabberd):
    """With the archive, as it ships."""

    name = "rjabberd-archive"
    seed_of = "rjabberd"

    def configure(self):
        super().configure()
        replace(self.folder / "rjabberd.toml", "[archive]\nenabled = false", "[archive]\nenabled = true")


class RjabberdBefore(servers.Rjabberd):
    """An older build, which knows no archive. Its accounts are its own: a schema is not read by what is older."""

    name = "rjabberd-before"
    binary = None

    def configure(self):
        super().configure()
        replace(self.folder / "rjabberd.toml", "[archive]\nenabled = false\n", "")

    def program(self):
        return str(self.binary)

    def version(self):
        return "an older build"


class Ejabberd(servers.Ejabberd):
    """With stream management, which only who enables it has."""

    modules = "  mod_stream_mgmt: {}\n"

    def configure(self):
        super().configure()
        path = self.folder / "ejabberd.yml"
        path.write_text(path.read_text().rstrip() + "\n" + self.modules)


class EjabberdArchive(Ejabberd):
    name = "ejabberd-archive"
    seed_of = "ejabberd"
    modules = Ejabberd.modules + "  mod_mam: {default: always}\n"


class Prosody(servers.Prosody):
    """With stream management, which only who enables it has."""

    modules = '"ping", "smacks"'

    def configure(self):
        super().configure()
        replace(self.folder / "prosody.cfg.lua", '"ping"', self.modules)


class ProsodyArchive(Prosody):
    name = "prosody-archive"
    seed_of = "prosody"
    modules = '"ping", "smacks", "mam"'


# Of each server: without an archive, and with.
PAIRS = {
    "rjabberd": (Rjabberd, RjabberdArchive),
    "ejabberd": (Ejabberd, EjabberdArchive),
    "prosody": (Prosody, ProsodyArchive),
}


def replace(path, old, new):
    text = path.read_text()
    if old not in text:
        raise Fault(f"{path.name} has no {old!r}")
    path.write_text(text.replace(old, new))


def run(named, before):
    """Measures, and writes the section. `before` is an older build of rjabberd to measure beside, or None."""
    began = time.monotonic()
    names = [name for name in PAIRS if name in named]
    if before:
        RjabberdBefore.binary = Path(before).resolve()
    told = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "busy": []}
    told |= {"machine": machine.describe(), "versions": {}, "chat": {}, "idle": {}, "faults": []}
    with tempfile.TemporaryDirectory(prefix="bench-") as work:
        for name in names:
            told["busy"].append(machine.busy_share(2))
            measure(Path(work), name, before, told)
    told["instructions"] = counted(before) if "rjabberd" in names else {"by": None}
    told["busy"].append(machine.busy_share(2))
    kept = setup.target() / "bench" / "acknowledged.jsonl"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.open("a") as out:
        out.write(json.dumps(told) + "\n")
    print(f"raw results: {kept}; took {time.monotonic() - began:.0f} s", file=sys.stderr)
    report.put(HEADING, section(told))
    return 1 if told["faults"] else 0


def measure(work, name, before, told):
    """Everything of one server; what fails is told, and the next is measured."""
    kinds = list(PAIRS[name]) + [RjabberdBefore] * bool(before and name == "rjabberd")
    made = [kind(work) for kind in kinds]
    for server in made:
        # What differs is no account: one seed is enough.
        server.seed = work / f"{getattr(server, 'seed_of', server.name)}-seed"
    try:
        told["versions"][name] = made[0].version()
        told["chat"] |= chat(made)
        told["idle"] |= idle(made)
    except (Fault, OSError) as fault:
        told["faults"].append(f"{name}: {fault}")
        print(f"{name} FAILED: {fault}", file=sys.stderr)


def ways(made):
    """How each server is used: (what it is called, server, more arguments of the generator)."""
    plain = [(server.name, server, []) for server in made]
    return plain + [(f"{made[0].name}-managed", made[0], MANAGED)]


def chat(made):
    """Runs of each window, all ways in turn, the first one another each round."""
    for server in made:
        server.start()
    try:
        taken = {}
        for window in WINDOWS:
            for turn in range(ROUNDS):
                every = ways(made)
                for called, server, more in every[turn % len(every):] + every[: turn % len(every)]:
                    done = generator.run(server, "chat", [*CHAT, "--window", window, *more])
                    one = {"us": done["server_cpu_us_per_op"], "p50_ms": done["latency_us"]["p50"] / 1000}
                    one |= {"p99_ms": done["latency_us"]["p99"] / 1000, "per_s": done["ops_per_s"], "ok": done["ok"]}
                    one |= {"lost": done.get("lost"), "errors": done.get("errors")}
                    taken.setdefault(f"{called} w{window}", []).append(one)
            for called, _, _ in ways(made):
                print(f"window {window}, {called}: {median(taken[f'{called} w{window}'], 'us'):.2f} µs", file=sys.stderr)
        return taken
    finally:
        for server in made:
            server.stop()


def idle(made):
    """Each run on a server that was started anew; sessions that count and sessions that do not take turns."""
    taken = {}
    for turn in range(max(IDLE_ROUNDS.get(server.name, IDLE_ROUNDS_OTHERS) for server in made)):
        for called, server, more in ways(made):
            # An idle session has nothing to archive.
            if server.name.endswith("-archive") or turn >= IDLE_ROUNDS.get(server.name, IDLE_ROUNDS_OTHERS):
                continue
            with server:
                time.sleep(1)
                done = generator.run(server, "idle", [*IDLE, *more])
            one = {"kib": done["kib_per_session"], "percent": done["idle_cpu_percent"], "ok": done["ok"]}
            taken.setdefault(called, []).append(one)
            print(f"idle, {called}: {one['kib']} KiB a session", file=sys.stderr)
    return taken


def counted(before):
    """Instructions for one message of rjabberd, by way and window."""
    how = instructions.way()
    if how is None:
        return {"by": None}
    kinds = [("rjabberd", Rjabberd, ()), ("rjabberd-archive", RjabberdArchive, ()), ("rjabberd-managed", Rjabberd, MANAGED)]
    kinds += [("rjabberd-before", RjabberdBefore, ())] * bool(before)
    taken = {"by": how}
    for window in WINDOWS:
        for called, kind, more in kinds:
            try:
                taken[f"{called} w{window}"] = round(instructions.per_message(kind, window, how, more))
            except Fault as fault:
                print(fault, file=sys.stderr)
    return taken


def median(runs, key):
    return statistics.median(one[key] for one in runs)


def beside(runs, others, key):
    """The median of the ratios of runs that stood side by side, least and most."""
    ratios = sorted(one[key] / other[key] for one, other in zip(runs, others))
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} … {ratios[-1]:.2f})"


NAMES = {"rjabberd": "rjabberd", "ejabberd": "ejabberd", "prosody": "Prosody"}
CAUTION = (
    " Counted once each, in few messages.\nWhat wakes by the clock and not by a message is in it, and more so the slower the run: small differences tell nothing.\n"
)
DIFFERENT = {
    "": "no archive, nobody counts",
    "-archive": "archive on",
    "-managed": "no archive, sessions count (XEP-0198)",
    "-before": "the older build, which has neither",
}


def section(told):
    """The section, from what was measured and nothing else."""
    parts = [
        "\n`scripts/bench --acknowledged` wrote this: what the archive (XEP-0313) costs a message, and stream management "
        "(XEP-0198) a\nsession and a message. The ways of one server take turns, each window "
        f"{ROUNDS} times; told are medians, and in brackets the least\nand the most of the ratios of runs that stood side by side.",
        noise(told),
        chats(told),
        idles(told),
        instructed(told["instructions"]),
        method(told),
    ]
    if told["faults"]:
        parts.insert(2, "Not measured, because it failed:\n\n" + "\n".join(f"- {fault}" for fault in told["faults"]))
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def noise(told):
    shares = ", ".join(f"{share * 100:.0f} %" for share in told["busy"])
    return (
        f"Other programs took {shares} of the cores before, between and after, when nothing ran here. The generator has the same two cores, and microseconds of "
        "CPU vary\nfrom run to run as the brackets say: a ratio whose brackets hold 1 tells no difference."
    )


def called_ways(runs, name):
    return [(name + more, text) for more, text in DIFFERENT.items() if name + more in {key.split(" ")[0] for key in runs}]


def chats(told):
    rows = []
    for name, title in NAMES.items():
        for called, text in called_ways(told["chat"], name):
            row = [f"{title}: {text}"]
            for window in WINDOWS:
                runs, plain = told["chat"][f"{called} w{window}"], told["chat"][f"{name} w{window}"]
                row += [number(median(runs, "us")), "1" if called == name else beside(runs, plain, "us")]
                row += [number(median(runs, "p50_ms")), number(median(runs, "p99_ms"))]
            rows.append(row)
    titles = [""]
    for window in WINDOWS:
        titles += [f"window {window}: µs of CPU a message", "× the first", "p50, ms", "p99, ms"]
    unclean = {called: [one for one in runs if not one["ok"]] for called, runs in told["chat"].items()}
    lines = [
        f"- {called}: {len(ones)} runs; {', '.join(sorted({str(one['errors'] or one['lost']) for one in ones}))}"
        for called, ones in unclean.items() if ones
    ]
    lost = "\nRuns that were not clean, something lost, late or refused:\n\n" + "\n".join(lines) if lines else "\nNothing was lost in any run."
    return f"### Chat of {TALKERS} talkers\n" + report.table(titles, rows) + lost


def idles(told):
    rows = []
    for name, title in NAMES.items():
        for called, text in called_ways(told["idle"], name):
            kib = sorted(one["kib"] for one in told["idle"][called])
            plain = statistics.median(one["kib"] for one in told["idle"][name])
            middle = statistics.median(kib)
            row = [f"{title}: {text}", number(middle), f"{middle - plain:+.2f}", ", ".join(number(one) for one in kib)]
            rows.append(row + [number(median(told["idle"][called], "percent"))])
    if not rows:
        return ""
    titles = ["", "KiB each", "more than the first", "all runs", "% of a core"]
    return f"### {SESSIONS:,} idle sessions, plain\n" + report.table(titles, rows)


def instructed(counts):
    if not counts.get("by"):
        return ""
    rows = []
    for called, text in called_ways({key: 0 for key in counts if " " in key}, "rjabberd"):
        row = [text]
        for window in WINDOWS:
            own, plain = counts.get(f"{called} w{window}"), counts.get(f"rjabberd w{window}")
            row += [f"{own:,}" if own else "", f"{own / plain:.2f}" if own and plain else ""]
        rows.append(row)
    titles = ["", "window 1", "× the first", "window 8", "× the first"]
    heading = f"### Instructions of rjabberd for one message, in user space, by {counts['by']}\n"
    talkers, messages = instructions.LOADS[counts["by"]]
    how = f"\nOf {talkers} talkers: the difference of {messages[1]:,} messages each and {messages[0]:,}.{CAUTION}"
    return heading + report.table(titles, rows) + how


def method(told):
    versions = ", ".join(f"{NAMES[name]} {version}" for name, version in told["versions"].items())
    commands = [generator.shown("chat", [*CHAT, "--window", window, *more]) for window in WINDOWS for more in ([], MANAGED)]
    commands += [generator.shown("idle", [*IDLE, *more]) for more in ([], MANAGED)]
    return (
        f"{told['at'][:10]}; {report.describe(told['machine'])}; {versions}. The servers are set up as above; the archive is each one's own "
        "as it ships,\nof every message (`mod_mam` with `default: always`, on Mnesia; `mam`, in files; rjabberd's in SQLite). "
        "Sessions that count enable stream\nmanagement with `resume='true'` and answer when they are asked.\n\n"
        "```console\nscripts/bench --acknowledged --before OLDER\n" + "\n".join(commands) + "\n```"
    )
