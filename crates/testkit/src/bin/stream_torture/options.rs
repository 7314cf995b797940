//! The command line.

use std::{net::SocketAddr, time::SystemTime};

use rjabberd_testkit::Fault;

/// What is asked for.
pub(crate) struct Options {
    pub(crate) clients: u16,
    pub(crate) seconds: u64,
    pub(crate) seed: u64,
    /// About the mean of the pauses between two messages of a client.
    pub(crate) pause_ms: u64,
    /// About the mean time until a client's connection is cut.
    pub(crate) cut_ms: u64,
    /// Every how many seconds the server is killed; 0 is never.
    pub(crate) kill_every: u64,
    /// More lines of config for the server that is started.
    pub(crate) config: Vec<String>,
    /// Another server than the one that is started, whose accounts are there already; it is never killed.
    pub(crate) target: Option<SocketAddr>,
    pub(crate) domain: String,
    pub(crate) password: String,
    /// Every how many messages the clients forget one that they received, to see that it is found out.
    pub(crate) forget_each: u32,
}

impl Options {
    /// Reads names and values. `--short` stands for a run of some seconds with one kill.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Options, Fault> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let mut options = Options {
            clients: 500,
            seconds: 600,
            seed: u64::from(since.subsec_nanos()),
            pause_ms: 300,
            cut_ms: 10_000,
            kill_every: 60,
            config: Vec::new(),
            target: None,
            domain: "localhost".to_owned(),
            password: "secret".to_owned(),
            forget_each: 0,
        };
        while let Some(name) = words.next() {
            if name == "--short" {
                (options.clients, options.seconds, options.kill_every, options.cut_ms) = (40, 16, 8, 3000);
                continue;
            }
            let value = words.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--clients" => options.clients = value.parse()?,
                "--seconds" => options.seconds = value.parse()?,
                "--seed" => options.seed = value.parse()?,
                "--pause-ms" => options.pause_ms = value.parse()?,
                "--cut-ms" => options.cut_ms = value.parse()?,
                "--kill-every" => options.kill_every = value.parse()?,
                "--config" => options.config.push(value),
                "--target" => options.target = Some(value.parse()?),
                "--domain" => options.domain = value,
                "--password" => options.password = value,
                "--forget-each" => options.forget_each = value.parse()?,
                _ => return Err(format!("there is no option {name}").into()),
            }
        }
        if options.clients < 2 || !options.clients.is_multiple_of(2) {
            return Err("--clients must be even, for they chat in pairs".into());
        }
        Ok(options)
    }
}
