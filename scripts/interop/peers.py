"""Clients that were not written here, each in a process of its own that is told and tells by JSON lines."""

import asyncio
import json
import os
import sys
from pathlib import Path

from server import PATIENCE_S, ROOT

HERE = Path(__file__).resolve().parent
PASSWORD = "päss wörd <&>"
# xmpp.js encodes PLAIN as Latin-1, where RFC 4616 demands UTF-8: it gets a password in ASCII.
PASSWORDS = {"slixmpp": PASSWORD, "aioxmpp": PASSWORD, "xmpp.js": "pass word <&>"}


class Failed(Exception):
    """A combination that does not work, or somebody who did not see what they should."""


async def until(what, deed):
    """Asks again until the answer is yes."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not deed():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise Failed(f"waited {PATIENCE_S} s for {what}") from None


class Peer:
    """One client in a process of its own."""

    def __init__(self, kind, process):
        self.kind = kind
        self.process = process
        self.jid = None
        self.said = []
        self.waiting = []

    @classmethod
    async def start(cls, kind, server, user, mechanism, password=None, **more):
        settings = {
            "jid": f"{user}@localhost/{kind.replace('.', '')}",
            "password": password or PASSWORDS[kind],
            "host": "127.0.0.1" if kind != "xmpp.js" else "localhost",
            "port": server.ports["c2s_tls" if more.get("direct") else "c2s"],
            "mechanism": mechanism,
            "ca": server.certificate,
            "modules": str(ROOT / ".tools" / "npm"),
            **more,
        }
        program = {
            "slixmpp": [sys.executable, str(HERE / "peer_slixmpp.py")],
            "aioxmpp": [sys.executable, "-W", "ignore", str(HERE / "peer_aioxmpp.py")],
            "xmpp.js": ["node", str(HERE / "peer_xmppjs.mjs")],
        }[kind]
        process = await asyncio.create_subprocess_exec(
            *program,
            json.dumps(settings),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "NODE_EXTRA_CA_CERTS": server.certificate},
        )
        peer = cls(kind, process)
        peer.errors = asyncio.create_task(process.stderr.read())
        return peer

    async def wait(self, event, patience=PATIENCE_S, **fields):
        """The next event of this kind with these fields; what else is told is kept for a later wait, except that a
        failure ends it."""

        def fits(told):
            return told["event"] == event and all(told.get(key) == value for key, value in fields.items())

        if waiting := next((told for told in self.waiting if fits(told)), None):
            self.waiting.remove(waiting)
            return waiting
        try:
            async with asyncio.timeout(patience):
                while line := await self.process.stdout.readline():
                    told = json.loads(line)
                    self.said.append(told)
                    if fits(told):
                        return told
                    if told["event"] in ("failed", "gone", "error"):
                        raise Failed(f"{self.kind}: {told}")
                    self.waiting.append(told)
        except TimeoutError:
            wanted = {"event": event, **fields}
            raise Failed(f"{self.kind}: no {wanted} in {patience} s; said {self.said[-5:]}") from None
        raise Failed(f"{self.kind} ended: {(await self.errors).decode()[-2000:]}")

    @property
    def bare(self):
        return self.jid.partition("/")[0]

    async def online(self, mechanism):
        """Waits for the session; with no mechanism given, the client was free to choose."""
        told = await self.wait("online")
        if mechanism and told["mechanism"] != mechanism:
            raise Failed(f"{self.kind} logged in by {told['mechanism']}, not {mechanism}")
        self.jid = told["jid"]
        return self

    def do(self, **command):
        self.process.stdin.write(json.dumps(command).encode() + b"\n")

    async def asks(self, what, **more):
        self.do(do=what, **more)
        return (await self.wait("done"))["value"]

    async def quit(self):
        if self.process.returncode is None:
            self.do(do="quit")
            try:
                self.process.stdin.close()
                async with asyncio.timeout(PATIENCE_S):
                    await self.process.wait()
            except TimeoutError:
                self.process.kill()
