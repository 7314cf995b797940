"""Starts the server under test on free ports, with a folder of its own."""

import os
import re
import subprocess
import tempfile
import threading
import queue
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE_S = 20
# No TLS from the first byte and no shaper; everybody may register, and all is in the log.
CONFIG = """
hosts = ["localhost"]
[listen.c2s]
address = "127.0.0.1:0"
shaper = "none"
[listen.c2s_tls]
enabled = false
[registration]
enabled = true
[log]
level = "debug"
"""


def program():
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return os.environ.get("RJABBERD_BIN", str(target / "release" / "rjabberd"))


def environment():
    """What is set for the scripts is no business of the server's config."""
    return {key: value for key, value in os.environ.items() if not key.startswith("RJABBERD_")}


class Server:
    def __init__(self, config):
        self.folder = tempfile.TemporaryDirectory(prefix="rjabberd-interop-")
        self.config = Path(self.folder.name) / "rjabberd.toml"
        self.config.write_text(config)
        self.log = []
        self.process = subprocess.Popen(
            [program(), "run", "--config", str(self.config)],
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=environment(),
        )
        lines = queue.Queue()
        self.reader = threading.Thread(target=self._read, args=(lines,), daemon=True)
        self.reader.start()
        self.port = self._port(lines, "c2s")

    def _read(self, lines):
        for line in self.process.stderr:
            self.log.append(line)
            lines.put(line)
        lines.put(None)

    def _port(self, lines, name):
        try:
            while (line := lines.get(timeout=PATIENCE_S)) is not None:
                if found := re.search(rf"Listening on \S+:(\d+) \({name}\)", line):
                    return int(found.group(1))
        except queue.Empty:
            pass
        raise SystemExit("the server does not start:\n" + "".join(self.log))

    @property
    def certificate(self):
        """The self-signed certificate of the data folder, without its key."""
        pem = (Path(self.folder.name) / "data" / "self-signed.pem").read_text()
        path = Path(self.folder.name) / "certificate.pem"
        path.write_text(re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", pem, re.S).group())
        return str(path)

    def add_account(self, jid, password):
        subprocess.run(
            [program(), "user", "add", jid, "--password-stdin", "--config", str(self.config)],
            input=password + "\n",
            text=True,
            check=True,
            stdout=subprocess.DEVNULL,
            env=environment(),
        )

    def stop(self):
        """Stops the server and reads its log to the end; whether it stopped by itself and well."""
        self.process.terminate()
        try:
            return self.process.wait(timeout=PATIENCE_S) == 0
        except subprocess.TimeoutExpired:
            self.process.kill()
            return False
        finally:
            self.reader.join(PATIENCE_S)
            self.folder.cleanup()
