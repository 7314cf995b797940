"""Runs the fences of README.md in their order, in a clean clone of what is committed.

`sh` must succeed; `sh terminal` gets a terminal of its own and stays; `text profanity` is typed into Profanity, which
runs in a real terminal (tmux); all other fences are only shown.
"""

import os
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from terminal import Tmux, until

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD_S = 1200
PORT = 5222


def fences(text):
    for match in re.finditer(r"^```(\S*)(?: (\w+))?\n(.*?)^```$", text, re.M | re.S):
        yield match.group(1), match.group(2), match.group(3)


def listening():
    try:
        socket.create_connection(("127.0.0.1", PORT), timeout=1).close()
    except OSError:
        return False
    return True


class Reader:
    """Does what the README says, as a new user would."""

    def __init__(self, folder):
        self.folder = folder
        self.terminals = []
        self.profanity = None
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("RJABBERD_")}
        self.environment.setdefault("CARGO_TARGET_DIR", str(ROOT / "target"))

    def start(self, command):
        output = open(self.folder / f"terminal-{len(self.terminals)}.log", "w+", encoding="utf-8")
        process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=self.folder / "clone",
            env=self.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.terminals.append((process, output))

    def output(self, index):
        return Path(self.terminals[index][1].name).read_text()

    def sh(self, command):
        done = subprocess.run(
            ["bash", "-e", "-c", command], cwd=self.folder / "clone", env=self.environment, check=False
        )
        if done.returncode:
            raise SystemExit(f"readme: ended with {done.returncode}:\n{command}")

    def terminal(self, command):
        self.start(command)
        if len(self.terminals) == 1:

            def up():
                if self.terminals[0][0].poll() is not None:
                    raise SystemExit("readme: the server ended:\n" + self.output(0))
                return listening()

            until("the server", up, BUILD_S)
        else:
            until("Romeo's message on Juliet's screen", lambda: "romeo@localhost" in self.profanity.screen())

    def typed(self, lines):
        if self.profanity is None:
            self.profanity = Tmux(self.folder)
        for line in lines.splitlines():
            self.profanity.type(line)
            if line.startswith("/connect"):
                until("the question for the password", lambda: "Enter password" in self.profanity.screen())
                self.profanity.type("swordfish")
                until("Juliet's login", lambda: "logged in successfully" in self.profanity.screen())

    def finish(self):
        romeo, _ = self.terminals[1]
        until("the end of Romeo's script", lambda: romeo.poll() is not None)
        if romeo.returncode or "Juliet says: O Romeo, Romeo!" not in self.output(1):
            raise SystemExit("readme: Romeo did not hear her:\n" + self.output(1))
        server, _ = self.terminals[0]
        server.terminate()
        until("the end of the server", lambda: server.poll() is not None)
        if server.returncode:
            raise SystemExit(f"readme: the server ended with {server.returncode}:\n" + self.output(0))

    def close(self):
        if self.profanity:
            self.profanity.close()
        for process, _ in self.terminals:
            if process.poll() is None:
                process.kill()


def main():
    if listening():
        raise SystemExit(f"readme: something listens on port {PORT} already, which README.md uses")
    with tempfile.TemporaryDirectory(prefix="rjabberd-readme-") as name:
        folder = Path(name)
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder / "clone")], check=True)
        reader = Reader(folder)
        deeds = {("sh", None): reader.sh, ("sh", "terminal"): reader.terminal, ("text", "profanity"): reader.typed}
        done = 0
        try:
            for kind, more, text in fences((folder / "clone" / "README.md").read_text()):
                if deed := deeds.get((kind, more)):
                    print(f"README.md: {kind} {more or ''}: {text.splitlines()[0]}", flush=True)
                    deed(text)
                    done += 1
            reader.finish()
        except SystemExit:
            for index in range(len(reader.terminals)):
                print(f"-- terminal {index}:\n{reader.output(index)[-3000:]}", file=sys.stderr)
            if reader.profanity:
                print("-- Profanity:\n" + reader.profanity.screen(), file=sys.stderr)
            raise
        finally:
            reader.close()
    print(f"readme: {done} steps of README.md work, word for word")


main()
