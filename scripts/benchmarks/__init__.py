"""Benches of rjabberd beside other servers; the entry is `scripts/bench`."""
