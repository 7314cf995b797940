"""A day in the life of two new users: Juliet types into Profanity in a real terminal, Romeo is slixmpp.

They register, find each other, subscribe, chat; Juliet goes, gets what was said meanwhile when she comes back, blocks
Romeo, thinks better of it, and at last strikes him off her list. Every step is looked at from both sides: on her screen
and in what he hears. Waiting is for what must come; nothing is waited for but that.
"""

import argparse
import asyncio
import datetime
import re
import ssl
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import slixmpp
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import StanzaPath

from peers import Failed, until
from server import PATIENCE_S, Server
from terminal import Tmux

JULIET = "juliet@localhost"
ROMEO = "romeo@localhost"
PASSWORD = "swordfish"
MEANWHILE = ["It is the east,", "and Juliet is the sun.", "Arise, fair sun."]
CONFIG = """
hosts = ["localhost"]
[listen.c2s]
address = "127.0.0.1:0"
[listen.c2s_tls]
enabled = false
[registration]
enabled = true
[log]
level = "debug"
"""


def in_order(words: tuple[str, ...], text: str) -> bool:
    return re.search(".*?".join(map(re.escape, words)), text, re.S) is not None


class Juliet:
    """Types into Profanity and looks at the screen."""

    def __init__(self, home: Path, server: Server) -> None:
        self.home = home
        self.terminal = Tmux(home)
        self.where = f"port {server.port} tls trust"

    async def sees(self, *words: str) -> str:
        """The screen, once all these stand on it, in this order."""
        await until(f"{words} on Juliet's screen", lambda: in_order(words, self.terminal.screen()))
        return self.terminal.screen()

    async def sees_at_the_side(self, *words: str) -> str:
        """The same of the panel at the right, which tells who is there."""
        await until(f"{words} at the side of Juliet's screen", lambda: in_order(words, self.side()))
        return self.terminal.screen()

    def side(self) -> str:
        lines = self.terminal.screen().splitlines()
        left = max((line.find("Available for chat (") for line in lines), default=-1)
        return "\n".join(line[left:] for line in lines) if left > 0 else ""

    def types(self, line: str) -> None:
        self.terminal.type(line)

    async def registers(self) -> None:
        self.types(f"/register juliet localhost {self.where}")
        await self.sees("Enter password")
        self.types(PASSWORD)
        await self.sees("Confirm password")
        self.types(PASSWORD)
        await self.sees("Registration successful")
        # Profanity 0.13 that registered takes its next connection for one that needs no login.
        self.terminal.close()
        self.terminal = Tmux(self.home)

    async def connects(self) -> None:
        """Logs in; the console is cleared before, so that what it says is of this login."""
        self.types("/win 1")
        self.types("/clear")
        self.types(f"/connect {JULIET} server 127.0.0.1 {self.where}")
        await self.sees("Enter password")
        self.types(PASSWORD)
        await self.sees("logged in successfully")

    async def reads_roster(self, *words: str) -> None:
        self.types("/win 1")
        self.types("/clear")
        self.types("/roster")
        await self.sees("Roster: jid (nick) - subscription - groups", *words)


class Romeo(slixmpp.ClientXMPP):
    """Hears everything, in the order in which it came."""

    def __init__(self, server: Server) -> None:
        super().__init__(f"{ROMEO}/orchard", PASSWORD)
        self.ssl_context = ssl.create_default_context(cafile=server.certificate)
        self.auto_authorize = None
        self.auto_subscribe = False
        for plugin in ("xep_0030", "xep_0077", "xep_0203"):
            self.register_plugin(plugin)
        self.plugin["xep_0077"].create_account = True
        self.journal: list[str] = []
        self.read = 0
        self.add_event_handler("register", self.registers)
        self.add_event_handler("session_start", self.starts)
        self.add_event_handler("message", self.hears_message)
        self.add_event_handler("message_error", self.hears_error)
        self.add_event_handler("roster_update", self.hears_roster)
        self.register_handler(Callback("presence", StanzaPath("presence"), self.hears_presence))

    async def registers(self, _form: slixmpp.Iq) -> None:
        request = self.Iq()
        request["type"] = "set"
        request["register"]["username"] = self.boundjid.user
        request["register"]["password"] = self.password
        await request.send()
        self.journal.append("registered")

    async def starts(self, _event: object) -> None:
        await self.get_roster()
        self.send_presence()
        self.journal.append("online")

    def hears_message(self, message: slixmpp.Message) -> None:
        self.journal.append(f"{message['from'].bare} says {message['body']}")

    def hears_error(self, message: slixmpp.Message) -> None:
        self.journal.append(f"{message['from'].bare} cannot be told: {message['error']['condition']}")

    def hears_presence(self, presence: slixmpp.Presence) -> None:
        if presence["from"].bare != self.boundjid.bare:
            status = presence["status"] and f" ({presence['status']})"
            self.journal.append(f"{presence['from'].bare} is {presence['type']}{status}")

    def hears_roster(self, iq: slixmpp.Iq) -> None:
        for jid, item in iq["roster"]["items"].items():
            asks = " and asked" if item["ask"] else ""
            self.journal.append(f"roster: {jid} {item['subscription']}{asks}")

    async def hears(self, *lines: str) -> None:
        """Reads on in the journal until these lines came, in any order; what a line says in brackets may be more."""
        missing = list(lines)

        def heard() -> bool:
            while missing and self.read < len(self.journal):
                line = self.journal[self.read]
                self.read += 1
                if said := next(
                    (wanted for wanted in missing if line == wanted or line.startswith(f"{wanted} (")), None
                ):
                    missing.remove(said)
            return not missing

        try:
            await until("Romeo", heard)
        except Failed:
            raise Failed(f"Romeo heard no {missing} in {PATIENCE_S} s") from None

    def says(self, body: str) -> None:
        self.send_message(JULIET, body, mtype="chat")

    async def reads_roster(self) -> dict[str, str]:
        """Asks anew, without the version that would let the server answer that nothing changed."""
        request = self.Iq(stype="get")
        request.enable("roster")
        iq = await request.send()
        return {str(jid): item["subscription"] for jid, item in iq["roster"]["items"].items()}


