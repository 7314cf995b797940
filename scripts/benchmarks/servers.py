"""The servers that are measured: how each is configured, filled with accounts, started fresh, and ended.

Each has no shaping, no limit in the way, a backlog of 1,024, SCRAM accounts, and the same few services: roster, disco,
ping, sessions; no archive, no federation. rjabberd logs as it ships, each login and each end; the others only warnings,
which halves the memory of ejabberd's sessions. Everything of a server is in a folder of its own; nothing of the system's configuration is read.
"""

import os
import pathlib
import shutil
import socket
import subprocess
import time

from . import setup
from .setup import ACCOUNTS, DOMAIN, ITERATIONS, SALT

START_S_MAX = 60
STOP_S_MAX = 20
LOOPBACK = "127.0.0.1"
HEADER = (
    f"<?xml version='1.0'?><stream:stream to='{DOMAIN}' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
).encode()


class Fault(Exception):
    """A server does not do what it should; the text says which and what."""


class Server:
    """One server in a folder of its own. `with` starts it on fresh data and ends it."""

    name = None
    # Whether it is one of the references, which speak no TLS and have no accounts.
    reference = False

    def __init__(self, work):
        self.work = work
        self.folder = work / self.name
        self.seed = work / f"{self.name}-seed"
        self.process = None
        self.ports = {}
        self.started_s = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def pid(self):
        return self.process.pid

    def start(self):
        """Starts it on a copy of the accounts made once; `started_s` is the time to the first stream features."""
        if not self.seed.exists():
            shutil.rmtree(self.folder, ignore_errors=True)
            (self.folder / "data").mkdir(parents=True)
            self.ports = {"none": free_port(), "direct": free_port()}
            self.configure()
            self.fill()
            (self.folder / "data").rename(self.seed)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.renew()
        self.begin()

    def restart(self):
        """Ends it and starts it again on the data that it has."""
        self.stop()
        self.begin()

    def begin(self):
        self.ports = {"none": free_port(), "direct": free_port()}
        self.configure()
        began = time.monotonic()
        self.launch(self.command(), self.environment())
        self.await_features(self.ports["none"], began)

    def renew(self):
        """Makes the data folder anew from the seed."""
        subprocess.run(["cp", "-a", str(self.seed), str(self.folder / "data")], check=True)

    def launch(self, command, environment, stdout=None):
        with open(self.folder / "output.log", "ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=os.environ | environment, stdin=subprocess.DEVNULL,
                stdout=stdout or log, stderr=log, start_new_session=True,
            )

    def await_features(self, port, began):
        while time.monotonic() < began + START_S_MAX:
            if self.process.poll() is not None:
                raise Fault(f"{self.name} ended at once: {self.last_words()}")
            if first_features(port):
                self.started_s = time.monotonic() - began
                return
            time.sleep(0.001)
        self.stop()
        raise Fault(f"{self.name} does not answer after {START_S_MAX} s: {self.last_words()}")

    def run_once(self, command):
        """Runs a command of the server's to its end, in its folder."""
        self.launch(command, self.environment())
        if self.process.wait() != 0:
            raise Fault(f"{self.name}: {command[0]} failed: {self.last_words()}")
        self.process = None

    def last_words(self):
        logs = [path for path in self.folder.glob("*.log") if path.is_file()]
        return " / ".join(path.read_text(errors="replace")[-500:].strip() for path in logs)

    def stop(self):
        """Ends the process that was started, and waits until it is gone."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def configure(self):
        pass

    def fill(self):
        pass

    def command(self):
        raise NotImplementedError

    def environment(self):
        return {}

    def version(self):
        raise NotImplementedError


class Rjabberd(Server):
    name = "rjabberd"

    def configure(self):
        certificate, key, _ = setup.certificate(self.work)
        write(self.folder / "rjabberd.toml", f"""
            hosts = ["{DOMAIN}"]
            data = "data"
            [auth]
            mechanisms = ["SCRAM-SHA-1"]
            iterations = {ITERATIONS}
            [archive]
            enabled = false
            [tls]
            certificate = "{certificate}"
            key = "{key}"
            [listen.c2s]
            address = "{LOOPBACK}:{self.ports['none']}"
            tls = "none"
            require_tls = false
            shaper = "none"
            [listen.c2s_tls]
            address = "{LOOPBACK}:{self.ports['direct']}"
            tls = "direct"
            shaper = "none"
        """)

    def fill(self):
        keys = setup.Keys()
        parts = ITERATIONS, keys.base64(SALT), keys.base64(keys.stored), keys.base64(keys.server)
        secret = "{SCRAM-SHA-1}" + ",".join(str(part) for part in parts)
        lines = (f"u{number}@{DOMAIN}\t{secret}\n" for number in range(ACCOUNTS))
        accounts = self.folder / "accounts"
        accounts.write_text("".join(lines))
        self.run_once([self.program(), "user", "import", str(accounts)])

    def command(self):
        return [self.program(), "run"]

    def program(self):
        return setup.program("rjabberd")

    def version(self):
        told = output([setup.program("rjabberd"), "--version"]).split()[-1]
        return f"{told} ({output(['git', '-C', str(setup.ROOT), 'rev-parse', '--short', 'HEAD'])})"


class Reference(Server):
    reference = True

    def start(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        began = time.monotonic()
        self.launch(self.command(), {}, stdout=subprocess.PIPE)
        address = self.process.stdout.readline().decode().strip()
        if not address:
            raise Fault(f"{self.name} ended at once: {self.last_words()}")
        self.ports = {"none": int(address.rsplit(":", 1)[1])}
        self.await_features(self.ports["none"], began)

    def command(self):
        return [
            setup.program("rjabberd-reference"), "--stage", self.name, "--listen", f"{LOOPBACK}:0",
            "--workers", str(os.cpu_count()), "--domain", DOMAIN, "--password", setup.PASSWORD,
        ]

    def version(self):
        return output(["git", "-C", str(setup.ROOT), "rev-parse", "--short", "HEAD"])


class R1(Reference):
    name = "r1"


class R2(Reference):
    name = "r2"


class R3(Reference):
    name = "r3"


class Ejabberd(Server):
    name = "ejabberd"

    def configure(self):
        both = setup.certificate(self.work)[2]
        listener = f"""
              - port: %d
                ip: "{LOOPBACK}"
                module: ejabberd_c2s
                backlog: 1024
                max_stanza_size: 262144
                shaper: none
                access: all
                tls: %s
        """
        listeners = listener % (self.ports["none"], "false") + listener % (self.ports["direct"], "true")
        write(self.folder / "ejabberd.yml", f"""
            loglevel: warning
            log_rotate_count: 0
            hosts:
              - {DOMAIN}
            certfiles:
              - "{both}"
            auth_method: internal
            auth_password_format: scram
            auth_scram_hash: sha
            listen:{listeners}
            shaper_rules:
              max_user_sessions: infinity
            modules:
              mod_disco: {{}}
              mod_ping: {{}}
              mod_roster: {{}}
        """)

    def fill(self):
        keys = setup.Keys()
        scram = "{{scram, <<\"{}\">>, <<\"{}\">>, <<\"{}\">>, sha, {}}}".format(
            keys.base64(keys.stored), keys.base64(keys.server), keys.base64(SALT), ITERATIONS
        )
        # There is no bulk import of keys; this writes the rows that its own `register` would write.
        write_row = f"mnesia:dirty_write({{passwd, {{User, <<\"{DOMAIN}\">>}}, {scram}}})"
        one = f"fun(N) -> User = <<\"u\", (integer_to_binary(N))/binary>>, {write_row} end"
        script = f"lists:foreach({one}, lists:seq(0, {ACCOUNTS - 1})), init:stop()."
        self.run_once(self.command() + ["-eval", script])

    def command(self):
        # As ejabberdctl starts it, without distribution, so that no epmd is left behind.
        spool = ["-mnesia", "dir", f'"{self.folder / "data"}"']
        return ["erl", "+K", "true", "+P", "250000", "-noinput", *spool, "-s", "ejabberd"]

    def environment(self):
        libraries = next(pathlib.Path("/usr/lib").glob("*/ejabberd-*/ebin"), None)
        if libraries is None:
            raise Fault("ejabberd's package is not where Debian puts it")
        return {
            "EJABBERD_CONFIG_PATH": str(self.folder / "ejabberd.yml"),
            "EJABBERD_LOG_PATH": str(self.folder / "ejabberd.log"),
            "ERL_CRASH_DUMP": str(self.folder / "crash.dump"),
            "ERL_LIBS": str(libraries.parents[1]),
            "ERL_MAX_PORTS": "32000",
            "ERL_MAX_ETS_TABLES": "1400",
        }

    def version(self):
        return package_version("ejabberd")


class Prosody(Server):
    name = "prosody"

    def configure(self):
        certificate, key, _ = setup.certificate(self.work)
        certificates = self.folder / "certificates"
        certificates.mkdir(exist_ok=True)
        write(self.folder / "prosody.cfg.lua", f"""
            run_as_root = true
            data_path = "{self.folder / 'data'}"
            pidfile = "{self.folder / 'prosody.pid'}"
            network_backend = "epoll"
            network_settings = {{ tcp_backlog = 1024 }}
            interfaces = {{ "{LOOPBACK}" }}
            c2s_ports = {{ {self.ports['none']} }}
            c2s_direct_tls_ports = {{ {self.ports['direct']} }}
            s2s_ports = {{ }}
            http_ports = {{ }}
            https_ports = {{ }}
            modules_enabled = {{ "roster", "saslauth", "tls", "disco", "ping" }}
            modules_disabled = {{ "s2s", "s2s_auth_certs", "offline" }}
            c2s_require_encryption = false
            authentication = "internal_hashed"
            storage = "internal"
            certificates = "{certificates}"
            ssl = {{ certificate = "{certificate}"; key = "{key}" }}
            c2s_direct_tls_ssl = {{ certificate = "{certificate}"; key = "{key}" }}
            log = {{ warn = "{self.folder / 'prosody.log'}" }}
            VirtualHost "{DOMAIN}"
        """)

    def fill(self):
        keys = setup.Keys()
        account = (
            f'return {{\n\t["iteration_count"] = {ITERATIONS};\n\t["salt"] = "{SALT.decode()}";\n'
            f'\t["stored_key"] = "{keys.stored.hex()}";\n\t["server_key"] = "{keys.server.hex()}";\n}};\n'
        )
        accounts = self.folder / "data" / DOMAIN / "accounts"
        accounts.mkdir(parents=True)
        for number in range(ACCOUNTS):
            (accounts / f"u{number}.dat").write_text(account)

    def renew(self):
        # 20,000 small files, which no phase changes, take longer to copy than most phases.
        host = self.folder / "data" / DOMAIN
        host.mkdir(parents=True)
        (host / "accounts").symlink_to(self.seed / DOMAIN / "accounts")

    def command(self):
        return ["prosody", "-F", "--config", str(self.folder / "prosody.cfg.lua")]

    def version(self):
        return package_version("prosody")


KINDS = {kind.name: kind for kind in (Rjabberd, R1, R2, R3, Ejabberd, Prosody)}


def first_features(port):
    """Whether a stream header is answered with features now."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=5) as client:
            client.sendall(HEADER)
            read = b""
            while b"</stream:features>" not in read:
                more = client.recv(4096)
                if not more:
                    return False
                read += more
            client.sendall(b"</stream:stream>")
            return True
    except OSError:
        return False


def free_port():
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


def write(path, text):
    """Writes text that is indented in the source; relative indentation is kept."""
    lines = [line for line in text.splitlines() if line.strip()]
    margin = min(len(line) - len(line.lstrip()) for line in lines)
    path.write_text("\n".join(line[margin:] for line in lines) + "\n")


def output(command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def package_version(package):
    return output(["dpkg-query", "-W", "-f", "${Version}", package])
