"""A client of our own that binds its login to the server's certificate (SCRAM-SHA-256-PLUS, tls-server-end-point).

It works the hash of the certificate out by itself (RFC 5929, 4.1), and checks what the server says of its own offer
(XEP-0474) and of the version of TLS (XEP-0515) against what it saw. It sees to it that another certificate's hash is
refused, and so is one who could bind but saw no such offer.
"""

import base64
import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from peers import Failed
from raw import Raw, Scram

PASSWORD = "päss wörd"
MECHANISM = "SCRAM-SHA-256-PLUS"
GS2 = "p=tls-server-end-point,,"
VERSIONS = {"TLSv1.2": "0303", "TLSv1.3": "0304"}
# RFC 5929, 4.1: the hash of the signature, but SHA-256 where that is MD5 or SHA-1.
HASHES = {
    "1.2.840.113549.1.1.5": "sha256",
    "1.2.840.113549.1.1.11": "sha256",
    "1.2.840.113549.1.1.12": "sha384",
    "1.2.840.113549.1.1.13": "sha512",
    "1.2.840.10045.4.3.2": "sha256",
    "1.2.840.10045.4.3.3": "sha384",
}
# How openssl makes a certificate for each host, other than the server's own.
OTHERS = {
    "one.localhost": ["-newkey", "rsa:2048", "-sha1"],
    "two.localhost": ["-newkey", "rsa:2048", "-sha384"],
    "three.localhost": ["-newkey", "rsa:2048", "-sha512"],
    "four.localhost": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-sha384"],
}
HOSTS = ["localhost", *OTHERS]


def config(folder: Path) -> str:
    """The hosts other than the first and their certificates, for the server's config."""
    tables = []
    for host, how in OTHERS.items():
        names = [str(folder / f"{host}.{kind}") for kind in ("pem", "key")]
        what = ["-nodes", "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}", "-days", "2"]
        command = ["openssl", "req", "-x509", *how, *what, "-out", names[0], "-keyout", names[1]]
        subprocess.run(command, check=True, capture_output=True)
        tables.append(f'[host."{host}"]\ntls.certificate = "{names[0]}"\ntls.key = "{names[1]}"\n')
    return "".join(tables)


def elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """The tag and the content of each element of a piece of DER (X.690, 8.1)."""
    while der:
        tag, length, head = der[0], der[1], 2
        if length & 0x80:
            head += length & 0x7F
            length = int.from_bytes(der[2:head], "big")
        yield tag, der[head : head + length]
        der = der[head + length :]


def object_identifier(content: bytes) -> str:
    numbers, number = [content[0] // 40, content[0] % 40], 0
    for byte in content[1:]:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    return ".".join(map(str, numbers))


def end_point(certificate: bytes) -> tuple[str, bytes]:
    """The hash and its name: a certificate is what is signed, how it is signed, and the signature (RFC 5280, 4.1)."""
    [(_, whole)] = elements(certificate)
    _, (_, algorithm), _ = elements(whole)
    name = HASHES[object_identifier(next(elements(algorithm))[1])]
    return name, hashlib.new(name, certificate).digest()


def expect(what: str, value: object, wanted: object) -> None:
    if value != wanted:
        raise Failed(f"{what} is {value!r}, not {wanted!r}")


def check_what_guards(client: Raw, scram: Scram) -> None:
    """XEP-0474: the hash of what was offered, sorted; XEP-0515: the version."""
    offer = "\x1e".join(sorted(client.offered())) + "\x1f" + "\x1e".join(sorted(client.bindings()))
    expect("h", scram.attributes.get("h"), base64.b64encode(hashlib.sha256(offer.encode()).digest()).decode())
    expect("t", scram.attributes.get("t"), VERSIONS[client.socket.version()])


def login(client: Raw, binding: bytes, gs2: str = GS2, mechanism: str = MECHANISM) -> tuple[str, bytes, bytes]:
    """One try: the last answer, what it brought and what it should have brought."""
    scram = Scram("sha256", "bound", PASSWORD, gs2, binding)
    answer, payload = client.says("auth", scram.first(), mechanism)
    if answer != "challenge":
        return answer, payload, b""
    final = scram.final(payload)
    check_what_guards(client, scram)
    return *client.says("response", final), scram.expected


def binds(port: int, domain: str, version: str, direct: bool) -> str:
    """The whole of it for one host and version; what it was bound to."""
    client = Raw(port, domain, version, direct)
    try:
        if "tls-server-end-point" not in client.bindings() or MECHANISM not in client.offered():
            raise Failed(f"not offered: {client.features}")
        name, binding = end_point(client.certificate)
        other = hashlib.sha256(b"another certificate").digest()
        expect("the answer to another certificate's hash", login(client, other)[:2], ("failure", b"not-authorized"))
        # RFC 5802, 6: "y" says that the server offered no binding, which it did.
        stripped = login(client, b"", "y,,", "SCRAM-SHA-256")
        expect("the answer to one who saw no offer to bind", stripped[0], "failure")
        answer, payload, expected = login(client, binding)
        expect("the answer", (answer, payload), ("success", expected))
        return f"{name} of the certificate"
    finally:
        client.close()
