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
import aioxmpp.security_layer as security
import aioxmpp.version
import OpenSSL


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
    """Knows one mechanism only, so that the test decides which."""

    used = None

    def __init__(self, name, password):
        async def provide(_jid, attempt):
            return password if attempt == 0 else None

        super().__init__(provide)
        self.name = name

    def _find_supported(self, features, mechanism_classes):
        offered = features[security.SASLMechanisms].get_mechanism_list()
        for mechanism in mechanism_classes:
            token = mechanism.any_supported([name for name in offered if name == self.name])
            if token is not None:
                self.used = self.name
                return mechanism, token
        return None, None


def layer(settings, provider):
    return security.SecurityLayer(
        security.default_ssl_context,
        lambda: OurCertificate(settings["ca"]),
        True,
        (provider,),
    )


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
        tell(event="message", body=message.body.any(), **{"from": sender})


async def main():
    settings = json.loads(sys.argv[1])
    provider = OneMechanism(settings["mechanism"], settings["password"])
    client = aioxmpp.PresenceManagedClient(
        aioxmpp.JID.fromstr(settings["jid"]),
        layer(settings, provider),
        override_peer=[(settings["host"], settings["port"], aioxmpp.connector.STARTTLSConnector())],
    )
    client.summon(aioxmpp.DiscoClient)
    client.summon(aioxmpp.PingService)
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
