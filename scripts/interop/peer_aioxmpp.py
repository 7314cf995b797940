"""aioxmpp as a peer of the interop test: commands as JSON lines on stdin, events as JSON lines on stdout."""

import asyncio
import json
import sys

import aiosasl
import aioxmpp
import aioxmpp.connector
import aioxmpp.disco
import aioxmpp.ibr
import aioxmpp.ping
import aioxmpp.private_xml
import aioxmpp.security_layer as security
import aioxmpp.vcard
import aioxmpp.version
import lxml.etree
import OpenSSL

VCARD = "{vcard-temp}FN"
PRIVATE = "{urn:rjabberd:interop}note"


def tell(**event):
    print(json.dumps(event), flush=True)


class OurCertificate(security.CertificateVerifier):
    """Trusts the certificate of the data folder and no other."""

    def __init__(self, ca):
        self.ca = ca

    def setup_context(self, ctx, transport):
        super().setup_context(ctx, transport)
        ctx.load_verify_locations(self.ca)

    def verify_callback(self, _connection, _x509, _errno, _depth, returncode):
        return returncode

    async def post_handshake(self, transport):
        pass


class OneMechanism(security.PasswordSASLProvider):
    """Knows one mechanism only, so that the test decides which; without a name, it chooses as it always does."""

    used = None

    def __init__(self, name, password):
        async def provide(_jid, attempt):
            return password if attempt == 0 else None

        super().__init__(provide)
        self.name = name

    def _find_supported(self, features, mechanism_classes):
        offered = features[security.SASLMechanisms].get_mechanism_list()
        for mechanism in mechanism_classes:
            token = mechanism.any_supported([name for name in offered if self.name in (None, name)])
            if token is not None:
                # What aiosasl gives back is the name, or for SCRAM a pair that begins with it.
                self.used = token if isinstance(token, str) else token[0]
                return mechanism, token
        return None, None


def context(version):
    """As aioxmpp makes it, but for one version of TLS only if there is one given."""
    made = security.default_ssl_context()
    if version:
        only = {"1.2": OpenSSL.SSL.TLS1_2_VERSION, "1.3": OpenSSL.SSL.TLS1_3_VERSION}[version]
        made.set_min_proto_version(only)
        made.set_max_proto_version(only)
    return made


def layer(settings, provider):
    return security.SecurityLayer(
        lambda: context(settings.get("version")),
        lambda: OurCertificate(settings["ca"]),
        True,
        (provider,),
    )


def jid(command):
    return aioxmpp.JID.fromstr(command["jid"])


def presence(command):
    kind = None if command["type"] == "available" else command["type"]
    made = aioxmpp.Presence(type_=aioxmpp.PresenceType(kind), show=aioxmpp.PresenceShow(command.get("show")))
    made.to = aioxmpp.JID.fromstr(command["to"]) if "to" in command else None
    if "status" in command:
        made.status[None] = command["status"]
    return made


async def roster(client, ver):
    """What stands in the roster, or None if nothing changed since that version."""
    query = aioxmpp.roster.xso.Query(ver=ver or "")
    answer = await client.send(aioxmpp.IQ(aioxmpp.IQType.GET, payload=query))
    return answer and {"ver": answer.ver, "items": {str(item.jid): item.subscription for item in answer.items}}


async def private(client, kind, text):
    query = aioxmpp.private_xml.xso.Query(None)
    note = lxml.etree.Element(PRIVATE)
    note.text = text
    query.unregistered_payload.append(note)
    return await client.send(aioxmpp.IQ(kind, payload=query))


