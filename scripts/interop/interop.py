"""Clients that were not written here log in by each mechanism they know and talk to one another.

One line per combination; the exit status is that of the worst. Nothing sleeps: every wait is for an event, and has a
deadline.
"""

import asyncio
import base64
import sys
from xml.sax.saxutils import escape

import life
from peers import PASSWORDS, Failed, Peer
from report import Report
from server import CONFIG, Server

SECOND_PASSWORD = "sécond <&>"
# How each client says that its password was not taken.
REFUSALS = {"slixmpp": "no mechanism worked", "aioxmpp": "AuthenticationFailure", "xmpp.js": "not-authorized"}
BODIES = ["hello", "grüße <&> \"'", "one\ntwo\ttabs", "\U0001f98a fox", "x" * 5000, "]]>"]
CLIENTS = {
    "slixmpp": ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"],
    "aioxmpp": ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"],
    "xmpp.js": ["SCRAM-SHA-1", "PLAIN"],
}
QUESTIONS = {
    "slixmpp": ["ping", "disco", "items", "version", "time"],
    "aioxmpp": ["ping", "disco", "items", "version"],
    "xmpp.js": ["ping", "disco", "items", "version", "time"],
}


async def talk(one, other):
    """Each body arrives whole and in order, with the sender's full JID."""
    for sender, reader in ((one, other), (other, one)):
        for body in BODIES:
            sender.do(do="send", to=reader.jid, body=body)
        for body in BODIES:
            told = await reader.wait("message")
            if (told["from"], told["body"]) != (sender.jid, body):
                raise Failed(f"{reader.kind} got {told}, not {body!r} from {sender.jid}")


async def login_and_talk(server, kind, mechanism, residents):
    peer = await Peer.start(kind, server, f"guest-{kind.replace('.', '')}", mechanism)
    try:
        await peer.online(mechanism)
        for resident in residents:
            await talk(peer, resident)
    finally:
        await peer.quit()


async def ask(peer, what):
    value = await peer.asks(what)
    if what == "disco":
        missing = {"urn:xmpp:ping", "jabber:iq:version", "urn:xmpp:time"} - set(value)
        if missing:
            raise Failed(f"disco lacks {missing}")
        return f"{len(value)} features"
    return value


async def wrong_password(server, kind, mechanism):
    peer = await Peer.start(kind, server, f"guest-{kind.replace('.', '')}", mechanism, password="wrong")
    try:
        await refused(peer, mechanism)
    finally:
        await peer.quit()


async def refused(peer, mechanism):
    """The login fails, and for that reason."""
    try:
        await peer.online(mechanism)
    except Failed as error:
        if REFUSALS[peer.kind] not in str(error):
            raise
        return
    raise Failed("logged in")


async def registration(server):
    """slixmpp makes an account in band, changes its password, logs in with the new one and removes it."""
    user, mechanism = "newcomer", "SCRAM-SHA-256"
    peer = await Peer.start("slixmpp", server, user, mechanism, register=True)
    try:
        await peer.wait("registered")
        await peer.online(mechanism)
        await peer.asks("password", password=SECOND_PASSWORD)
    finally:
        await peer.quit()
    peer = await Peer.start("slixmpp", server, user, mechanism, password=SECOND_PASSWORD)
    try:
        await peer.online(mechanism)
        peer.do(do="unregister")
        # The removed account's session may end before or after the result is read.
        try:
            await peer.wait("done")
        except Failed as error:
            if "not-authorized" not in str(error) and "gone" not in str(error):
                raise
    finally:
        await peer.quit()
    peer = await Peer.start("slixmpp", server, user, mechanism, password=SECOND_PASSWORD)
    try:
        await peer.wait("failed")
    except Failed as error:
        if "no mechanism worked" not in str(error):
            raise
    finally:
        await peer.quit()


async def run(server, report):
    residents = []
    for kind, mechanisms in CLIENTS.items():
        name = kind.replace(".", "")
        server.add_account(f"{name}@localhost", PASSWORDS[kind])
        server.add_account(f"guest-{name}@localhost", PASSWORDS[kind])

        async def enter(kind=kind, name=name, mechanism=mechanisms[0]):
            peer = await Peer.start(kind, server, name, mechanism)
            residents.append(await peer.online(mechanism))
            return f"bound {peer.jid}"

        await report.line(f"{kind} enters by {mechanisms[0]} over STARTTLS", enter())
    for kind, mechanisms in CLIENTS.items():
        for mechanism in mechanisms:
            with_whom = ", ".join(resident.kind for resident in residents)
            text = f"{kind} by {mechanism} over STARTTLS talks with {with_whom}"
            await report.line(text, login_and_talk(server, kind, mechanism, residents))
        await report.line(f"{kind} with a wrong password is refused", wrong_password(server, kind, mechanisms[0]))
    for index, one in enumerate(residents):
        for other in residents[index + 1 :]:
            await report.line(f"{one.kind} and {other.kind} talk", talk(one, other))
        for what in QUESTIONS[one.kind]:
            await report.line(f"{one.kind} asks the server: {what}", ask(one, what))
    await report.line("slixmpp registers, changes its password and removes the account", registration(server))
    for resident in residents:
        await resident.quit()
    kinds = list(CLIENTS)
    for kind, other in zip(kinds, kinds[1:] + kinds[:1], strict=True):
        await life.live(server, report, (kind, CLIENTS[kind][0]), (other, CLIENTS[other][0]))


def secrets():
    """Every password as it may stand in a log: as it is, in XML, and in what SASL makes of it."""
    for password in {*PASSWORDS.values(), SECOND_PASSWORD}:
        yield password
        yield escape(password)
        for user in [
            "newcomer",
            *(f"{guest}{kind.replace('.', '')}" for kind in CLIENTS for guest in ("", "guest-", *life.ROLES)),
        ]:
            yield base64.b64encode(f"\0{user}\0{password}".encode()).decode()


async def main():
    server = Server(CONFIG)
    report = Report()
    try:
        await run(server, report)
    finally:
        stopped = server.stop()
    if leak := next((line for line in server.log for secret in secrets() if secret in line), None):
        report.fault(f"the log holds a password: {leak}")
    for kind, (mechanism, *_) in CLIENTS.items():
        told = (f"login by {mechanism} from", "failed: not-authorized")
        if not any(all(words in line for words in told) for line in server.log):
            report.fault(f"the log does not tell why {kind} was refused")
    if not stopped:
        report.fault("the server did not stop well")
    if report.failed:
        print("the server's last log lines:\n" + "".join(server.log[-60:]), file=sys.stderr)
    print(f"interop: {report.passed} combinations work, {report.failed} do not")
    sys.exit(1 if report.failed or not report.passed else 0)


asyncio.run(main())
