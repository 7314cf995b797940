//! A stanza on its way to one or more sessions: it is delivered, or it finds its way back.
//!
//! actix drops a dead actor's mailbox in silence. A [`Parcel`] that is dropped everywhere without having been written
//! to any client goes to the [`Undelivered`] path, whoever dropped it: a closed port, a panic, a stop.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, Ordering::Relaxed},
};

use rjabberd_actors::Letter;
use rjabberd_xmpp::{Stanza, delay::delayed};

use crate::burden::{self, Burden};

/// What becomes of a stanza that nobody took: another resource, the store, a bounce.
///
/// It lives as long as the process. Each parcel names it, and to count by how many it is named would be one more number
/// that all arbiters change for every stanza.
pub trait Undelivered: Send + Sync {
    /// Takes the stanza. Must not panic; may route, and so send to ports.
    fn undelivered(&'static self, stanza: Stanza);
}

/// A stanza, shared by all sessions that it goes to.
pub struct Parcel {
    stanza: Option<Stanza>,
    bytes: usize,
    delivered: AtomicBool,
    came_back: bool,
    passing: bool,
    path: &'static dyn Undelivered,
    /// What its sender is not told to be safe before somebody has it.
    burden: Option<Arc<Burden>>,
    /// Since when it waits for who did not acknowledge it; 0: nobody let it wait.
    since_unix_s: AtomicI64,
}

/// Where a stanza goes that is nobody's loss.
struct Nowhere;

impl Undelivered for Nowhere {
    fn undelivered(&'static self, _stanza: Stanza) {}
}

impl Parcel {
    /// A stanza, and its way back.
    pub fn new(stanza: Stanza, path: &'static dyn Undelivered) -> Arc<Parcel> {
        Parcel::sent(stanza, path, false, false)
    }

    /// A stanza that makes sense on one stream only (presence of contacts, a push): who takes the resource later gets the
    /// news anew, and not written, it is nobody's loss.
    pub fn passing(stanza: Stanza) -> Arc<Parcel> {
        Parcel::sent(stanza, &Nowhere, false, true)
    }

    /// A stanza that a session had taken and did not write: a session that is leaving does not take it again.
    pub fn again(stanza: Stanza, path: &'static dyn Undelivered) -> Arc<Parcel> {
        Parcel::sent(stanza, path, true, false)
    }

    fn sent(stanza: Stanza, path: &'static dyn Undelivered, came_back: bool, passing: bool) -> Arc<Parcel> {
        let (bytes, delivered) = (stanza.size(), AtomicBool::new(passing));
        let burden = if passing { None } else { burden::carried() };
        let since_unix_s = AtomicI64::new(0);
        Arc::new(Parcel {
            stanza: Some(stanza),
            bytes,
            delivered,
            came_back,
            passing,
            path,
            burden,
            since_unix_s,
        })
    }

    /// Whether it makes sense on one stream only.
    pub fn is_passing(&self) -> bool {
        self.passing
    }

    /// Whether a session had taken it and did not write it.
    pub fn came_back(&self) -> bool {
        self.came_back
    }

    /// The stanza.
    pub fn stanza(&self) -> &Stanza {
        self.stanza.as_ref().expect("a parcel holds its stanza until it is dropped")
    }

    /// About how many bytes it will be on the wire.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// It needs no way back: somebody else sees to it, or it is nobody's loss.
    pub fn delivered(&self) {
        self.delivered.store(true, Relaxed);
    }

    /// It waited in vain since then: should it find its way back, that is told.
    pub fn waited_since(&self, unix_s: i64) {
        self.since_unix_s.store(unix_s, Relaxed);
    }

    /// A client has it: written to its socket whole, or acknowledged by it.
    pub fn arrived(&self) {
        self.delivered();
        if let Some(burden) = &self.burden {
            burden.settle();
        }
    }
}

impl std::fmt::Debug for Parcel {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Parcel({} bytes)", self.bytes)
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        if *self.delivered.get_mut() {
            return;
        }
        if let Some(stanza) = self.stanza.take() {
            let since = *self.since_unix_s.get_mut();
            let late = if since > 0 { delayed(&stanza, since) } else { None };
            let stanza = late.unwrap_or(stanza);
            burden::carrying(self.burden.take(), || self.path.undelivered(stanza));
        }
    }
}

/// A parcel for one session.
#[derive(Clone, Debug)]
pub struct Deliver(pub Arc<Parcel>);

impl Letter for Deliver {
    fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::*;

    struct Kept(Mutex<Vec<String>>);

    impl Undelivered for Kept {
        fn undelivered(&'static self, stanza: Stanza) {
            let written = String::from_utf8_lossy(&stanza.written()).into_owned();
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(written);
        }
    }

    #[test]
    fn what_waited_in_vain_goes_back_with_the_time_at_which_it_came() {
        let kept: &'static Kept = Box::leak(Box::new(Kept(Mutex::default())));
        let text = "<message to=\"juliet@a.example\" type=\"chat\"><body>a</body></message>";
        let stanza = Stanza::from_written(text.into()).unwrap();
        drop(Parcel::new(stanza.clone(), kept));
        let late = Parcel::new(stanza, kept);
        late.waited_since(1_000_000_000);
        drop(late);
        let kept = kept.0.lock().unwrap();
        assert!(!kept[0].contains("<delay"), "{}", kept[0]);
        assert!(kept[1].contains("2001-09-09T01:46:40Z"), "{}", kept[1]);
    }
}
