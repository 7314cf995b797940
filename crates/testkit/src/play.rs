//! A server and its clients by name, so that a test reads like a conversation.

use std::collections::BTreeMap;

use crate::{Client, Hash, Server, localhost_config};

/// The password of every account that a play makes.
pub const PASSWORD: &str = "wherefore-art-thou";

/// A server and its clients. A client is named by account and resource: `romeo/orchard`.
pub struct Play {
    /// The server.
    pub server: Server,
    starts_tls: bool,
    clients: BTreeMap<String, Client>,
}

impl Play {
    /// Starts a server with [`localhost_config`] and these keys.
    #[track_caller]
    pub fn new(more: &[&str]) -> Play {
        Play { server: Server::start(&localhost_config(more)), starts_tls: true, clients: BTreeMap::new() }
    }

    /// Starts a server that takes clients without TLS, with these keys too; its clients begin none.
    #[track_caller]
    pub fn without_tls(more: &[&str]) -> Play {
        let mut all = vec!["listen.c2s.require_tls = false"];
        all.extend(more);
        Play { starts_tls: false, ..Play::new(&all) }
    }

    /// Makes the account `USER@localhost`.
    #[track_caller]
    pub fn account(&self, user: &str) -> &Play {
        self.server.add_account(&format!("{user}@localhost"), PASSWORD);
        self
    }

    /// Makes an account for the client's user unless an earlier client had it, connects, goes over to TLS unless
    /// the play is without, logs in and binds the resource.
    #[track_caller]
    pub fn enters(&mut self, name: &str) -> &mut Client {
        let (user, _) = name.split_once('/').expect("a client is named user/resource");
        if !self.clients.keys().any(|other| other.split('/').next() == Some(user)) {
            self.account(user);
        }
        self.returns(name)
    }

    /// As [`Play::enters`] for an account that exists. Who entered under this name before is forgotten.
    #[track_caller]
    pub fn returns(&mut self, name: &str) -> &mut Client {
        let client = self.logged_in(name);
        self.clients.insert(name.to_owned(), client);
        self.client(name)
    }

    /// A client of its own, logged in and bound; its account exists.
    #[track_caller]
    pub fn logged_in(&self, name: &str) -> Client {
        let (user, resource) = name.split_once('/').expect("a client is named user/resource");
        let mut client = self.connects(name);
        client.opens_stream();
        if self.starts_tls {
            client.starts_tls().opens_stream();
        }
        client.logs_in(Hash::Sha1, user, PASSWORD).binds(Some(resource));
        client
    }

    /// A new connection to the default listener; nothing is said yet.
    #[track_caller]
    pub fn connects(&self, name: &str) -> Client {
        Client::connect(name, self.server.address("c2s"), "localhost")
    }

    /// The same, with TLS by STARTTLS and the stream opened in it.
    #[track_caller]
    pub fn secured(&self, name: &str) -> Client {
        let mut client = self.connects(name);
        client.opens_stream().starts_tls().opens_stream();
        client
    }

    /// The client of this name.
    #[track_caller]
    pub fn client(&mut self, name: &str) -> &mut Client {
        self.clients.get_mut(name).unwrap_or_else(|| panic!("{name} has not entered"))
    }

    /// Takes a client out of the play, to lead it by hand.
    #[track_caller]
    pub fn take(&mut self, name: &str) -> Client {
        self.clients.remove(name).unwrap_or_else(|| panic!("{name} has not entered"))
    }
}