class Day:
    """The steps, in their order; each leaves a screen."""

    def __init__(self, server: Server, juliet: Juliet, romeo: Romeo) -> None:
        self.juliet = juliet
        self.romeo = romeo
        self.server = server

    def steps(self) -> list[Callable[[], Awaitable[str]]]:
        return [
            self.both_register,
            self.juliet_adds_romeo_and_asks,
            self.romeo_allows_and_asks_back,
            self.they_chat,
            self.juliet_is_away_and_back,
            self.juliet_goes_and_romeo_talks_on,
            self.juliet_comes_back_to_what_was_said,
            self.juliet_blocks_romeo,
            self.juliet_unblocks_romeo,
            self.juliet_removes_romeo,
            self.romeo_removes_juliet,
        ]

    async def both_register(self) -> str:
        await self.juliet.registers()
        await self.juliet.connects()
        self.romeo.connect("127.0.0.1", self.server.port)
        await self.romeo.hears("registered", "online")
        return await self.juliet.sees("logged in successfully")

    async def juliet_adds_romeo_and_asks(self) -> str:
        self.juliet.types(f"/roster add {ROMEO} Romeo")
        await self.juliet.sees(f"Roster item added: {ROMEO} (Romeo)")
        self.juliet.types(f"/sub request {ROMEO}")
        await self.juliet.sees(f"Sent subscription request to {ROMEO}")
        await self.romeo.hears(f"{JULIET} is subscribe")
        await self.juliet.reads_roster(f"{ROMEO} (Romeo) - none, request sent")
        return await self.juliet.sees(ROMEO)

    async def romeo_allows_and_asks_back(self) -> str:
        self.romeo.send_presence_subscription(JULIET, ptype="subscribed")
        await self.romeo.hears(f"roster: {JULIET} from")
        await self.juliet.sees(f"Subscription received from {ROMEO}", "Romeo (orchard) is online")
        self.romeo.send_presence_subscription(JULIET, ptype="subscribe")
        await self.romeo.hears(f"roster: {JULIET} from and asked")
        await self.juliet.sees(f"Received authorization request from {ROMEO}")
        self.juliet.types(f"/sub allow {ROMEO}")
        await self.romeo.hears(f"{JULIET} is subscribed", f"roster: {JULIET} both", f"{JULIET} is available")
        await self.juliet.reads_roster(f"{ROMEO} (Romeo) - both")
        return await self.juliet.sees_at_the_side("Online (", "Romeo", "Away (")

    async def they_chat(self) -> str:
        self.juliet.types(f"/msg {ROMEO} O Romeo, Romeo!")
        await self.romeo.hears(f"{JULIET} says O Romeo, Romeo!")
        self.romeo.says("Call me but love.")
        await self.juliet.sees("O Romeo, Romeo!", "Call me but love.")
        self.juliet.types("What man art thou?")
        await self.romeo.hears(f"{JULIET} says What man art thou?")
        return await self.juliet.sees("What man art thou?")

    async def juliet_is_away_and_back(self) -> str:
        self.juliet.types('/status set away "by and by"')
        await self.romeo.hears(f"{JULIET} is away (by and by)")
        self.juliet.types('/status set online "I come"')
        await self.romeo.hears(f"{JULIET} is available (I come)")
        self.juliet.types("/win 1")
        self.romeo.send_presence(pshow="dnd", pstatus="climbing")
        return await self.juliet.sees_at_the_side("Do not disturb (", "Romeo", "Offline (")

    async def juliet_goes_and_romeo_talks_on(self) -> str:
        self.juliet.types("/disconnect")
        await self.romeo.hears(f"{JULIET} is unavailable")
        for body in MEANWHILE:
            self.romeo.says(body)
        self.said = datetime.datetime.now(datetime.UTC)
        return await self.juliet.sees("logged out successfully")

    async def juliet_comes_back_to_what_was_said(self) -> str:
        """The times on her screen are those of his saying: so some seconds must pass until she reads it."""
        second = datetime.timedelta(seconds=1)
        await until("the clock", lambda: datetime.datetime.now(datetime.UTC) > self.said + 4 * second)
        await self.juliet.connects()
        await self.romeo.hears(f"{JULIET} is available")
        self.juliet.types(f"/msg {ROMEO}")
        screen = await self.juliet.sees(*MEANWHILE)
        near = {(self.said + shift * second).strftime("%H:%M:%S") for shift in (-2, -1, 0, 1)}
        for body in MEANWHILE:
            line = next(line for line in screen.splitlines() if body in line)
            if not any(time in line for time in near):
                raise Failed(f"said at {self.said:%H:%M:%S}, but her screen says {line.strip()!r}")
        return screen

    async def juliet_blocks_romeo(self) -> str:
        self.juliet.types("/win 1")
        self.juliet.types(f"/blocked add {ROMEO}")
        await self.juliet.sees(f"User {ROMEO} successfully blocked")
        await self.romeo.hears(f"{JULIET} is unavailable")
        self.romeo.says("Hear me!")
        await self.romeo.hears(f"{JULIET} cannot be told: service-unavailable")
        self.juliet.types("/blocked")
        return await self.juliet.sees("Blocked users:", ROMEO)

    async def juliet_unblocks_romeo(self) -> str:
        self.juliet.types(f"/blocked remove {ROMEO}")
        await self.juliet.sees(f"User {ROMEO} successfully unblocked")
        await self.romeo.hears(f"{JULIET} is available")
        self.romeo.says("Good night.")
        self.juliet.types(f"/msg {ROMEO}")
        screen = await self.juliet.sees("Good night.")
        if "Hear me!" in screen:
            raise Failed("Juliet sees what was said while he was blocked")
        return screen

    async def juliet_removes_romeo(self) -> str:
        self.juliet.types("/win 1")
        self.juliet.types(f"/roster remove {ROMEO}")
        await self.juliet.sees(f"Roster item removed: {ROMEO}")
        await self.romeo.hears(
            f"{JULIET} is unsubscribe",
            f"{JULIET} is unsubscribed",
            f"{JULIET} is unavailable",
            f"roster: {JULIET} none",
        )
        await self.juliet.reads_roster()
        screen = self.juliet.terminal.screen()
        if f"{ROMEO} (" in screen:
            raise Failed("Romeo is still on Juliet's roster")
        return screen

    async def romeo_removes_juliet(self) -> str:
        if (roster := await self.romeo.reads_roster()) != {JULIET: "none"}:
            raise Failed(f"Romeo's roster is {roster}")
        await self.romeo.del_roster_item(JULIET)
        await self.romeo.hears(f"roster: {JULIET} remove")
        if roster := await self.romeo.reads_roster():
            raise Failed(f"Romeo's roster is {roster}")
        return self.juliet.terminal.screen()


