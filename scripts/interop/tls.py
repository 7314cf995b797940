"""What TLS and SASL do for clients that were not written here, and for some of our own that do what no library does.

One line for each; the exit status is that of the worst. Which mechanism was taken is read from the server's log.
"""

import asyncio
import os
import re
import sys
import tempfile
import uuid
from pathlib import Path

import end_point
import swap
from peers import PASSWORDS, Failed, Peer
from report import Report
from server import ROOT, Server

CONFIG = """
hosts = {hosts}
limits.sessions_per_account_max = 2000
[listen.c2s]
address = "127.0.0.1:0"
shaper = "none"
[listen.c2s_tls]
address = "127.0.0.1:0"
shaper = "none"
[log]
level = "info,c2s:tls=debug"
"""
HOW = {False: "STARTTLS", True: "direct TLS"}
# What each takes if nobody tells it what to take. aioxmpp binds to no channel unless it is told to. slixmpp tries to,
# by tls-unique, where TLS is 1.2: it is refused with each -PLUS, and then goes without; Python has no other binding.
CHOICES = {"slixmpp": "SCRAM-SHA-512", "aioxmpp": "SCRAM-SHA-256"}
# aioxmpp brings an OpenSSL along that knows it; slixmpp has that of the machine.
HYBRID = ("aioxmpp", "1.3", "X25519MLKEM768")
BODY = "grüße <&> \"'"
TOKIO_XMPP = ROOT / ".tools" / "tokio-xmpp" / "release" / "rjabberd_interop_tokio_xmpp"


def user(kind: str) -> str:
    return kind.replace(".", "")


def login_of(server: Server, name: str, since: int) -> str:
    """How a user logged in, as the server's log has it."""
    if line := server.wait_for_log(f" {name}@localhost logged in by ", since=since):
        return re.search(r"logged in by (.*?) from ", line).group(1)
    raise Failed(f"the log tells of no login of {name}")


def group_of(server: Server, version: str, since: int) -> str:
    """How the keys of a connection under this version of TLS were exchanged."""
    if line := server.wait_for_log("c2s:tls", f" TLSv{version.replace('.', '_')} ", since=since):
        return re.search(r"(\S+) for ", line).group(1)
    raise Failed(f"the log tells of no TLS {version}")


async def one_version(server: Server, version: str, direct: bool) -> str:
    """slixmpp and aioxmpp log in by their own choice and talk; what they chose."""
    peers, choices, groups = [], {}, {}
    try:
        for kind in CHOICES:
            since = len(server.log)
            peer = await Peer.start(kind, server, user(kind), None, version=version, direct=direct)
            peers.append(peer)
            await peer.online(None)
            choices[kind] = login_of(server, user(kind), since)
            groups[kind] = group_of(server, version, since)
        one, other = peers
        for sender, reader in ((one, other), (other, one)):
            sender.do(do="send", to=reader.jid, body=BODY)
            told = await reader.wait("message")
            if (told["from"], told["body"]) != (sender.jid, BODY):
                raise Failed(f"{reader.kind} got {told}")
    finally:
        for peer in peers:
            await peer.quit()
    if choices != CHOICES:
        raise Failed(f"they took {choices}")
    kind, hybrid_version, hybrid = HYBRID
    if version == hybrid_version and groups[kind] != hybrid:
        raise Failed(f"{kind} exchanged keys by {groups[kind]}, not {hybrid}")
    return ", ".join(f"{kind} by {mechanism} and {groups[kind]}" for kind, mechanism in choices.items())


async def js_login(server: Server, wanted: str, **more) -> tuple[str, dict | None]:
    """One login of xmpp.js by SASL2 and Bind 2: the session's name, and the token that it was given, if it asked."""
    since = len(server.log)
    asks = "token" not in more or more.pop("renews", False)
    peer = await Peer.start("xmpp.js", server, user("xmpp.js"), "SCRAM-SHA-1", **more)
    try:
        await peer.online(None)
        token = (await peer.wait("token"))["token"] if asks else None
        await peer.asks("ping")
    finally:
        await peer.quit()
    if (how := login_of(server, user("xmpp.js"), since)) != f"{wanted} (SASL2)":
        raise Failed(f"logged in by {how}")
    # XEP-0386, 3.1: the server makes the resource, beginning with what the client asked for.
    if not peer.jid.startswith(f"{user('xmpp.js')}@localhost/xmppjs/"):
        raise Failed(f"bound {peer.jid}")
    return peer.jid, token


async def js_comes_back(server: Server, direct: bool) -> str:
    """By password, by the token it got, which needs none, and by password once the token is spoilt."""
    agent, since = str(uuid.uuid4()), len(server.log)
    first, token = await js_login(server, "SCRAM-SHA-1", agent=agent, direct=direct)
    again, _ = await js_login(server, "HT-SHA-256-NONE", agent=agent, token=token, password="wrong", direct=direct)
    if first != again:
        raise Failed(f"the client is {again} now, no longer {first}")
    spoilt = {**token, "token": token["token"][::-1]}
    await js_login(server, "SCRAM-SHA-1", agent=agent, token=spoilt, renews=True, direct=direct)
    how = f"SCRAM-SHA-1, then {token['mechanism']}, then SCRAM-SHA-1 for a spoilt token"
    return f"{how}; {group_of(server, '1.3', since)}"


