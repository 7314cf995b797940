"""slixmpp as a peer of the interop test: commands as JSON lines on stdin, events as JSON lines on stdout."""

import asyncio
import json
import ssl
import sys

import slixmpp
from slixmpp.plugins.xep_0048.stanza import Bookmarks
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import StanzaPath

PLUGINS = [
    *("xep_0004", "xep_0030", "xep_0048", "xep_0049", "xep_0054", "xep_0066", "xep_0077", "xep_0092", "xep_0115"),
    *("xep_0191", "xep_0199", "xep_0202", "xep_0203"),
]


def tell(**event):
    print(json.dumps(event), flush=True)


class Peer(slixmpp.ClientXMPP):
    def __init__(self, settings):
        super().__init__(settings["jid"], settings["password"], sasl_mech=settings["mechanism"])
        self.settings = settings
        self.ssl_context = ssl.create_default_context(cafile=settings["ca"])
        if version := settings.get("version"):
            only = ssl.TLSVersion[f"TLSv{version.replace('.', '_')}"]
            self.ssl_context.minimum_version = self.ssl_context.maximum_version = only
        # It would try both on any port.
        self.enable_direct_tls = settings.get("direct", False)
        self.enable_starttls = not self.enable_direct_tls
        for plugin in PLUGINS:
            self.register_plugin(plugin)
        self.plugin["xep_0077"].create_account = settings.get("register", False)
        self.plugin["xep_0077"].order = 40
        # Subscriptions are what the test decides.
        self.auto_authorize = None
        self.auto_subscribe = False
        self.register_handler(Callback("any presence", StanzaPath("presence"), self.saw))
        self.register_handler(Callback("any push", StanzaPath("iq@type=set/roster"), self.pushed))
        self.add_event_handler("session_start", self.online)
        self.add_event_handler("message", self.heard)
        self.add_event_handler("message_error", self.bounced)
        self.add_event_handler("register", self.register)
        self.add_event_handler("failed_all_auth", lambda _: self.give_up("no mechanism worked"))
        self.add_event_handler("stream_error", lambda error: self.give_up(f"stream error {error['condition']}"))
        self.add_event_handler("ssl_invalid_chain", lambda error: self.give_up(f"certificate refused: {error}"))

    def give_up(self, reason):
        tell(event="failed", reason=reason)

    async def register(self, _form):
        request = self.Iq()
        request["type"] = "set"
        request["register"]["username"] = self.boundjid.user
        request["register"]["password"] = self.password
        await request.send()
        tell(event="registered")

    async def online(self, _event):
        self.send_presence()
        mechanism = self.plugin["feature_mechanisms"].mech.name
        tell(event="online", jid=str(self.boundjid), mechanism=mechanism)

    def heard(self, message):
        if message["type"] == "error":
            return
        stamp = message["delay"]["stamp"] if message.get_plugin("delay", check=True) else None
        delay = stamp.isoformat() if stamp else None
        tell(event="message", body=message["body"], delay=delay, **{"from": str(message["from"])})

    def bounced(self, message):
        tell(event="error", condition=message["error"]["condition"], **{"from": str(message["from"])})

    def saw(self, presence):
        kind = presence._get_attr("type") or "available"
        show, status = presence["show"] or None, presence["status"] or None
        tell(event="presence", type=kind, show=show, status=status, **{"from": str(presence["from"])})

    def pushed(self, iq):
        for jid, item in iq["roster"]["items"].items():
            tell(event="push", jid=str(jid), name=item["name"], subscription=item["subscription"])

    async def ask_roster(self, ver):
        """What stands in the roster, or None if nothing changed since that version."""
        request = self.Iq(stype="get")
        request["roster"]["ver"] = ver or ""
        answer = await request.send()
        if answer.get_plugin("roster", check=True) is None:
            return None
        items = {str(jid): item["subscription"] for jid, item in answer["roster"]["items"].items()}
        return {"ver": answer["roster"]["ver"], "items": items}

    async def keep(self, text):
        bookmarks = Bookmarks()
        bookmarks.add_conference("room@rooms.localhost", "me", name=text)
        await self.plugin["xep_0049"].store(bookmarks)

    async def kept(self):
        answer = await self.plugin["xep_0049"].retrieve("bookmarks")
        return next(iter(answer["private"]["bookmarks"]["conferences"]))["name"]

    async def obey(self, command):
        host = self.boundjid.domain
        match command["do"]:
            case "send":
                self.send_message(mto=command["to"], mbody=command["body"], mtype="chat")
            case "ping":
                await self.plugin["xep_0199"].send_ping(host)
                tell(event="done", what="ping", value="pong")
            case "disco":
                info = await self.plugin["xep_0030"].get_info(jid=host)
                tell(event="done", what="disco", value=sorted(info["disco_info"]["features"]))
            case "items":
                items = await self.plugin["xep_0030"].get_items(jid=host)
                tell(event="done", what="items", value=f"{len(items['disco_items']['items'])} items")
            case "version":
                version = await self.plugin["xep_0092"].get_version(host)
                tell(event="done", what="version", value=version["software_version"]["name"])
            case "time":
                time = await self.plugin["xep_0202"].get_entity_time(host)
                # Not time["entity_time"]["utc"]: slixmpp adds a Z of its own to the one that XEP-0082 demands.
                utc = time.xml.findtext("{urn:xmpp:time}time/{urn:xmpp:time}utc")
                tell(event="done", what="time", value=utc)
            case "presence":
                self.send_presence(
                    pto=command.get("to"),
                    ptype=None if command["type"] == "available" else command["type"],
                    pshow=command.get("show"),
                    pstatus=command.get("status"),
                )
            case "roster":
                tell(event="done", what="roster", value=await self.ask_roster(command.get("ver")))
            case "roster_set":
                await self.update_roster(command["jid"], name=command["name"])
                tell(event="done", what="roster_set", value="set")
            case "roster_remove":
                await self.update_roster(command["jid"], subscription="remove")
                tell(event="done", what="roster_remove", value="removed")
            case "block":
                await self.plugin["xep_0191"].block(slixmpp.JID(command["jid"]))
                tell(event="done", what="block", value="blocked")
            case "unblock":
                await self.plugin["xep_0191"].unblock(slixmpp.JID(command["jid"]))
                tell(event="done", what="unblock", value="unblocked")
            case "blocked":
                jids = await self.plugin["xep_0191"].get_blocked_jids()
                tell(event="done", what="blocked", value=sorted(map(str, jids)))
            case "vcard_set":
                card = self.plugin["xep_0054"].make_vcard()
                card["FN"] = command["name"]
                await self.plugin["xep_0054"].publish_vcard(card)
                tell(event="done", what="vcard_set", value="set")
            case "vcard":
                answer = await self.plugin["xep_0054"].get_vcard(slixmpp.JID(command["jid"]), cached=False)
                tell(event="done", what="vcard", value=answer["vcard_temp"]["FN"])
            case "private_set":
                await self.keep(command["text"])
                tell(event="done", what="private_set", value="set")
            case "private":
                tell(event="done", what="private", value=await self.kept())
            case "password":
                await self.plugin["xep_0077"].change_password(command["password"])
                tell(event="done", what="password", value="changed")
            case "unregister":
                await self.plugin["xep_0077"].cancel_registration()
                tell(event="done", what="unregister", value="removed")
            case "quit":
                await self.disconnect()
                return False
        return True


async def main():
    settings = json.loads(sys.argv[1])
    peer = Peer(settings)
    commands = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    peer.connect(settings["host"], settings["port"])
    while line := await commands.readline():
        try:
            if not await peer.obey(json.loads(line)):
                break
        except slixmpp.exceptions.XMPPError as error:
            tell(event="failed", reason=f"{type(error).__name__}: {error}")
    tell(event="gone")


asyncio.run(main())
