"""What the raw results say: one function for each figure of the report; None where it was not measured."""

import statistics

from .phases import SIZES


class Figures:
    def __init__(self, results):
        self.results = results

    def run(self, phase, server, index=-1):
        """What the generator said of a run: the last one of the phase, or another by its index."""
        row = self.results.get(phase, server)
        return row["runs"][index] if row and row.get("runs") else {}

    def cpu_us(self, phase, server, index=-1):
        """Server CPU time for one operation."""
        return self.run(phase, server, index).get("server_cpu_us_per_op")

    def ratio(self, phase, server):
        """That, as a multiple of the bare relay's."""
        return quotient(self.cpu_us(phase, server), self.cpu_us(phase, "r1"))

    def for_roster_us(self, server, index=-1):
        """What a login with a roster costs more than one without."""
        return self.run("login-roster", server, index).get("server_cpu_us_for_roster")

    def empty_us(self, server, index=-1):
        """What a login without contacts cost in the same run."""
        return self.run("login-roster", server, index).get("server_cpu_us_per_op_empty")

    def p99_ms(self, phase, server):
        latency = self.run(phase, server).get("latency_us") or {}
        return latency["p99"] / 1000 if "p99" in latency else None

    def per_second(self, phase, server):
        return self.run(phase, server).get("ops_per_s")

    def kib(self, kind, size, server):
        """Memory of one idle session."""
        return self.run(f"idle-{kind}-{size}", server).get("kib_per_session")

    def kib_after(self, kind, size, server):
        """The same after traffic."""
        return self.run(f"idle-{kind}-{size}", server).get("kib_per_session_after_traffic")

    def growth(self, kind, server):
        """Memory after traffic over memory before, with the most sessions that had traffic."""
        for size in reversed(SIZES):
            grown = quotient(self.kib_after(kind, size, server), self.kib(kind, size, server))
            if grown:
                return grown
        return None

    def idle_share(self, kind, size, server):
        """Share of one core that idle sessions take, in percent."""
        return self.run(f"idle-{kind}-{size}", server).get("idle_cpu_percent")

    def start_ms(self, server):
        row = self.results.get("start", server)
        return statistics.median(row["starts_s"]) * 1000 if row else None


def quotient(one, other):
    return one / other if one and other else None
