"""Raw results: one JSON object a line, one for each run of a phase on a server; the last of several holds."""

import json
import pathlib


class Results:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.rows = {}
        if self.path.exists():
            for line in self.path.read_text().splitlines():
                row = json.loads(line)
                self.rows[row["phase"], row["server"]] = row

    def add(self, row):
        self.rows[row["phase"], row["server"]] = row
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as out:
            out.write(json.dumps(row) + "\n")

    def get(self, phase, server):
        """The row of a phase on a server, or None where it was not measured or failed."""
        row = self.rows.get((phase, server))
        return row if row and "fault" not in row else None

    def servers(self, order):
        return [name for name in order if any(server == name for _, server in self.rows)]
