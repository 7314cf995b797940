"""A certificate is replaced under many live sessions: none of them drops, and who comes later sees the new one.

The sessions are of our own making and do the least that can be done: TLS, PLAIN, a resource; then each pings another
one, and answers who pings it.
"""

import asyncio
import base64
import json
import re
import ssl
import subprocess
import tempfile
from pathlib import Path

from peers import Failed
from raw import SASL, Raw, context
from server import PATIENCE_S, Server

SESSIONS = 1000
AT_ONCE = 20
USER, PASSWORD = "romeo", "secret"
HEADER = (
    "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
)
CONFIG = """
hosts = ["localhost"]
tls.certificate = "{folder}/chain.pem"
tls.key = "{folder}/key.pem"
auth.mechanisms = ["SCRAM-SHA-256", "PLAIN"]
limits.sessions_per_account_max = 2000
[listen.c2s]
address = "127.0.0.1:0"
[listen.c2s_tls]
address = "127.0.0.1:0"
shaper = "none"
"""


def put_certificate(folder: Path, name: str) -> None:
    """A new pair of key and certificate, as certbot puts it there: each file whole, one after the other."""
    made = [str(folder / f"{kind}.new") for kind in ("key", "chain")]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    names = ["-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    subprocess.run([*command, *names, "-keyout", made[0], "-out", made[1]], check=True, capture_output=True)
    for path in made:
        Path(path).rename(Path(path).with_suffix(".pem"))


class Session:
    """One session; its task reads until the server ends it, and answers pings."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.answers = 0
        self.answered = asyncio.Event()

    async def login(self, port: int) -> None:
        tls: ssl.SSLContext = context()
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=tls, server_hostname="localhost"
        )
        await self.says(HEADER, b"</stream:features>")
        payload = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()
        await self.says(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{payload}</auth>", b"<success[^>]*>")
        await self.says(HEADER, b"</stream:features>")
        bind = f"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{self.number}</resource></bind>"
        await self.says(f"<iq type='set' id='bind'>{bind}</iq>", b"</jid>.*</iq>")
        self.task = asyncio.create_task(self.reads())

    async def says(self, text: str, answer: bytes) -> None:
        self.writer.write(text.encode())
        said = b""
        while not re.search(answer, said, re.S):
            if not (more := await self.reader.read(65536)):
                raise Failed(f"session {self.number} was ended after {said!r}")
            said += more

    async def reads(self) -> None:
        rest = b""
        try:
            while more := await self.reader.read(65536):
                rest += more
                while stanza := re.search(rb"<iq ([^>]*?)(?:/>|>.*?</iq>)", rest, re.S):
                    rest = rest[stanza.end() :]
                    self.hears(dict(re.findall(r"(\w+)=['\"]([^'\"]*)", stanza.group(1).decode())))
        except OSError:
            return

    def hears(self, iq: dict[str, str]) -> None:
        if iq["type"] == "get":
            self.writer.write(f"<iq type='result' id='{iq['id']}' to='{iq['from']}'/>".encode())
        elif iq["type"] == "result":
            self.answers += 1
            self.answered.set()

    async def pings(self, resource: int) -> None:
        self.answered.clear()
        self.writer.write(
            f"<iq type='get' id='ping' to='{USER}@localhost/{resource}'><ping xmlns='urn:xmpp:ping'/></iq>".encode()
        )
        await self.answered.wait()


async def all_ping(sessions: list[Session]) -> None:
    """Each pings the next one."""
    before = sum(session.answers for session in sessions)
    pings = [session.pings((number + 1) % len(sessions)) for number, session in enumerate(sessions)]
    try:
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*pings)
    except TimeoutError:
        answers = sum(session.answers for session in sessions) - before
        raise Failed(f"only {answers} of {len(sessions)} had an answer in {PATIENCE_S} s") from None


async def enter(port: int) -> list[Session]:
    sessions = [Session(number) for number in range(SESSIONS)]
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(session: Session) -> None:
        async with gate:
            await session.login(port)

    await asyncio.gather(*map(one, sessions))
    return sessions


def certificate(port: int) -> bytes:
    client = Raw(port, "localhost", direct=True)
    try:
        return client.certificate
    finally:
        client.close()


async def swap_in(folder: Path, server: Server) -> str:
    port = server.ports["c2s_tls"]
    sessions = await enter(port)
    await all_ping(sessions)
    old, since = await asyncio.to_thread(certificate, port), len(server.log)
    put_certificate(folder, "new")
    if not await asyncio.to_thread(server.wait_for_log, "Certificate of localhost", "CN=new", since=since):
        raise Failed("the new certificate was not taken")
    if await asyncio.to_thread(certificate, port) in (old, b""):
        raise Failed("a new connection sees the old certificate")
    await all_ping(sessions)
    dropped = sum(session.task.done() for session in sessions)
    counted = json.loads(await asyncio.to_thread(server.command, "stats"))["sessions"]
    if dropped or counted != SESSIONS:
        raise Failed(f"{dropped} sessions dropped, the server counts {counted}")
    for session in sessions:
        session.task.cancel()
        session.writer.transport.abort()
    return f"{dropped} dropped, {SESSIONS} answer a ping before and after"


async def swap() -> str:
    """Starts a server for this alone; what came of it."""
    with tempfile.TemporaryDirectory(prefix="rjabberd-swap-") as name:
        folder = Path(name)
        put_certificate(folder, "old")
        server = Server(CONFIG.format(folder=folder))
        try:
            server.add_account(f"{USER}@localhost", PASSWORD)
            return await swap_in(folder, server)
        finally:
            server.stop()
