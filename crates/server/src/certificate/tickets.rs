//! Session tickets, whose keys are made beside the start of the server.
//!
//! A resumed session shows no certificate, and binds to the one that was shown in the first place (RFC 5929, 4). So a
//! ticket begins with the fingerprint of that one, and is opened only where the same would be shown now: no ticket
//! outlives its certificate, not even one of a handshake that a reload overtakes.
//!
//! The first random number of the TLS library takes some 25 ms of processor time, because it gathers entropy of its own
//! beside the kernel's. Nothing before the first handshake needs it, so a thread of its own draws it; a handshake that
//! comes earlier waits for that.

use std::{
    sync::{Arc, OnceLock},
    thread,
};

use rjabberd_transport::handshake;
use rustls::{crypto::aws_lc_rs::Ticketer, server::ProducesTickets};
use zeroize::Zeroizing;

/// A ticket holds the client's certificates too, and may not be longer than 64 KiB (RFC 8446, 4.6.1).
const PLAIN_BYTES_MAX: usize = 32 * 1024;

/// The fingerprint of a certificate.
type Fingerprint = [u8; 32];

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

    fn seal(&self, certificate: &Fingerprint, plain: &[u8]) -> Option<Vec<u8>> {
        if plain.len() > PLAIN_BYTES_MAX {
            return None;
        }
        let mut text = Zeroizing::new(Vec::with_capacity(certificate.len() + plain.len()));
        text.extend(certificate);
        text.extend(plain);
        self.made()?.encrypt(&text)
    }

    fn open(&self, certificate: &Fingerprint, cipher: &[u8]) -> Option<Vec<u8>> {
        let text = Zeroizing::new(self.made()?.decrypt(cipher)?);
        let (shown, plain) = text.split_first_chunk::<32>()?;
        (shown == certificate).then(|| plain.to_vec())
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
        self.seal(&handshake::certificate_fingerprint()?, plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.open(&handshake::certificate_fingerprint()?, cipher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_opened_by_whoever_sealed_it_and_by_nobody_else() {
        let (tickets, others) = (Tickets::begin(), Tickets::begin());
        assert!(tickets.enabled() && tickets.lifetime() > 0);
        let sealed = tickets.seal(&[1; 32], b"a session").expect("a ticket");
        assert_eq!(tickets.open(&[1; 32], &sealed).as_deref(), Some(&b"a session"[..]));
        assert_eq!(others.open(&[1; 32], &sealed), None);
    }

    #[test]
    fn a_ticket_is_good_for_the_certificate_that_was_shown_and_for_no_other() {
        let tickets = Tickets::begin();
        let sealed = tickets.seal(&[1; 32], b"a session").expect("a ticket");
        assert_eq!(tickets.open(&[2; 32], &sealed), None);
        // Outside a handshake nothing is shown.
        assert_eq!((tickets.encrypt(b"a session"), tickets.decrypt(&sealed)), (None, None));
    }

    #[test]
    fn what_is_too_long_for_a_ticket_gets_none() {
        let tickets = Tickets::begin();
        assert!(tickets.seal(&[1; 32], &[0; PLAIN_BYTES_MAX]).is_some_and(|sealed| sealed.len() < 0xffff));
        assert_eq!(tickets.seal(&[1; 32], &[0; PLAIN_BYTES_MAX + 1]), None);
    }
}
