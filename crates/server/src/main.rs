//! The binary `rjabberd`.

fn main() {}
