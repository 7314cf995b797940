"""Somebody with two phones and a laptop: Juliet has Profanity in a real terminal and two phones (slixmpp), Romeo one phone.

Her first phone hangs on a cable that is cut: for a moment, so that TCP mends it; longer, so that a phone drops its connection and goes on
with its session on a new one, while the server thinks the old one alive; and so long that the session is gone, and the phone
fetches from the archive what it missed. Every device is looked at after each step: whatever was said is there once.
"""

import argparse
import asyncio
import datetime
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import cable
from peers import HERE, Failed, Peer, until
from server import Server
from terminal import Tmux

ALL_S = 150
PASSWORD = "swordfish"
JULIET = "juliet@localhost"
ROMEO = "romeo@localhost"
# Who does not acknowledge for 3 s has lost its connection, and 6 s later its session.
CONFIG = """
hosts = ["localhost"]
[listen.c2s]
address = "127.0.0.1:0"
[listen.c2s_tls]
enabled = false
[listen.cable]
address = "{address}:0"
[stream_management]
acknowledgement_s = 3
resumption_s = 6
[log]
level = "debug"
bodies = true
"""


class Phone(Peer):
    """A phone in a process of its own, and what it has: each message once, by the archive's id."""

    @classmethod
    async def switched_on(cls, jid: str, where: tuple[str, int], certificate: str, within: list[str]) -> "Phone":
        settings = {"jid": jid, "password": PASSWORD, "host": where[0], "port": where[1], "ca": certificate}
        settings["decides"] = jid.endswith(("/phone", "/balcony"))
        process = await asyncio.create_subprocess_exec(
            *within,
            sys.executable,
            str(HERE / "peer_phone.py"),
            json.dumps(settings),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 20,
        )
        phone = cls(jid.partition("/")[2], process)
        phone.jid = jid
        phone.errors = asyncio.create_task(process.stderr.read())
        phone.known: dict[str, str] = {}
        phone.last: str | None = None
        return phone

    async def comes(self) -> None:
        self.do(do="connect")
        await self.wait("online")

    async def hears(self, *bodies: str, how: str = "live", delayed: bool = False) -> None:
        """These are the next messages, in this order, and nothing else is; each with its id, which is new."""
        for body in bodies:
            told = await self.wait("message")
            if (told["body"], told["how"], told["stamp"] is not None) != (body, how, delayed):
                raise Failed(f"{self.kind} heard {told}, not {body!r} ({how}, delayed: {delayed})")
            self.keep(told)

    def keep(self, told: dict) -> bool:
        """Whether it is new by the id of the archive."""
        (archive_id,) = told["ids"] or [None]
        if archive_id is None:
            raise Failed(f"{self.kind}: {told} has no id of the archive")
        is_new = archive_id not in self.known and not told["own"]
        if self.known.setdefault(archive_id, told["body"]) != told["body"]:
            raise Failed(f"{self.kind}: two messages have the id of {told}")
        self.last = archive_id
        return is_new

    async def heard_nothing_else(self) -> None:
        """The answer comes behind all that was on its way."""
        await self.asks("ping")
        if more := [told for told in self.waiting if told["event"] == "message"]:
            raise Failed(f"{self.kind} heard {more}, too")

    async def catches_up(self) -> list[str]:
        """What the archive has behind the last message that it knows; two a page, for there is little to page through."""
        found = await self.asks("archive", after=self.last, page=2)
        return [told["body"] for told in found if self.keep(told)]


class Laptop:
    """Profanity, and its window of the conversation with Romeo."""

    def __init__(self, home: Path, server: Server) -> None:
        self.terminal = Tmux(home)
        self.where = f"server 127.0.0.1 port {server.port} tls trust"

    async def sees(self, text: str) -> None:
        await until(f"{text!r} on the laptop", lambda: text in self.terminal.screen())

    async def comes(self) -> None:
        self.terminal.type("/win 1")
        self.terminal.type("/clear")
        self.terminal.type(f"/connect {JULIET} {self.where}")
        await self.sees("Enter password")
        self.terminal.type(PASSWORD)
        await self.sees("logged in successfully")

    async def goes(self) -> None:
        self.terminal.type("/win 1")
        self.terminal.type("/disconnect")
        await self.sees("logged out successfully")

    def says(self, body: str) -> None:
        self.terminal.type(f"/msg {ROMEO} {body}")