async def binds(server: Server, domain: str, version: str, direct: bool) -> str:
    port = server.ports["c2s_tls" if direct else "c2s"]
    return await asyncio.to_thread(end_point.binds, port, domain, version, direct)


async def openssl(server: Server, version: str, direct: bool) -> str:
    """What `openssl s_client` says of the connection."""
    how = ["-alpn", "xmpp-client"] if direct else ["-starttls", "xmpp", "-xmpphost", "localhost"]
    port = server.ports["c2s_tls" if direct else "c2s"]
    process = await asyncio.create_subprocess_exec(
        *("openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost"),
        *("-CAfile", server.certificate, "-verify_return_error", f"-tls{version.replace('.', '_')}", *how),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = (await process.communicate())[0].decode(errors="replace")
    lines = [
        f"New, TLSv{version}, Cipher is ",
        "Server Temp Key: X25519",
        "Verify return code: 0 (ok)",
        "Compression: NONE",
    ]
    lines.append("ALPN protocol: xmpp-client" if direct else "No ALPN negotiated")
    if missing := [line for line in lines if line not in said]:
        raise Failed(f"no {missing} in {said}")
    cipher = re.search(r"Cipher is (\S+)", said).group(1)
    return f"{cipher}, X25519, {'ALPN xmpp-client' if direct else 'no ALPN'}"


async def tokio_xmpp(server: Server, direct: bool) -> str:
    """tokio-xmpp has rustls, which gives it an exporter to bind to; slixmpp answers what it says."""
    reader = await Peer.start("slixmpp", server, user("slixmpp"), None)
    try:
        await reader.online(None)
        since = len(server.log)
        address = f"127.0.0.1:{server.ports['c2s_tls' if direct else 'c2s']}"
        jid = "tokio@localhost/tokio-xmpp"
        process = await asyncio.create_subprocess_exec(
            *(
                str(TOKIO_XMPP),
                "direct" if direct else "starttls",
                address,
                jid,
                PASSWORDS["slixmpp"],
                reader.jid,
                BODY,
            ),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "SSL_CERT_FILE": server.certificate},
        )
        if (line := await process.stdout.readline()) != f"online {jid}\n".encode():
            raise Failed(f"said {(line + await process.stdout.read()).decode()}")
        told = await reader.wait("message")
        reader.do(do="send", to=told["from"], body=told["body"])
        rest = (await process.stdout.read()).decode()
        if (told["from"], told["body"]) != (jid, BODY) or rest != f"{reader.jid} says {BODY}\ngone\n":
            raise Failed(f"slixmpp heard {told}, tokio-xmpp {rest}")
        await process.wait()
    finally:
        await reader.quit()
    if (how := login_of(server, "tokio", since)) != "SCRAM-SHA-256-PLUS":
        raise Failed(f"logged in by {how}")
    return f"{how} and {group_of(server, '1.3', since)}"


async def run(server: Server, report: Report, full: bool) -> None:
    for kind in ("slixmpp", "aioxmpp", "xmpp.js"):
        server.add_account(f"{user(kind)}@localhost", PASSWORDS[kind])
    for direct, how in HOW.items():
        for version in ("1.2", "1.3"):
            text = f"slixmpp and aioxmpp over TLS {version}, {how}"
            await report.line(text, one_version(server, version, direct))
            await report.line(f"openssl s_client over TLS {version}, {how}", openssl(server, version, direct))
        await report.line(f"xmpp.js by SASL2, Bind 2 and FAST, {how}", js_comes_back(server, direct))
    for host in end_point.HOSTS:
        server.add_account(f"bound@{host}", end_point.PASSWORD)
        for version in ("1.2", "1.3"):
            text = f"our own client binds to {host} over TLS {version}"
            await report.line(text, binds(server, host, version, direct=False))
    await report.line("our own client binds to localhost, direct TLS", binds(server, "localhost", "1.3", direct=True))
    if full:
        server.add_account("tokio@localhost", PASSWORDS["slixmpp"])
        for direct, how in HOW.items():
            await report.line(f"tokio-xmpp over TLS 1.3, {how}", tokio_xmpp(server, direct))
        await report.line(f"a certificate changes under {swap.SESSIONS} sessions", swap.swap())


async def main() -> None:
    report = Report()
    with tempfile.TemporaryDirectory(prefix="rjabberd-tls-") as folder:
        server = Server(CONFIG.format(hosts=end_point.HOSTS) + end_point.config(Path(folder)))
        try:
            await run(server, report, "--full" in sys.argv[1:])
        finally:
            stopped = server.stop()
    if not stopped:
        report.fault("the server did not stop well")
    if report.failed:
        print("the server's last log lines:\n" + "".join(server.log[-60:]), file=sys.stderr)
    print(f"tls: {report.passed} combinations work, {report.failed} do not")
    sys.exit(1 if report.failed or not report.passed else 0)


asyncio.run(main())
