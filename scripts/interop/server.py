"""Starts the server under test on free ports, with a folder of its own."""

import os
import re
import subprocess
import tempfile
import threading
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
    def __init__(self, config, accounts=""):
        """Lines of accounts, as `rjabberd user import` reads them, are there when the server starts."""
        self.folder = tempfile.TemporaryDirectory(prefix="rjabberd-interop-")
        self.config = Path(self.folder.name) / "rjabberd.toml"
        self.config.write_text(config)
        if accounts:
            file = Path(self.folder.name) / "accounts.tsv"
            file.write_text(accounts)
            self.command("user", "import", str(file))
        self.log = []
        self.ended = False
        self.more = threading.Condition()
        self.process = subprocess.Popen(
            [program(), "run", "--config", str(self.config)],
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=environment(),
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if not self.wait_for_log("server:start Ready"):
            raise SystemExit("the server does not start:\n" + "".join(self.log))
        listening = re.findall(r"Listening on \S+:(\d+) \((\w+)\)", "".join(self.log))
        # By the names of the listeners.
        self.ports = {name: int(port) for port, name in listening}
        self.port = self.ports["c2s"]

    def _read(self):
        for line in self.process.stderr:
            with self.more:
                self.log.append(line)
                self.more.notify_all()
        with self.more:
            self.ended = True
            self.more.notify_all()

    def wait_for_log(self, *words, since=0):
        """The first line behind the first `since` ones that holds all these words, or None if it does not come."""
        found = None

        def over():
            nonlocal found, since
            fresh, since = self.log[since:], len(self.log)
            found = next((line for line in fresh if all(word in line for word in words)), None)
            return found or self.ended

        with self.more:
            self.more.wait_for(over, PATIENCE_S)
        return found

    @property
    def certificate(self):
        """The self-signed certificate of the data folder, without its key."""
        pem = (Path(self.folder.name) / "data" / "self-signed.pem").read_text()
        path = Path(self.folder.name) / "certificate.pem"
        path.write_text(re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", pem, re.S).group())
        return str(path)

    def command(self, *words, said=""):
        """What a command of the server prints, given this on its standard input."""
        words = [program(), *words, "--config", str(self.config)]
        done = subprocess.run(words, input=said, text=True, check=True, stdout=subprocess.PIPE, env=environment())
        return done.stdout

    def add_account(self, jid, password):
        self.command("user", "add", jid, "--password-stdin", said=password + "\n")

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