class Story:
    """The steps, in their order."""

    def __init__(self, wire: cable.Cable | cable.Proxy, server: Server, laptop: Laptop, phones: list[Phone]) -> None:
        self.cable = wire
        self.server = server
        self.laptop = laptop
        self.phone, self.tablet, self.romeo = phones
        self.said: list[str] = []

    def steps(self) -> list[Callable[[], Awaitable[None]]]:
        return [
            self.all_come_and_see_romeo,
            self.what_romeo_says_is_everywhere,
            self.what_the_phone_says_is_on_the_laptop_and_the_other_way_round,
            self.the_phone_in_a_pocket_gets_the_last_presence_before_a_message,
            self.the_cable_is_out_for_a_moment,
            self.the_phone_drops_its_connection_and_goes_on_with_its_session,
            self.the_phone_is_away_for_too_long_and_catches_up,
            self.the_tablet_was_off_and_catches_up,
            self.nobody_is_there_and_what_waits_is_known_to_the_archive,
            self.the_laptop_comes_back,
            self.the_phone_alone_was_lost_and_is_told_what_waited_and_when_it_was_said,
        ]

    def now(self, body: str) -> str:
        self.said.append(body)
        return body

    def romeo_says(self, *bodies: str) -> tuple[str, ...]:
        for body in bodies:
            self.romeo.do(do="send", to=JULIET, body=self.now(body))
        return bodies

    async def nothing_else(self, *phones: Phone) -> None:
        for phone in phones:
            await phone.heard_nothing_else()
        self.once_on_the_screen()

    def once_on_the_screen(self) -> None:
        """What was said stands there once, or not yet."""
        screen = self.laptop.terminal.screen()
        if twice := [body for body in self.said if screen.count(body) > 1]:
            raise Failed(f"the laptop shows {twice} more than once")

    async def all_come_and_see_romeo(self) -> None:
        await self.laptop.comes()
        for phone in (self.phone, self.tablet, self.romeo):
            await phone.comes()
        self.romeo.do(do="presence", to=JULIET, type="subscribe")
        for phone in (self.phone, self.tablet):
            await phone.wait("presence", type="available", **{"from": ROMEO})
        await self.romeo.wait("presence", type="available", **{"from": JULIET})
        self.laptop.terminal.type("/carbons on")
        self.laptop.terminal.type(f"/msg {ROMEO}")

    async def what_romeo_says_is_everywhere(self) -> None:
        """To the bare address: each session gets it as its own."""
        bodies = self.romeo_says("But soft, what light?", "It is the east.")
        for phone in (self.phone, self.tablet):
            await phone.hears(*bodies)
        await self.laptop.sees(bodies[-1])
        await self.nothing_else(self.phone, self.tablet)
        if self.phone.known != self.tablet.known:
            raise Failed("the phones know the same messages by other ids")

    async def what_the_phone_says_is_on_the_laptop_and_the_other_way_round(self) -> None:
        body = self.now("Who is it that hides in the night?")
        self.phone.do(do="send", to=ROMEO, body=body)
        await self.romeo.hears(body)
        await self.tablet.hears(body, how="sent")
        await self.laptop.sees(body)
        answer = self.now("How did you come here?")
        self.laptop.says(answer)
        await self.romeo.hears(answer)
        for phone in (self.phone, self.tablet):
            await phone.hears(answer, how="sent")
        # To one device by name: the others get copies.
        named = self.now("With love's light wings.")
        self.romeo.do(do="send", to=self.phone.jid, body=named)
        await self.phone.hears(named)
        await self.tablet.hears(named, how="received")
        await self.laptop.sees(named)
        await self.nothing_else(self.phone, self.tablet, self.romeo)

    async def the_phone_in_a_pocket_gets_the_last_presence_before_a_message(self) -> None:
        self.phone.do(do="pocket")
        await self.phone.asks("ping")
        self.phone.waiting = [told for told in self.phone.waiting if told["event"] != "presence"]
        for status in ("climbing", "falling", "climbing again"):
            self.romeo.do(do="presence", status=status)
            await self.tablet.wait("presence", status=status)
        await self.phone.asks("ping")
        if early := [told for told in self.phone.waiting if told["event"] == "presence"]:
            raise Failed(f"the phone in the pocket was woken by {early}")
        (body,) = self.romeo_says("I am here.")
        await self.phone.hears(body)
        seen = [told["status"] for told in self.phone.waiting if told["event"] == "presence"]
        if seen != ["climbing again"]:
            raise Failed(f"before the message the phone saw {seen}")
        self.phone.do(do="looks")
        await self.tablet.hears(body)

    async def the_cable_is_out_for_a_moment(self) -> None:
        """Nobody notices: TCP sends again."""
        self.cable.cut()
        bodies = self.romeo_says("Do you", "hear me?")
        await self.laptop.sees(bodies[-1])
        await asyncio.sleep(1)
        self.cable.mend()
        await self.phone.hears(*bodies)
        await self.tablet.hears(*bodies)
        await self.nothing_else(self.phone, self.tablet)

    async def the_phone_drops_its_connection_and_goes_on_with_its_session(self) -> None:
        """From one network to another: the server thinks the old connection alive when the phone comes by a new one. What
        it had said into the dead one is said once; what was said to it comes once, late, and so says the server."""
        seen = len(self.server.log)
        self.cable.cut()
        sent = self.now("The tunnel, one moment.")
        self.phone.do(do="send", to=ROMEO, body=sent)
        bodies = self.romeo_says("Shall I", "wait", "for you?")
        await self.laptop.sees(bodies[-1])
        self.phone.do(do="drop")
        await self.phone.wait("disconnected")
        self.cable.roam()
        # The connection that is dropped may not be told so behind this.
        await asyncio.sleep(0.5)
        self.cable.mend()
        self.phone.do(do="connect")
        await self.phone.wait("resumed")
        await self.phone.hears(*bodies, how="live", delayed=True)
        await self.romeo.hears(sent)
        await self.tablet.hears(*bodies)
        await self.tablet.hears(sent, how="sent")
        await self.laptop.sees(sent)
        await self.nothing_else(self.phone, self.tablet, self.romeo)
        for line in self.server.log[seen:]:
            is_noticed = isinstance(self.cable, cable.Cable) and "lost its connection" in line
            if f"{JULIET}/phone" in line and (" bound" in line or is_noticed):
                raise Failed(f"the phone did not go on with a session that looked alive: {line}")

    async def the_phone_is_away_for_too_long_and_catches_up(self) -> None:
        """Its session ends without it; the archive has what it missed, once, whoever said it."""
        seen = len(self.server.log)
        self.cable.cut()
        self.phone.do(do="drop")
        await self.phone.wait("disconnected")
        bodies = list(self.romeo_says("Are you", "still there?"))
        answer = self.now("She is in a tunnel, says the laptop.")
        await self.laptop.sees(bodies[-1])
        self.laptop.says(answer)
        await self.romeo.hears(answer)
        await self.phone_is_gone(seen)
        self.cable.mend()
        self.phone.do(do="connect")
        await self.phone.wait("not resumed")
        await self.phone.wait("online")
        await self.phone.heard_nothing_else()
        caught = await self.phone.catches_up()
        if caught != [*bodies, answer]:
            raise Failed(f"from the archive the phone got {caught}")
        if again := await self.phone.catches_up():
            raise Failed(f"and then {again}")

    async def phone_is_gone(self, seen: int) -> None:
        if not await asyncio.to_thread(self.server.wait_for_log, "Closed", f"{JULIET}/phone", since=seen):
            raise Failed("the session of the phone did not end")

    async def the_tablet_was_off_and_catches_up(self) -> None:
        """It closes its stream: nothing waits for it, as others are there; the archive has it all, of both sides."""
        await self.tablet.wait("message", body=self.said[-1])
        self.tablet.waiting.clear()
        await self.tablet.catches_up()
        await self.tablet.asks("leave")
        bodies = [*self.romeo_says("One,", "two,"), self.now("and three."), self.now("Four.")]
        await self.phone.hears(*bodies[:2])
        self.phone.do(do="send", to=ROMEO, body=bodies[2])
        await self.romeo.hears(bodies[2])
        self.laptop.says(bodies[3])
        await self.romeo.hears(bodies[3])
        await self.phone.hears(bodies[3], how="sent")
        await self.tablet.comes()
        await self.tablet.heard_nothing_else()
        if (caught := await self.tablet.catches_up()) != bodies:
            raise Failed(f"from the archive the tablet got {caught}")
        (live,) = self.romeo_says("Five.")
        await self.tablet.hears(live)
        await self.phone.hears(live)
        if again := await self.tablet.catches_up():
            raise Failed(f"and then {again}")
        await self.nothing_else(self.phone, self.tablet)

    async def nobody_is_there_and_what_waits_is_known_to_the_archive(self) -> None:
        """The first who comes gets what waited; the archive calls it by the same ids, so nothing is shown twice."""
        await self.laptop.goes()
        for phone in (self.phone, self.tablet):
            await phone.asks("leave")
        before = self.phone.last
        bodies = self.romeo_says("All asleep?", "Good night.")
        await self.romeo.asks("ping")
        await self.phone.comes()
        await self.phone.hears(*bodies, delayed=True)
        self.phone.last = before
        if again := await self.phone.catches_up():
            raise Failed(f"the archive has {again} by other ids")
        await self.tablet.comes()
        await self.tablet.heard_nothing_else()
        if (caught := await self.tablet.catches_up()) != list(bodies):
            raise Failed(f"from the archive the tablet got {caught}")

    async def the_laptop_comes_back(self) -> None:
        """Profanity 0.13 seeks the archive at the server's address, not at the account's, and so fetches nothing."""
        await self.laptop.comes()
        (body,) = self.romeo_says("Good morning.")
        self.laptop.terminal.type(f"/msg {ROMEO}")
        await self.laptop.sees(body)
        for phone in (self.phone, self.tablet):
            await phone.hears(body)
        await self.nothing_else(self.phone, self.tablet, self.romeo)

    async def the_phone_alone_was_lost_and_is_told_what_waited_and_when_it_was_said(self) -> None:
        """Nobody else is there: what the phone did not acknowledge waits in the store when its session has ended."""
        await self.laptop.goes()
        await self.tablet.asks("leave")
        seen = len(self.server.log)
        self.cable.cut()
        self.phone.do(do="drop")
        await self.phone.wait("disconnected")
        bodies = self.romeo_says("Parting", "is such sweet sorrow.")
        said = datetime.datetime.now(datetime.UTC)
        await self.phone_is_gone(seen)
        self.cable.mend()
        self.phone.do(do="connect")
        await self.phone.wait("not resumed")
        await self.phone.wait("online")
        for body in bodies:
            told = await self.phone.wait("message")
            if told["body"] != body or not self.phone.keep(told):
                raise Failed(f"the phone heard {told}, not {body!r}")
            late = abs(datetime.datetime.fromisoformat(told["stamp"]) - said)
            if late > datetime.timedelta(seconds=2):
                raise Failed(f"said at {said:%H:%M:%S}, but the phone is told {told['stamp']}")
        await self.phone.heard_nothing_else()
        if again := await self.phone.catches_up():
            raise Failed(f"the archive has {again} by other ids")


