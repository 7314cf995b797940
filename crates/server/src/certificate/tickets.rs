//! Session tickets, whose keys are made beside the start of the server.
//!
//! The first random number of the TLS library takes some 25 ms of processor time, because it gathers entropy of its own
//! beside the kernel's. Nothing before the first handshake needs it, so a thread of its own draws it; a handshake that
//! comes earlier waits for that.

use std::{
    sync::{Arc, OnceLock},
    thread,
};

use rustls::{crypto::aws_lc_rs::Ticketer, server::ProducesTickets};

/// Seals and opens tickets.
#[derive(Debug, Default)]
pub(super) struct Tickets(OnceLock<Option<Arc<dyn ProducesTickets>>>);

impl Tickets {
    /// Begins to make the keys.
    pub(super) fn begin() -> Arc<Tickets> {
        let tickets = Arc::new(Tickets::default());
        let maker = tickets.clone();
        let begun = thread::Builder::new().name("tickets".to_owned()).spawn(move || maker.enabled());
        if let Err(fault) = begun {
            log::warn!(target: "certificate:tickets", "The first TLS handshake makes the keys of tickets: {fault}");
        }
        tickets
    }

    fn made(&self) -> Option<&Arc<dyn ProducesTickets>> {
        let make = || match Ticketer::new() {
            Ok(made) => Some(made),
            Err(fault) => {
                log::error!(target: "certificate:tickets", "No TLS session can be resumed: {fault}");
                None
            }
        };
        self.0.get_or_init(make).as_ref()
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        self.made().is_some_and(|made| made.enabled())
    }

    fn lifetime(&self) -> u32 {
        self.made().map_or(0, |made| made.lifetime())
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.made()?.encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.made()?.decrypt(cipher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_opened_by_whoever_sealed_it_and_by_nobody_else() {
        let (tickets, others) = (Tickets::begin(), Tickets::begin());
        assert!(tickets.enabled() && tickets.lifetime() > 0);
        let sealed = tickets.encrypt(b"a session").expect("a ticket");
        assert_eq!(tickets.decrypt(&sealed).as_deref(), Some(&b"a session"[..]));
        assert_eq!(others.decrypt(&sealed), None);
    }
}
