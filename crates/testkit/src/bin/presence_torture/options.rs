//! The command line.

use std::{net::SocketAddr, time::SystemTime};

use rjabberd_testkit::Fault;

/// What is asked for.
pub(crate) struct Options {
    pub(crate) accounts: u16,
    pub(crate) contacts: u16,
    pub(crate) seconds: u64,
    pub(crate) seed: u64,
    /// About the mean of the pauses between two deeds of a resource.
    pub(crate) pause_ms: u64,
    /// Another server than the one that is started, whose accounts are there already.
    pub(crate) target: Option<SocketAddr>,
    pub(crate) domain: String,
    pub(crate) password: String,
    /// Every how many unavailable presences the clients forget one, to see that it is found out.
    pub(crate) forget_each: u64,
    /// Whether who sees may end a subscription too, not only who is seen.
    pub(crate) unsubscribe: bool,
    /// Whether who has taken a resource over may say nothing.
    pub(crate) silent_takeovers: bool,
}

impl Options {
    /// Reads names and values.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Options, Fault> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let mut options = Options {
            accounts: 500,
            contacts: 50,
            seconds: 300,
            seed: u64::from(since.subsec_nanos()),
            pause_ms: 1000,
            target: None,
            domain: "localhost".to_owned(),
            password: "secret".to_owned(),
            forget_each: 0,
            unsubscribe: true,
            silent_takeovers: true,
        };
        while let Some(name) = words.next() {
            let value = words.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--accounts" => options.accounts = value.parse()?,
                "--contacts" => options.contacts = value.parse()?,
                "--seconds" => options.seconds = value.parse()?,
                "--seed" => options.seed = value.parse()?,
                "--pause-ms" => options.pause_ms = value.parse()?,
                "--target" => options.target = Some(value.parse()?),
                "--domain" => options.domain = value,
                "--password" => options.password = value,
                "--forget-each" => options.forget_each = value.parse()?,
                "--unsubscribe" => options.unsubscribe = value == "yes",
                "--silent-takeovers" => options.silent_takeovers = value == "yes",
                _ => return Err(format!("there is no option {name}").into()),
            }
        }
        if !options.contacts.is_multiple_of(2) || options.contacts >= options.accounts {
            return Err("--contacts must be even, and fewer than the accounts".into());
        }
        Ok(options)
    }
}
