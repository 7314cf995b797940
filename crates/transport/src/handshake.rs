//! What a TLS handshake comes to and rustls does not tell afterwards: the certificate that we showed, the host that the
//! client asked for, the exported keying material (RFC 9266).
//!
//! rustls calls a config's parts (resolver of certificates, key log, ticketer) while it takes a record, on the thread
//! that called it. So whoever drives a handshake lays its notes into a slot of the thread for each such call, and
//! the parts find them there. Invariants: outside such a call the slot is empty, and then notes go nowhere; no note is
//! ever one connection's and found by another; the exporter's master secret is never kept, only what is derived of it.

use std::{cell::RefCell, sync::Arc};

use hmac::{Hmac, Mac};
use rustls::KeyLog;
use sha2::{Digest, Sha256, Sha384};
use zeroize::Zeroizing;

/// What is to be known of a certificate of ours: made when it is loaded, noted when it is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnCertificate {
    /// SHA-256 of its DER.
    pub fingerprint: [u8; 32],
    /// The data of `tls-server-end-point` (RFC 5929, 4.1); `None` where its kind has none.
    pub end_point: Option<Arc<[u8]>>,
}

/// What is noted of one handshake.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) certificate: Option<Arc<OwnCertificate>>,
    pub(crate) server_name: Option<String>,
    pub(crate) exporter: Option<Zeroizing<[u8; 32]>>,
}

thread_local! {
    static SLOT: RefCell<Option<Box<Notes>>> = const { RefCell::new(None) };
}

/// Does `work` with these notes in the slot, if there are any; they are back when it returns.
pub(crate) fn under<T>(notes: &mut Option<Box<Notes>>, work: impl FnOnce() -> T) -> T {
    /// Empties the slot also where `work` panics.
    struct Lent<'a>(&'a mut Option<Box<Notes>>);
    impl Drop for Lent<'_> {
        fn drop(&mut self) {
            *self.0 = SLOT.take();
        }
    }
    if notes.is_none() {
        return work();
    }
    SLOT.replace(notes.take());
    let _lent = Lent(notes);
    work()
}

fn note(change: impl FnOnce(&mut Notes)) {
    SLOT.with_borrow_mut(|slot| slot.as_deref_mut().map(change));
}

/// Notes the certificate that is shown in the handshake of this thread, or was shown in the one that it resumes.
/// To be called by the resolver of certificates, which rustls asks on each ClientHello before it looks at tickets.
pub fn note_certificate(certificate: &Arc<OwnCertificate>) {
    note(|notes| notes.certificate = Some(certificate.clone()));
}

/// Notes the host that the client asks for (SNI).
pub fn note_server_name(name: Option<&str>) {
    note(|notes| notes.server_name = name.map(str::to_owned));
}

/// The fingerprint of the certificate that was noted for the handshake of this thread: what a ticket is good for.
pub fn certificate_fingerprint() -> Option<[u8; 32]> {
    SLOT.with_borrow(|slot| Some(slot.as_ref()?.certificate.as_ref()?.fingerprint))
}

/// The key log of a server's config: logs nothing, but derives the exported keying material of a TLS 1.3 handshake,
/// for [`TlsInfo::exporter`](crate::TlsInfo).
#[derive(Debug)]
pub struct Exporter;

/// rustls' name of the exporter's master secret.
const EXPORTER_SECRET: &str = "EXPORTER_SECRET";

impl KeyLog for Exporter {
    fn log(&self, label: &str, _client_random: &[u8], secret: &[u8]) {
        if label == EXPORTER_SECRET {
            note(|notes| notes.exporter = export(secret));
        }
    }

    fn will_log(&self, label: &str) -> bool {
        label == EXPORTER_SECRET
    }
}

/// The exported keying material of RFC 9266, 2: the label below, an empty context, 32 bytes.
fn export(secret: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    const LABEL: &[u8] = b"EXPORTER-Channel-Binding";
    // RFC 8446, 7.5: the secret is as long as the hash of the suite.
    let hash = match secret.len() {
        32 => Hash::Sha256,
        48 => Hash::Sha384,
        _ => return None,
    };
    let nothing = hash.of_nothing();
    let derived = hash.expand_label(secret, LABEL, &nothing, secret.len());
    let exported = hash.expand_label(&derived, b"exporter", &nothing, 32);
    Some(Zeroizing::new(exported.as_slice().try_into().ok()?))
}