async def tell_story(story: Story, screens: Path) -> None:
    for number, step in enumerate(story.steps(), 1):
        name, began = step.__name__.replace("_", " "), time.monotonic()
        try:
            await step()
        except Failed as error:
            raise Failed(f"{name}: {error}") from error
        finally:
            (screens / f"{number:02}-{step.__name__.replace('_', '-')}.txt").write_text(story.laptop.terminal.screen())
        print(f"ok      {name} ({time.monotonic() - began:.1f} s)", flush=True)


def faults(server: Server) -> list[str]:
    """What the server warned of."""
    return [line for line in server.log if "[warn]" in line or "[error]" in line]


async def run(wire: cable.Cable | cable.Proxy, server: Server, home: Path, screens: Path) -> bool:
    """Whether all went well; otherwise what was seen is printed."""
    laptop = Laptop(home, server)
    phones: list[Phone] = []
    try:
        behind = await wire.to(server.ports["cable"])
        here = ("127.0.0.1", server.port)
        for jid, where, within in (
            (f"{JULIET}/phone", behind, wire.within),
            (f"{JULIET}/tablet", here, []),
            (f"{ROMEO}/balcony", here, []),
        ):
            phones.append(await Phone.switched_on(jid, where, server.certificate, within))
        async with asyncio.timeout(ALL_S):
            await tell_story(Story(wire, server, laptop, phones), screens)
        return True
    except (Failed, TimeoutError) as error:
        print(f"FAILED  {error or f'no end in {ALL_S} s'}", flush=True)
        print("-- the laptop:\n" + laptop.terminal.screen(), file=sys.stderr)
        for phone in phones:
            print(f"-- {phone.kind} told last:\n" + "\n".join(map(str, phone.said[-12:])), file=sys.stderr)
        return False
    finally:
        for phone in phones:
            await phone.quit()
        laptop.terminal.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--screens", type=Path, help="keeps the laptop's screen after each step and the server's log here")
    parser.add_argument("--proxy", action="store_true", help="cuts by a proxy, also where there could be a cable")
    options = parser.parse_args()
    wire = cable.Proxy() if options.proxy else cable.lay()
    try:
        server = Server(CONFIG.format(address=wire.address))
        with tempfile.TemporaryDirectory(prefix="rjabberd-phones-", ignore_cleanup_errors=True) as name:
            home = Path(name)
            screens = options.screens or home
            screens.mkdir(parents=True, exist_ok=True)
            try:
                for jid in (JULIET, ROMEO):
                    server.add_account(jid, PASSWORD)
                well = asyncio.run(run(wire, server, home, screens))
            finally:
                stopped = server.stop()
            if options.screens:
                (screens / "server.log").write_text("".join(server.log))
    finally:
        wire.remove()
    if not stopped:
        print("FAILED  the server did not stop well")
    if told := faults(server):
        print(f"FAILED  the server warned: {''.join(told)}")
    well = well and stopped and not told
    how = "a cable into a network namespace" if isinstance(wire, cable.Cable) else "a proxy that stalls"
    print(f"phones: two phones and a laptop, by {how}: {'all as it should be' if well else 'not as it should be'}")
    sys.exit(0 if well else 1)


main()
