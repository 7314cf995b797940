"""Writes docs/performance.md and its charts from the raw results; measures nothing."""

import statistics

from . import charts, setup
from .charts import number
from .figures import Figures, quotient
from .phases import CONTACTS, EVERY, SIZES, WITH_ROSTERS

NAMES = {"rjabberd": "rjabberd", "r1": "R1", "r2": "R2", "r3": "R3", "ejabberd": "ejabberd", "prosody": "Prosody"}
COMPARED = ["rjabberd", "r1", "ejabberd", "prosody"]
# Sections that are measured apart, in their order at the end of the page.
KEPT = ["Archive and stream management", "A big archive"]
# A machine on which others take more than this share of the cores is not quiet.
BUSY_MAX = 0.10


def write(results, small):
    """Writes the report where it belongs; that of a small run stays beside its results."""
    page = results.path.parent / "small" / "performance.md" if small else setup.ROOT / "docs" / "performance.md"
    folder = page.parent / "performance"
    folder.mkdir(parents=True, exist_ok=True)
    figures = Figures(results)
    drawn = draw(figures)
    for name, svg in drawn.items():
        (folder / f"{name}.svg").write_text(svg)
    unclean = unclean_runs(results)
    parts = [head(results, small), summary(figures), anatomy(figures), pictures(drawn), details(figures), unclean, method(results)]
    parts += kept(page).values()
    page.write_text(joined(parts))
    print(page)


def kept(page):
    """The sections that this does not measure and which stay as they are, by their headings."""
    sections = ("\n" + page.read_text()).split("\n## ")[1:] if page.exists() else []
    return {heading: "## " + section for heading in KEPT for section in sections if section.startswith(heading + "\n")}


def joined(parts):
    return "\n".join(part.strip("\n") + "\n" for part in parts if part)


def put(heading, section):
    """Writes one of the kept sections anew, and leaves the rest of the page."""
    page = setup.ROOT / "docs" / "performance.md"
    others = kept(page)
    before = page.read_text()
    for other in others.values():
        before = before.replace(other, "")
    others[heading] = f"## {heading}\n{section}"
    page.write_text(joined([before, *(others[name] for name in KEPT if name in others)]))
    print(page)


def head(results, small):
    rows = list(results.rows.values())
    busy = [row["busy"] for row in rows]
    notes = []
    if small:
        notes.append("**A small run, to see that every phase works: its figures mean nothing.**\n")
    elif busy and statistics.median(busy) > BUSY_MAX:
        notes.append(
            "**A draft: other programs took "
            f"{statistics.median(busy) * 100:.0f} % of the cores while this was measured. Only ratios within one row "
            "say anything.**\n"
        )
    failed = [f"- {row['phase']} on {row['server']}: {row['fault']}" for row in rows if "fault" in row]
    if failed:
        notes.append("Not measured, because it failed:\n\n" + "\n".join(failed) + "\n")
    return f"""
# Performance
`scripts/bench` wrote this page. It runs rjabberd, ejabberd, Prosody and a bare relay on one machine, each started fresh
for each phase, and puts the same load on each. What is compared is the **server's own CPU time for one operation** and
its memory, read from the kernel: the load generator has the same cores, so that operations per second say little.

{chr(10).join(notes)}
"""


def summary(f):
    """The budgets, and whether they hold."""
    rows = [
        budget("Chat, one message in flight each, µs of CPU a message", lambda s: f.cpu_us("chat-w1", s), f, 1.8, 1.3),
        budget("Chat, 8 in flight each, µs of CPU a message", lambda s: f.cpu_us("chat-w8", s), f, 1.3, 1.0),
        budget("Login, first after the start, µs of CPU", lambda s: f.cpu_us("login-plain", s, 0), None, 200, 120),
        budget("The same users again", lambda s: f.cpu_us("login-plain", s, 1), None, 200, 120),
        budget("Login with TLS, first after the start", lambda s: f.cpu_us("login-tls", s, 0), None, 450, 300),
        budget("The same users again", lambda s: f.cpu_us("login-tls", s, 1), None, 450, 300),
        budget("Idle session, KiB (15,000 of them)", lambda s: f.kib("plain", 15_000, s), None, 6, 4),
        budget("Idle session with TLS, KiB (15,000 of them)", lambda s: f.kib("tls", 15_000, s), None, 15, 10),
        budget("Memory of a session after traffic / before", lambda s: f.growth("plain", s), None, 1.25, 1.1),
        budget("The same with TLS", lambda s: f.growth("tls", s), None, 1.25, 1.1),
        budget("CPU of 15,000 idle sessions, % of a core", lambda s: f.idle_share("plain", 15_000, s), None, 1, 0.2),
        budget("Latency at 1,000 messages/s, p99, ms", lambda s: f.p99_ms("rate-1000", s), None, 1, 0.4),
        budget("Start to first stream features, ms", f.start_ms, None, 100, 30),
        budget("Presence to 50 contacts, µs of CPU for one delivered", lambda s: f.cpu_us("presence-50", s), None, 12, 6),
        budget("The same to 500 contacts", lambda s: f.cpu_us("presence-500", s), None, None, None),
        budget("Login with a roster of 50, first: µs of CPU more than with none", lambda s: f.for_roster_us(s, 0), None, 40, None),
        budget("The same users again", lambda s: f.for_roster_us(s, 1), None, 40, None),
    ]
    titles = ["", *(NAMES[name] for name in COMPARED), "must", "aim", "rjabberd holds"]
    return "## Budgets\n" + table(titles, rows) + "\nR1 is the bare relay; “× R1” is against it in the same run.\n"


