"""A phone: slixmpp with stream management, carbons, archive and client state, told and telling by JSON lines as in peers.py.

It tells of each message how it came (live, or as a copy of what another session got or sent) and by which id its account's
archive knows it.
"""

import asyncio
import json
import ssl
import sys

import slixmpp
from slixmpp.xmlstream import ET
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import StanzaPath

PLUGINS = ["xep_0030", "xep_0198", "xep_0199", "xep_0203", "xep_0280", "xep_0313", "xep_0352", "xep_0359"]
MESSAGE = "{jabber:client}message"
FORWARDED = "{urn:xmpp:forward:0}forwarded"
CARBONS = "{urn:xmpp:carbons:2}"
STANZA_ID = "{urn:xmpp:sid:0}stanza-id"
DELAY = "{urn:xmpp:delay}delay"


def tell(**event: object) -> None:
    print(json.dumps(event), flush=True)


class Phone(slixmpp.ClientXMPP):
    def __init__(self, settings: dict) -> None:
        super().__init__(settings["jid"], settings["password"])
        self.settings = settings
        self.own: set[str] = set()
        self.ssl_context = ssl.create_default_context(cafile=settings["ca"])
        self.enable_direct_tls = False
        for plugin in PLUGINS:
            self.register_plugin(plugin)
        # Whoever asks is allowed and asked back, by the one device that is to decide.
        self.auto_authorize = True if settings["decides"] else None
        self.auto_subscribe = settings["decides"]
        self.register_handler(Callback("any message", StanzaPath("message"), self.hears))
        self.register_handler(Callback("any presence", StanzaPath("presence"), self.sees))
        self.add_event_handler("session_start", self.starts)
        self.add_event_handler("session_resumed", lambda _: tell(event="resumed"))
        self.add_event_handler("sm_failed", lambda failed: tell(event="not resumed", h=failed.xml.get("h")))
        self.add_event_handler("disconnected", lambda _: tell(event="disconnected"))
        self.add_event_handler("failed_all_auth", lambda _: tell(event="failed", reason="login"))
        self.add_event_handler("stream_error", lambda error: tell(event="failed", reason=error["condition"]))

    async def starts(self, _event: object) -> None:
        await self.get_roster()
        await self.plugin["xep_0280"].enable()
        self.send_presence()
        tell(event="online", jid=str(self.boundjid))

    def of(self, xml: ET.Element) -> dict:
        """What stands in a message, the id that our own archive gave it, and whether it was said here: such a one comes
        back by the archive alone, and is known by its own id."""
        ids = [child.get("id") for child in xml.iterfind(STANZA_ID) if child.get("by") == self.boundjid.bare]
        return {
            "from": xml.get("from"),
            "to": xml.get("to"),
            "body": xml.findtext("{jabber:client}body"),
            "type": xml.get("type"),
            "ids": ids,
            "own": xml.get("id") in self.own,
        }

    def hears(self, message: slixmpp.Message) -> None:
        xml, how = message.xml, "live"
        for kind in ("received", "sent"):
            copy = xml.find(f"{CARBONS}{kind}/{FORWARDED}/{MESSAGE}")
            if copy is not None:
                if xml.get("from") != self.boundjid.bare:
                    tell(event="failed", reason=f"a copy that is forged: {ET.tostring(xml)}")
                xml, how = copy, kind
        if xml.find("{jabber:client}body") is not None:
            delays = [delay.get("stamp") for delay in xml.iterfind(DELAY)]
            if len(delays) > 1:
                tell(event="failed", reason=f"several times: {ET.tostring(xml)}")
            tell(event="message", how=how, stamp=delays[0] if delays else None, **self.of(xml))

    def sees(self, presence: slixmpp.Presence) -> None:
        if presence["from"].bare != self.boundjid.bare:
            tell(event="presence", type=presence["type"], status=presence["status"], **{"from": presence["from"].bare})

    async def archive(self, after: str | None, page: int) -> list[dict]:
        """All behind a message, page by page."""
        found = []
        while True:
            rsm = {"max": str(page)} | ({"after": after} if after else {})
            answer = await self.plugin["xep_0313"].retrieve(rsm=rsm)
            for result in answer["mam"]["results"]:
                xml = result.xml.find("{urn:xmpp:mam:2}result")
                copy = xml.find(f"{FORWARDED}/{MESSAGE}")
                found.append({**self.of(copy), "ids": [xml.get("id")]})
            if answer["mam_fin"]["complete"]:
                return found
            after = found[-1]["ids"][0]

    async def obey(self, command: dict) -> bool:
        value: object = None
        match command["do"]:
            case "send":
                message = self.make_message(mto=command["to"], mbody=command["body"], mtype="chat")
                message["id"] = self.new_id()
                self.own.add(message["id"])
                message.send()
                return True
            case "presence":
                self.send_presence(pto=command.get("to"), ptype=command.get("type"), pstatus=command.get("status"))
                return True
            case "drop":
                # As the system of a phone does it that has no network any more.
                self.transport.abort()
                return True
            case "connect":
                self.connect(self.settings["host"], self.settings["port"])
                return True
            case "quit":
                await self.disconnect()
                return False
            case "leave":
                # Without it, what came within the last second would come again (XEP-0198, 4).
                self.plugin["xep_0198"].send_ack()
                await self.disconnect()
            case "ping":
                await self.plugin["xep_0199"].send_ping(self.boundjid.domain)
            case "looks" | "pocket" as what:
                self.plugin["xep_0352"].send_active() if what == "looks" else self.plugin["xep_0352"].send_inactive()
                return True
            case "archive":
                value = await self.archive(command["after"], command["page"])
        tell(event="done", what=command["do"], value=value)
        return True


async def main() -> None:
    phone = Phone(json.loads(sys.argv[1]))
    commands = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        try:
            if not await phone.obey(json.loads(line)):
                break
        except slixmpp.exceptions.XMPPError as error:
            tell(event="failed", reason=f"{type(error).__name__}: {error}")
    tell(event="gone")


asyncio.run(main())