async def live(day: Day, screens: Path) -> None:
    for number, step in enumerate(day.steps(), 1):
        name = step.__name__.replace("_", " ")
        try:
            screen = await step()
        except (Failed, slixmpp.exceptions.XMPPError) as error:
            raise Failed(f"{name}: {error}") from error
        finally:
            (screens / "romeo.txt").write_text("".join(f"{line}\n" for line in day.romeo.journal))
        (screens / f"{number:02}-{step.__name__.replace('_', '-')}.txt").write_text(screen)
        print(f"ok      {name}", flush=True)


async def run(server: Server, home: Path, screens: Path) -> bool:
    """Whether the whole day went well; otherwise what they saw is printed."""
    romeo = Romeo(server)
    juliet = Juliet(home, server)
    try:
        await live(Day(server, juliet, romeo), screens)
        return True
    except Failed as error:
        print(f"FAILED  {error}", flush=True)
        (screens / "failed.txt").write_text(juliet.terminal.screen())
        print("-- Juliet's screen:\n" + juliet.terminal.screen(), file=sys.stderr)
        print("-- Romeo heard:\n" + "\n".join(romeo.journal), file=sys.stderr)
        return False
    finally:
        romeo.abort()
        juliet.terminal.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--screens", type=Path, help="keeps Juliet's screen after each step and what Romeo heard here")
    options = parser.parse_args()
    server = Server(CONFIG)
    with tempfile.TemporaryDirectory(prefix="rjabberd-day-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        screens = options.screens or home
        screens.mkdir(parents=True, exist_ok=True)
        try:
            well = asyncio.run(run(server, home, screens))
        finally:
            stopped = server.stop()
        if options.screens:
            (screens / "server.log").write_text("".join(server.log))
    if not stopped:
        print("FAILED  the server did not stop well")
    print("day: a day of two users went as it should" if well else "day: the day did not go as it should")
    sys.exit(0 if well and stopped else 1)


main()