/// The hashes of the suites of TLS 1.3.
#[derive(Clone, Copy)]
enum Hash {
    Sha256,
    Sha384,
}

impl Hash {
    fn of_nothing(self) -> Vec<u8> {
        match self {
            Hash::Sha256 => Sha256::digest([]).to_vec(),
            Hash::Sha384 => Sha384::digest([]).to_vec(),
        }
    }

    fn hmac(self, key: &[u8], text: &[u8]) -> Zeroizing<Vec<u8>> {
        fn finish<M: Mac>(keyed: Result<M, hmac::digest::InvalidLength>, text: &[u8]) -> Zeroizing<Vec<u8>> {
            let keyed = keyed.expect("HMAC takes a key of any length");
            Zeroizing::new(keyed.chain_update(text).finalize().into_bytes().to_vec())
        }
        match self {
            Hash::Sha256 => finish(<Hmac<Sha256> as Mac>::new_from_slice(key), text),
            Hash::Sha384 => finish(<Hmac<Sha384> as Mac>::new_from_slice(key), text),
        }
    }

    /// HKDF-Expand-Label (RFC 8446, 7.1) for at most as many bytes as the hash has: one round of HKDF-Expand.
    fn expand_label(self, secret: &[u8], label: &[u8], context: &[u8], bytes: usize) -> Zeroizing<Vec<u8>> {
        const PREFIX: &[u8] = b"tls13 ";
        let mut info = Vec::with_capacity(64 + context.len());
        info.extend((bytes as u16).to_be_bytes());
        info.push((PREFIX.len() + label.len()) as u8);
        info.extend(PREFIX);
        info.extend(label);
        info.push(context.len() as u8);
        info.extend(context);
        // RFC 5869, 2.3: the number of the round.
        info.push(1);
        let mut expanded = self.hmac(secret, &info);
        expanded.truncate(bytes);
        expanded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(byte: u8) -> Arc<OwnCertificate> {
        Arc::new(OwnCertificate { fingerprint: [byte; 32], end_point: Some(Arc::new([byte])) })
    }

    #[test]
    fn notes_are_those_of_the_handshake_in_whose_call_they_are_made() {
        let (mut one, mut other) = (Some(Box::<Notes>::default()), Some(Box::<Notes>::default()));
        under(&mut one, || note_certificate(&certificate(1)));
        under(&mut other, || {
            assert_eq!(certificate_fingerprint(), None, "not that of the handshake before");
            note_certificate(&certificate(2));
            note_server_name(Some("example.net"));
        });
        under(&mut one, || assert_eq!(certificate_fingerprint(), Some([1; 32])));
        assert_eq!(one.unwrap().server_name, None);
        assert_eq!(other.unwrap().server_name.as_deref(), Some("example.net"));
    }

    #[test]
    fn a_note_outside_a_handshake_goes_nowhere() {
        note_certificate(&certificate(1));
        Exporter.log(EXPORTER_SECRET, &[], &[0; 32]);
        assert_eq!(certificate_fingerprint(), None);
        let mut none = None;
        under(&mut none, || note_certificate(&certificate(1)));
        assert!(none.is_none() && certificate_fingerprint().is_none());
    }

    #[test]
    fn a_panic_in_the_middle_leaves_nothing_to_the_next() {
        let mut notes = Some(Box::<Notes>::default());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            under(&mut notes, || {
                note_certificate(&certificate(1));
                std::panic::resume_unwind(Box::new(()));
            });
        }));
        assert!(panicked.is_err());
        assert_eq!(certificate_fingerprint(), None);
        assert!(notes.is_some());
    }

    #[test]
    fn only_the_exporters_secret_is_asked_for_and_only_of_a_length_that_a_suite_has() {
        assert!(Exporter.will_log("EXPORTER_SECRET"));
        for label in ["CLIENT_RANDOM", "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"] {
            assert!(!Exporter.will_log(label));
            let mut notes = Some(Box::<Notes>::default());
            under(&mut notes, || Exporter.log(label, &[], &[1; 32]));
            assert!(notes.unwrap().exporter.is_none());
        }
        assert!(export(&[1; 32]).is_some() && export(&[1; 48]).is_some() && export(&[1; 64]).is_none());
    }
}
