"""The way between phones and server, which can be cut: a cable into a network namespace, or what passes for one.

Who may make namespaces (root, mostly) gets a pair of interfaces, one of them in a namespace where the phones run; cut is
that one set down: nothing is refused and nothing is reset, packets are gone. Everybody else gets a proxy that stops reading:
TCP alone, and bytes that were on their way are not lost but late.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Cable:
    """A namespace for phones; the server listens at this end of the cable."""

    def __init__(self) -> None:
        """Two runs at the same time have names and addresses of their own; what was made is gone again if not all was."""
        self.name = f"rj{os.getpid()}"
        first, second = divmod(os.getpid() % 8192 * 8, 256)
        self.address = f"10.213.{first}.{second + 1}"
        self.addresses = [f"10.213.{first}.{second + more}/29" for more in (2, 3)]
        try:
            ip("netns", "add", self.name)
            ip("link", "add", self.name, "type", "veth", "peer", "name", "cable", "netns", self.name)
            ip("address", "add", f"{self.address}/29", "dev", self.name)
            ip("-n", self.name, "address", "add", self.addresses[0], "dev", "cable")
            ip("link", "set", self.name, "up")
            ip("-n", self.name, "link", "set", "cable", "up")
        except BaseException:
            self.remove()
            raise

    @property
    def within(self) -> list[str]:
        """What stands before a command that shall run behind the cable."""
        return ["ip", "netns", "exec", self.name]

    async def to(self, port: int) -> tuple[str, int]:
        """Where the server's port is for those behind the cable."""
        return self.address, port

    def cut(self) -> None:
        ip("-n", self.name, "link", "set", "cable", "down")

    def mend(self) -> None:
        ip("-n", self.name, "link", "set", "cable", "up")

    def roam(self) -> None:
        """Another address for the phones: nobody answers any more for what they left, and so it looks alive."""
        ip("-n", self.name, "address", "delete", self.addresses[0], "dev", "cable")
        self.addresses.reverse()
        ip("-n", self.name, "address", "add", self.addresses[0], "dev", "cable")

    def remove(self) -> None:
        for words in (["link", "delete", self.name], ["netns", "delete", self.name]):
            with contextlib.suppress(subprocess.CalledProcessError):
                ip(*words)


class Proxy:
    """Forwards connections, but not while it is cut; what ends meanwhile, ends for one side only."""

    address = "127.0.0.1"
    within: list[str] = []

    def __init__(self) -> None:
        self.whole = asyncio.Event()
        self.whole.set()
        self.tasks: list[asyncio.Task] = []
        self.server: asyncio.Server | None = None

    async def to(self, port: int) -> tuple[str, int]:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self.whole.wait()
            there, back = await asyncio.open_connection(self.address, port)
            for one, other in ((reader, back), (there, writer)):
                self.tasks.append(asyncio.create_task(self.forward(one, other)))

        self.server = await asyncio.start_server(accept, self.address, 0)
        return self.server.sockets[0].getsockname()

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(4096):
                await self.whole.wait()
                writer.write(data)
                await writer.drain()
        if self.whole.is_set():
            writer.close()

    def cut(self) -> None:
        self.whole.clear()

    def mend(self) -> None:
        self.whole.set()

    def roam(self) -> None:
        """What ends while it is cut looks alive to the server anyway."""

    def remove(self) -> None:
        """All of it belonged to the loop that has ended."""


def lay() -> Cable | Proxy:
    """The best cable that can be had here."""
    if shutil.which("ip"):
        with contextlib.suppress(subprocess.CalledProcessError):
            return Cable()
    return Proxy()