def budget(label, figure, ratio_of, must, aim):
    values = {name: figure(name) for name in COMPARED}
    own, unit = values["rjabberd"], ""
    if ratio_of:
        own, unit = quotient(values["rjabberd"], values["r1"]), " × R1"
    cells = [shown(values[name]) for name in COMPARED]
    if ratio_of and own:
        cells[0] += f" ({own:.2f} × R1)"
    if own is None or must is None:
        verdict = "–"
    elif aim is not None and own <= aim:
        verdict = "aim"
    else:
        verdict = "must" if own <= must else "**no**"
    limits = ["–" if limit is None else f"≤ {limit:g}{unit}" for limit in (must, aim)]
    return [label, *cells, *limits, verdict]


def anatomy(f):
    """Where the time of a message goes."""
    rows = []
    steps = [
        ("r1", "reads, looks for the addressee, writes: what the kernel costs"),
        ("r2", "and finds the ends of stanzas with our framer"),
        ("r3", "and passes each message from a receiver to a c2s to the addressee's c2s"),
        ("rjabberd", "and all the rest: parsing, checks, routing, credit, counters"),
    ]
    for name, does in steps:
        cells = [cell for phase in ("chat-w1", "chat-w8") for cell in (shown(f.cpu_us(phase, name)), times(f.ratio(phase, name)))]
        rows.append([NAMES[name], does, *cells])
    titles = ["", "does", "window 1, µs", "× R1", "window 8, µs", "× R1"]
    return "## Where the time of a message goes\n" + table(titles, rows)


def draw(f):
    per_message = [
        (f"window {window}", [(NAMES[name], f.cpu_us(f"chat-w{window}", name)) for name in EVERY]) for window in (1, 8)
    ]
    logins = [
        (title, [(NAMES[name], f.cpu_us(f"login-{kind}", name, index)) for name in COMPARED])
        for title, kind, index in (
            ("plain, first", "plain", 0), ("plain, again", "plain", 1), ("TLS, first", "tls", 0), ("TLS, again", "tls", 1)
        )
    ]
    memory = [
        (f"{size:,} sessions, {kind}", [(NAMES[name], f.kib(kind.lower(), size, name)) for name in COMPARED])
        for kind in ("plain", "TLS")
        for size in SIZES
    ]
    crowd = [
        (NAMES[name], [(0, f.cpu_us("chat-w1", name))] + [(size, f.cpu_us(f"crowd-{size}", name)) for size in SIZES])
        for name in EVERY
    ]
    presence = [
        (f"to {number} contacts", [(NAMES[name], f.cpu_us(f"presence-{number}", name)) for name in WITH_ROSTERS])
        for number in CONTACTS
    ]
    return {
        "message": charts.bars("CPU of the server for one message", "µs", per_message),
        "login": charts.bars("CPU of the server for one login", "µs", logins),
        "memory": charts.bars("Memory of one idle session", "KiB", memory),
        "crowd": charts.lines("CPU for one message beside idle sessions", "µs", "idle sessions", crowd),
        "presence": charts.bars("CPU of the server for one presence delivered", "µs", presence),
    }


def pictures(drawn):
    titles = {
        "message": "CPU of the server for one message, by server and window",
        "login": "CPU of the server for one login, plain and TLS",
        "memory": "Memory of one idle session, by number of sessions",
        "crowd": "CPU for one message against the number of idle sessions",
        "presence": "CPU of the server for one presence delivered to a contact, by server and number of contacts",
    }
    return "## Charts\n" + "\n".join(f"![{titles[name]}](performance/{name}.svg)\n" for name in drawn)