async def obey(client, command):
    host = client.local_jid.replace(localpart=None, resource=None)
    match command["do"]:
        case "send":
            message = aioxmpp.Message(to=aioxmpp.JID.fromstr(command["to"]), type_=aioxmpp.MessageType.CHAT)
            message.body[None] = command["body"]
            await client.send(message)
        case "ping":
            await aioxmpp.ping.ping(client, host)
            tell(event="done", what="ping", value="pong")
        case "disco":
            info = await client.summon(aioxmpp.DiscoClient).query_info(host)
            tell(event="done", what="disco", value=sorted(info.features))
        case "items":
            items = await client.summon(aioxmpp.DiscoClient).query_items(host)
            tell(event="done", what="items", value=f"{len(items.items)} items")
        case "version":
            version = await aioxmpp.version.query_version(client.stream, host)
            tell(event="done", what="version", value=version.name)
        case "presence":
            await client.send(presence(command))
        case "roster":
            tell(event="done", what="roster", value=await roster(client, command.get("ver")))
        case "roster_set":
            await client.summon(aioxmpp.RosterClient).set_entry(jid(command), name=command["name"])
            tell(event="done", what="roster_set", value="set")
        case "roster_remove":
            await client.summon(aioxmpp.RosterClient).remove_entry(jid(command))
            tell(event="done", what="roster_remove", value="removed")
        case "block":
            await client.summon(aioxmpp.BlockingClient).block_jids([jid(command)])
            tell(event="done", what="block", value="blocked")
        case "unblock":
            await client.summon(aioxmpp.BlockingClient).unblock_jids([jid(command)])
            tell(event="done", what="unblock", value="unblocked")
        case "blocked":
            answer = await client.send(aioxmpp.IQ(aioxmpp.IQType.GET, payload=aioxmpp.blocking.xso.BlockList()))
            tell(event="done", what="blocked", value=sorted(map(str, answer.items)))
        case "vcard_set":
            card = aioxmpp.vcard.xso.VCard()
            lxml.etree.SubElement(card.elements, VCARD).text = command["name"]
            await client.summon(aioxmpp.vcard.VCardService).set_vcard(card)
            tell(event="done", what="vcard_set", value="set")
        case "vcard":
            card = await client.summon(aioxmpp.vcard.VCardService).get_vcard(jid(command))
            tell(event="done", what="vcard", value=card.elements.findtext(VCARD))
        case "private_set":
            await private(client, aioxmpp.IQType.SET, command["text"])
            tell(event="done", what="private_set", value="set")
        case "private":
            answer = await private(client, aioxmpp.IQType.GET, None)
            tell(event="done", what="private", value=answer.unregistered_payload[0].text)
        case "password":
            await aioxmpp.ibr.change_password(client.stream, client.local_jid.bare(), command["password"])
            tell(event="done", what="password", value="changed")
        case "quit":
            return False
    return True


def heard(message):
    sender = str(message.from_)
    if message.type_ == aioxmpp.MessageType.ERROR:
        tell(event="error", condition=message.error.condition.value[1], **{"from": sender})
    elif message.body:
        delay = next((delay.stamp.isoformat() for delay in message.xep0203_delay), None)
        tell(event="message", body=message.body.any(), delay=delay, **{"from": sender})


def saw(stanza):
    kind = stanza.type_.value or "available"
    status = stanza.status.any() if stanza.status else None
    tell(event="presence", type=kind, show=stanza.show.value, status=status, **{"from": str(stanza.from_)})
    return stanza


def pushed(item, subscription=None):
    tell(event="push", jid=str(item.jid), name=item.name or "", subscription=subscription or item.subscription)


def watch_contacts(client):
    """Tells of every presence, and of what pushes change."""
    client.stream.app_inbound_presence_filter.register(saw, 0)
    contacts = client.summon(aioxmpp.RosterClient)
    contacts.on_entry_added.connect(pushed)
    contacts.on_entry_subscription_state_changed.connect(pushed)
    contacts.on_entry_removed.connect(lambda item: pushed(item, "remove"))


async def main():
    settings = json.loads(sys.argv[1])
    provider = OneMechanism(settings["mechanism"], settings["password"])
    connectors = aioxmpp.connector
    connector = connectors.XMPPOverTLSConnector if settings.get("direct") else connectors.STARTTLSConnector
    client = aioxmpp.PresenceManagedClient(
        aioxmpp.JID.fromstr(settings["jid"]),
        layer(settings, provider),
        override_peer=[(settings["host"], settings["port"], connector())],
    )
    client.summon(aioxmpp.DiscoClient)
    client.summon(aioxmpp.PingService)
    for service in (aioxmpp.BlockingClient, aioxmpp.vcard.VCardService):
        client.summon(service)
    watch_contacts(client)
    dispatcher = client.summon(aioxmpp.dispatcher.SimpleMessageDispatcher)
    dispatcher.register_callback(None, None, heard)
    client.on_failure.connect(lambda error: tell(event="failed", reason=f"{type(error).__name__}: {error}"))
    commands = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    async with client.connected():
        tell(event="online", jid=str(client.local_jid), mechanism=provider.used)
        while line := await commands.readline():
            try:
                if not await obey(client, json.loads(line)):
                    break
            except (aioxmpp.errors.XMPPError, aiosasl.SASLError, OpenSSL.SSL.Error) as error:
                tell(event="failed", reason=f"{type(error).__name__}: {error}")
    tell(event="gone")


asyncio.run(main())
