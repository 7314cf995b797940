"""What two users do with one another beside talking: each client plays it once with the next one.

They find each other, subscribe, see one another come and go, leave messages for who is away, block, and keep a vCard and
private data. The steps build on one another, so the first that fails ends the play.
"""

import datetime

from peers import PASSWORDS, Failed, Peer
from server import Server

ROLES = ("one-", "other-")
AWAY = ["first", "sécond <&>", "third"]
NAME = "Jürgen <&> Co."


def expect(what, value, wanted):
    if value != wanted:
        raise Failed(f"{what} is {value!r}, not {wanted!r}")


class Play:
    """Two users, each with an account that nobody used before."""

    def __init__(self, server: Server, one: tuple[str, str], other: tuple[str, str]) -> None:
        self.server = server
        self.casts = {role: (kind, mechanism) for role, (kind, mechanism) in zip(ROLES, (one, other), strict=True)}
        self.peers: dict[str, Peer] = {}

    async def enter(self, role: str) -> Peer:
        kind, mechanism = self.casts[role]
        user = f"{role}{kind.replace('.', '')}"
        peer = self.peers[role] = await Peer.start(kind, self.server, user, mechanism)
        await peer.online(mechanism)
        # RFC 6121, 2.2: only who asked for the roster is told of pushes and of answers to subscriptions.
        await peer.asks("roster")
        return peer

    async def begin(self) -> None:
        self.one, self.other = [await self.enter(role) for role in ROLES]

    async def end(self) -> None:
        for peer in self.peers.values():
            await peer.quit()

    async def adds_a_contact(self) -> str:
        """RFC 6121, 2.3: the set is pushed to the client that made it; 2.6: a known version is answered by nothing."""
        one, other = self.one, self.other
        expect("the roster of a new user", (await one.asks("roster"))["items"], {})
        await one.asks("roster_set", jid=other.bare, name=NAME)
        await one.wait("push", jid=other.bare, name=NAME, subscription="none")
        roster = await one.asks("roster")
        expect("the roster", roster["items"], {other.bare: "none"})
        known = await one.asks("roster", ver=roster["ver"])
        expect("the answer to the version it has", known, None)
        return f"version {roster['ver']}"

    async def subscribes_both_ways(self) -> None:
        one, other = self.one, self.other
        await self.grant(one, other, "to")
        await self.grant(other, one, "both")
        await one.wait("push", jid=other.bare, subscription="both")

    async def grant(self, asker: Peer, granter: Peer, state: str) -> None:
        """RFC 6121, 3.1: the asker learns that it was granted, and sees the presence of who granted it."""
        asker.do(do="presence", type="subscribe", to=granter.bare)
        await granter.wait("presence", type="subscribe", **{"from": asker.bare})
        granter.do(do="presence", type="subscribed", to=asker.bare)
        await asker.wait("presence", type="subscribed", **{"from": granter.bare})
        await asker.wait("push", jid=granter.bare, subscription=state)
        await asker.wait("presence", type="available", **{"from": granter.jid})

    async def is_seen_to_be_away(self) -> None:
        self.one.do(do="presence", type="available", show="away", status=NAME)
        await self.other.wait("presence", show="away", status=NAME, **{"from": self.one.jid})

    async def gets_what_came_while_it_was_gone(self) -> None:
        """RFC 6121, 8.5.2.2 and XEP-0160, XEP-0203: in order, each with the time at which it was kept."""
        one, other = self.one, self.other
        await one.quit()
        await other.wait("presence", type="unavailable", **{"from": one.jid})
        for body in AWAY:
            other.do(do="send", to=one.bare, body=body)
        await other.asks("ping")
        self.one = one = await self.enter(ROLES[0])
        for body in AWAY:
            told = await one.wait("message")
            expect("the message", (told["from"], told["body"]), (other.jid, body))
            self.expect_recent(told.get("delay"))
        await other.wait("presence", type="available", show=None, **{"from": one.jid})

    @staticmethod
    def expect_recent(stamp: str | None) -> None:
        if stamp is None:
            raise Failed("the message says nothing of a delay")
        age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(stamp)
        if not datetime.timedelta(seconds=-5) < age < datetime.timedelta(minutes=2):
            raise Failed(f"the delay's stamp is {stamp}")

    async def blocks_and_unblocks(self) -> None:
        """XEP-0191: who is blocked sees the user leave, and come back when that ends; messages are refused."""
        one, other = self.one, self.other
        await one.asks("block", jid=other.bare)
        expect("the block list", await one.asks("blocked"), [other.bare])
        await other.wait("presence", type="unavailable", **{"from": one.jid})
        other.do(do="send", to=one.bare, body="refused")
        await other.wait("error", condition="service-unavailable")
        await one.asks("unblock", jid=other.bare)
        expect("the block list", await one.asks("blocked"), [])
        await other.wait("presence", type="available", **{"from": one.jid})
        other.do(do="send", to=one.bare, body="taken")
        expect("the next message", (await one.wait("message"))["body"], "taken")

    async def shows_its_vcard(self) -> None:
        await self.one.asks("vcard_set", name=NAME)
        expect("the vCard's name, asked by its owner", await self.one.asks("vcard", jid=self.one.bare), NAME)
        expect("the vCard's name, asked by another", await self.other.asks("vcard", jid=self.one.bare), NAME)

    async def keeps_private_data(self) -> None:
        await self.one.asks("private_set", text=NAME)
        expect("the private data", await self.one.asks("private"), NAME)

    async def removes_the_contact(self) -> None:
        """RFC 6121, 2.5.2: a removal ends both subscriptions; the other keeps the item."""
        one, other = self.one, self.other
        await one.asks("roster_remove", jid=other.bare)
        await one.wait("push", jid=other.bare, subscription="remove")
        await other.wait("presence", type="unsubscribe", **{"from": one.bare})
        await other.wait("presence", type="unsubscribed", **{"from": one.bare})
        await other.wait("presence", type="unavailable", **{"from": one.jid})
        await other.wait("push", jid=one.bare, subscription="none")
        expect("the roster", (await one.asks("roster"))["items"], {})
        expect("the other's roster", (await other.asks("roster"))["items"], {one.bare: "none"})

    def steps(self):
        return [
            self.adds_a_contact,
            self.subscribes_both_ways,
            self.is_seen_to_be_away,
            self.gets_what_came_while_it_was_gone,
            self.blocks_and_unblocks,
            self.shows_its_vcard,
            self.keeps_private_data,
            self.removes_the_contact,
        ]


async def live(server: Server, report, one: tuple[str, str], other: tuple[str, str]) -> None:
    """Plays it with accounts of its own and reports one line for each step."""
    for role, (kind, _) in zip(ROLES, (one, other), strict=True):
        server.add_account(f"{role}{kind.replace('.', '')}@localhost", PASSWORDS[kind])
    play = Play(server, one, other)
    try:
        if await report.line(f"{one[0]} and {other[0]} enter", play.begin()):
            for step in play.steps():
                text = step.__name__.replace("_", " ")
                if not await report.line(f"{one[0]} {text}, with {other[0]}", step()):
                    break
    finally:
        await play.end()
