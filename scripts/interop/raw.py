"""A client of our own on a blocking socket, for what no library lets one do: it says what it is told to, byte for byte.

It knows no XML: the server's answers are looked through with patterns, which holds only for a server that we know.
Certificates are not verified; whoever must, looks at `certificate`.
"""

import base64
import hashlib
import hmac
import os
import re
import socket
import ssl

PATIENCE_S = 20
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
ANSWER = rb"<(challenge|success|failure)\b[^>]*?(?:/>|>(.*?)</\1>)"


class Refused(Exception):
    """The server's answer was not the wanted one."""


def context(version: str | None = None) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.set_alpn_protocols(["xmpp-client"])
    if version:
        made.minimum_version = made.maximum_version = VERSIONS[version]
    return made


class Raw:
    """One connection under TLS, after the server's features."""

    def __init__(self, port: int, domain: str, version: str | None = None, direct: bool = False) -> None:
        self.domain = domain
        self.rest = b""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not direct:
            self.header()
            self.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
            self.until(rb"<proceed[^>]*/>")
        self.socket = context(version).wrap_socket(self.socket, server_hostname=domain)
        self.features = self.header()

    def header(self) -> str:
        """Begins a stream, and gives the features that the server answers with."""
        self.send(
            f"<stream:stream to='{self.domain}' version='1.0' xmlns='jabber:client' "
            "xmlns:stream='http://etherx.jabber.org/streams'>"
        )
        return self.until(rb"<stream:features\b.*?</stream:features>").group().decode()

    def send(self, text: str) -> None:
        self.socket.sendall(text.encode())

    def until(self, pattern: bytes) -> re.Match[bytes]:
        """Reads on until this has come; what comes behind it is kept."""
        while not (found := re.search(pattern, self.rest, re.S)):
            if not (more := self.socket.recv(65536)):
                raise Refused(f"the server ended the stream after {self.rest!r}")
            self.rest += more
        self.rest = self.rest[found.end() :]
        return found

    def says(self, element: str, payload: bytes, mechanism: str | None = None) -> tuple[str, bytes]:
        """One step of SASL (RFC 6120, 6.4): the name of the answer, and its payload, or the condition of a failure."""
        named = f" mechanism='{mechanism}'" if mechanism else ""
        self.send(f"<{element} xmlns='{SASL}'{named}>{base64.b64encode(payload).decode() or '='}</{element}>")
        name, inner = self.until(ANSWER).groups()
        if name == b"failure":
            return "failure", re.search(rb"<([a-z-]+)", inner).group(1)
        return name.decode(), base64.b64decode(inner or b"")

    def offered(self) -> list[str]:
        """The mechanisms that were offered outside of SASL2."""
        list_of_them = re.search("<mechanisms\\b.*?</mechanisms>", self.features, re.S).group()
        return re.findall("<mechanism>([^<]+)<", list_of_them)

    def bindings(self) -> list[str]:
        """XEP-0440."""
        return re.findall("<channel-binding type=['\"]([^'\"]+)", self.features)

    @property
    def certificate(self) -> bytes:
        return self.socket.getpeercert(binary_form=True)

    def close(self) -> None:
        self.socket.close()


class Scram:
    """RFC 5802 for one login; says what is said and leaves to others what is made of the answer."""

    def __init__(self, hash_name: str, user: str, password: str, gs2: str = "n,,", binding: bytes = b"") -> None:
        self.hash = hash_name
        self.password = password.encode()
        self.gs2, self.binding = gs2.encode(), binding
        self.bare = f"n={user},r={base64.b64encode(os.urandom(18)).decode()}".encode()

    def first(self) -> bytes:
        return self.gs2 + self.bare

    def final(self, challenge: bytes, keys: tuple[bytes, bytes] | None = None) -> bytes:
        """The client's final message. `keys` stand in for the client's and the server's, if they are known."""
        self.attributes = dict(part.split("=", 1) for part in challenge.decode().split(","))
        client_key, server_key = keys or self.keys()
        bound = base64.b64encode(self.gs2 + self.binding)
        without_proof = b"c=" + bound + b",r=" + self.attributes["r"].encode()
        said = b",".join([self.bare, challenge, without_proof])
        signature = self.hmac(hashlib.new(self.hash, client_key).digest(), said)
        proof = bytes(one ^ other for one, other in zip(client_key, signature, strict=True))
        self.expected = b"v=" + base64.b64encode(self.hmac(server_key, said))
        return without_proof + b",p=" + base64.b64encode(proof)

    def keys(self) -> tuple[bytes, bytes]:
        salt, iterations = base64.b64decode(self.attributes["s"]), int(self.attributes["i"])
        salted = hashlib.pbkdf2_hmac(self.hash, self.password, salt, iterations)
        return self.hmac(salted, b"Client Key"), self.hmac(salted, b"Server Key")

    def hmac(self, key: bytes, text: bytes) -> bytes:
        return hmac.digest(key, text, self.hash)
