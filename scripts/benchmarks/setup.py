"""What must be there before anything is measured: our programs, the other servers' packages, accounts, a certificate."""

import base64
import hashlib
import hmac
import os
import pathlib
import resource
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOMAIN = "localhost"
PASSWORD = "secret"
# Every account has these keys: deriving 20,000 takes a minute, and no server sees that they are the same.
SALT = b"the same for all"
ITERATIONS = 4096
ACCOUNTS = 20_000


def target():
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").absolute()


def program(name):
    return str(target() / "release" / name)


def prepare(names):
    """Builds and installs what those servers need; lets this process and its children open as many files as may be."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < 16_500:
        print(f"only {hard} files may be open: phases with 15,000 sessions will fail (ulimit -Hn)", file=sys.stderr)
    packages = ["rjabberd", "rjabberd_loadgen"] + ["rjabberd_references"] * any(name in names for name in ("r1", "r2", "r3"))
    build = ["cargo", "build", "--release", "--locked", "--quiet"]
    subprocess.run(build + [part for name in packages for part in ("-p", name)], cwd=ROOT, check=True)
    need("openssl", "openssl")
    if "ejabberd" in names:
        need("ejabberdctl", "ejabberd")
    if "prosody" in names:
        need("prosody", "prosody", "lua-unbound")


def need(command, *packages):
    """Installs Debian packages if a command is missing; no service of theirs is started."""
    if shutil.which(command, path=os.environ.get("PATH", "") + ":/usr/sbin"):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit(f"scripts/bench: install {' '.join(packages)} (Debian's names) and run again")
    policy, ours = pathlib.Path("/usr/sbin/policy-rc.d"), False
    if not policy.exists():
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        ours = True
    try:
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
        subprocess.run(["apt-get", "update", "-qq"], env=environment, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(install, env=environment, check=True, stdout=subprocess.DEVNULL)
    finally:
        if ours:
            policy.unlink()


class Keys:
    """The SCRAM-SHA-1 keys (RFC 5802, 3) that every account has."""

    def __init__(self):
        salted = hashlib.pbkdf2_hmac("sha1", PASSWORD.encode(), SALT, ITERATIONS)
        client_key = hmac.digest(salted, b"Client Key", "sha1")
        self.stored = hashlib.sha1(client_key).digest()
        self.server = hmac.digest(salted, b"Server Key", "sha1")

    @staticmethod
    def base64(key):
        return base64.b64encode(key).decode()


def certificate(folder):
    """A self-signed certificate on P-256, the same for every server: (certificate, key, both in one file)."""
    paths = folder / "certificate.pem", folder / "key.pem", folder / "both.pem"
    if not paths[2].exists():
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        name = ["-days", "30", "-subj", f"/CN={DOMAIN}", "-addext", f"subjectAltName=DNS:{DOMAIN}"]
        out = ["-keyout", str(paths[1]), "-out", str(paths[0])]
        subprocess.run(make + name + out, check=True, stderr=subprocess.DEVNULL)
        paths[2].write_bytes(paths[0].read_bytes() + paths[1].read_bytes())
    return paths