def details(f):
    parts = ["## Everything measured"]
    titles = ["", *(NAMES[name] for name in EVERY)]
    chat = [(f"window {window}", f"chat-w{window}") for window in (1, 8)]
    chat += [(f"window 1, {size:,} idle", f"crowd-{size}") for size in SIZES]
    chat += [(f"{rate:,} messages/s", f"rate-{rate}") for rate in (1_000, 5_000)]
    groups = [
        ("Chat: µs of server CPU for one message", lambda phase, name: shown(f.cpu_us(phase, name))),
        ("Chat: messages per second, on cores shared with the generator", lambda phase, name: shown(f.per_second(phase, name))),
        ("Chat: p99 of the latency, ms", lambda phase, name: shown(f.p99_ms(phase, name))),
    ]
    for title, figure in groups:
        rows = [[label, *(figure(phase, name) for name in EVERY)] for label, phase in chat]
        parts.append(f"### {title}\n" + table(titles, rows))
    titles = ["", *(NAMES[name] for name in COMPARED)]
    rows = []
    for kind in ("plain", "tls"):
        for size in SIZES:
            label = f"{size:,} {'with TLS' if kind == 'tls' else 'plain'}"
            rows.append([label, *(shown(f.kib(kind, size, name)) for name in COMPARED)])
            rows.append([f"{label}, after traffic", *(shown(f.kib_after(kind, size, name)) for name in COMPARED)])
            rows.append([f"{label}, % of a core", *(shown(f.idle_share(kind, size, name)) for name in COMPARED)])
    parts.append("### Idle sessions: KiB each\n" + table(titles, rows))
    parts.append("Traffic is 100 messages each way; where a cell is empty it was left out, because it takes too long.\n")
    parts.append("### Presence and rosters\n" + table(["", *(NAMES[name] for name in WITH_ROSTERS)], contacts(f)))
    parts.append(
        "A presence is counted where it arrives: a change of somebody with 50 contacts is 50. Logins with a roster and without "
        "took turns in one run.\n"
    )
    return "\n".join(parts)


def contacts(f):
    """The rows of what only servers with rosters do."""
    figures = []
    for number in CONTACTS:
        phase = f"presence-{number}"
        figures += [
            (f"presence to {number} contacts, µs of server CPU for one delivered", lambda s, phase=phase: f.cpu_us(phase, s)),
            (f"presence to {number} contacts, delivered per second", lambda s, phase=phase: f.per_second(phase, s)),
            (f"presence to {number} contacts, p99 of the latency, ms", lambda s, phase=phase: f.p99_ms(phase, s)),
        ]
    for index, when in ((0, "first"), (1, "again")):
        figures += [
            (f"login with a roster of 50, {when}, µs of server CPU", lambda s, index=index: f.cpu_us("login-roster", s, index)),
            (f"login with an empty one, {when}", lambda s, index=index: f.empty_us(s, index)),
            ("the difference", lambda s, index=index: f.for_roster_us(s, index)),
        ]
    return [[label, *(shown(figure(name)) for name in WITH_ROSTERS)] for label, figure in figures]


def unclean_runs(results):
    """Runs in which something was lost, late or refused: their figures are of what was done."""
    lines = []
    for row in results.rows.values():
        for run in row.get("runs", []):
            if not run.get("ok"):
                errors = "; ".join(f"{count} × {what}" for what, count in (run.get("errors") or {}).items())
                lost = f"{run.get('lost', 0):,} messages not delivered in time"
                lines.append(f"- {row['phase']} on {NAMES[row['server']]}: {errors or lost}")
    return "### What did not go well\n" + "\n".join(lines) + "\n" if lines else ""


def method(results):
    rows = list(results.rows.values())
    machines = sorted({describe(row["machine"]) for row in rows})
    versions = []
    for name in EVERY:
        told = sorted({row["version"] for row in rows if row["server"] == name})
        if told:
            versions.append(f"- {NAMES[name]} {', '.join(told)}")
    commands, seen = [], set()
    for row in rows:
        for command in row.get("commands", []):
            if row["server"] == "rjabberd" and (row["phase"], command) not in seen:
                seen.add((row["phase"], command))
                commands.append(f"{row['phase']:18} {command}")
    days = sorted(row["at"][:10] for row in rows)
    when = f" ({days[0]} to {days[-1]})" if days and days[0] != days[-1] else f" ({days[0]})" if days else ""
    newline = "\n"
    return f"""
## How it was measured
Machine{when}:

{newline.join(f"- {machine}" for machine in machines)}

Versions:

{newline.join(versions)}

Every server has SCRAM-SHA-1 accounts with 4,096 iterations, a backlog of 1,024, no shaping, no limit in the way, and
roster, disco, ping and sessions; no archive and no federation. rjabberd logs as it ships (`info`: each login, each end),
ejabberd and Prosody only warnings, which is the better for them. All listen on the loopback interface. A server is
started on a copy of the same 20,000 accounts for each phase. “First” logins are the first of those users since the
server started, “again” the same users once more. R1 to R3 answer the login from a can: their logins show what the
connections alone cost. Contacts are made by the protocol, which is not counted: everybody sees everybody who is in the
roster. For the logins with rosters, whose contacts are offline, the server is then started anew.

What `scripts/bench` ran, with target, domain, password, source addresses and the server's process left out:

```console
{newline.join(commands)}
```

[Load](load.md#beside-other-servers) says how to run it again.
"""


def describe(machine):
    return f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']:.0f} GiB, {machine['kernel']}"


def table(titles, rows):
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def shown(value):
    return "" if value is None else number(value)


def times(value):
    return "" if value is None else f"{value:.2f}"
