//! Prints accounts, as `rjabberd user import` takes them.

use std::io::{self, Write};

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    command_line::{AccountFormat, Accounts},
    scram::{Keys, ScramHash},
};

/// One salt for all: these accounts are for load, not for people.
const SALT: &[u8] = b"rjabberd-load :)";

/// Writes one line for each account.
pub fn write(accounts: &Accounts, to: &mut impl Write) -> io::Result<()> {
    let secret = match accounts.format {
        AccountFormat::Plain => accounts.password.clone(),
        AccountFormat::Rjabberd => {
            let hashes = [ScramHash::Sha1, ScramHash::Sha256];
            hashes.map(|hash| keys(hash, &accounts.password, accounts.iterations)).join("\t")
        }
    };
    let Accounts { prefix, first, domain, count, .. } = accounts;
    for number in *first..first + count {
        writeln!(to, "{prefix}{number}@{domain}\t{secret}")?;
    }
    to.flush()
}

fn keys(hash: ScramHash, password: &str, iterations: u32) -> String {
    let (stored, server) = Keys::derive(hash, password, SALT, iterations).server_side();
    format!("{{{}}}{iterations},{},{stored},{server}", hash.mechanism(), STANDARD.encode(SALT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(format: AccountFormat) -> Vec<String> {
        let accounts = Accounts {
            count: 2,
            prefix: "load".to_owned(),
            first: 9,
            domain: "localhost".to_owned(),
            password: "pencil".to_owned(),
            format,
            iterations: 4096,
        };
        let mut out = Vec::new();
        write(&accounts, &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn passwords_stand_behind_a_tab() {
        assert_eq!(lines(AccountFormat::Plain), ["load9@localhost\tpencil", "load10@localhost\tpencil"]);
    }

    #[test]
    fn all_share_their_keys() {
        let lines = lines(AccountFormat::Rjabberd);
        let keys: Vec<_> = lines.iter().map(|line| line.split_once('\t').unwrap().1).collect();
        assert_eq!(keys[0], keys[1]);
        assert!(keys[0].starts_with("{SCRAM-SHA-1}4096,cmphYmJlcmQtbG9hZCA6KQ==,"), "{}", keys[0]);
        assert!(keys[0].contains("\t{SCRAM-SHA-256}4096,"), "{}", keys[0]);
    }
}
