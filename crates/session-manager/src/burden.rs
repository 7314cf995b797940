//! What a client was not yet told to be safe: whoever can lose one of its messages carries its [`Burden`].
//!
//! A sender with stream management is acknowledged a message when it is on the disk, or its receiver has acknowledged it
//! (`h`, XEP-0198). So while a message is routed its burden is [`carried`]: what is made of it meanwhile, a parcel or an
//! order to the store, takes a part. The burden is settled by the first who says so, or when the last part is dropped:
//! then the message has arrived, or its sender was told that it has not, and nobody is left who could lose it.
//!
//! Carried by the thread and not handed from function to function, because it must not be forgotten on any of the ways
//! that a message can take. Nobody but stream management knows what it is for.

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use rjabberd_actors::Port;
use rjabberd_xmpp::management::Inbound;

use crate::Control;

thread_local! {
    static CARRIED: RefCell<Option<Arc<Burden>>> = const { RefCell::new(None) };
}

/// What one client has sent, and how far it is safe. Shared with all who carry a part of it, in any thread.
#[derive(Debug)]
pub struct Ledger(Mutex<Page>);

#[derive(Debug)]
struct Page {
    inbound: Inbound,
    /// Counts resumptions: what was carried before one is sent again.
    resumptions: u32,
    /// Where the session is told.
    control: Port<Control>,
    told: bool,
}

impl Ledger {
    /// For a session that takes control there, as if it had sent so many stanzas and all were safe.
    pub fn new(received: u32, control: Port<Control>) -> Arc<Ledger> {
        let inbound = Inbound::from(received);
        Arc::new(Ledger(Mutex::new(Page { inbound, resumptions: 0, control, told: false })))
    }

    /// One more stanza has come.
    pub fn receive(&self) {
        self.0.lock().inbound.receive();
    }

    /// The stanza that has come last is not safe until the burden is settled.
    pub fn hold(self: &Arc<Ledger>) -> Arc<Burden> {
        let mut page = self.0.lock();
        page.inbound.hold();
        let (number, resumptions) = (page.inbound.received(), page.resumptions);
        drop(page);
        Arc::new(Burden { ledger: self.clone(), number, resumptions, settled: AtomicBool::new(false) })
    }

    /// Stanzas that are not safe.
    pub fn held(&self) -> usize {
        self.0.lock().inbound.held()
    }

    /// The `h` that answers the client; if it is not all that it has sent, the session is told of what follows.
    pub fn answer(&self) -> u32 {
        self.0.lock().inbound.answer()
    }

    /// The `h` that is safe now.
    pub fn safe(&self) -> u32 {
        self.0.lock().inbound.safe()
    }

    /// The session was told: gives the `h` that its client is owed.
    pub fn owed(&self) -> Option<u32> {
        let mut page = self.0.lock();
        page.told = false;
        page.inbound.owed()
    }

    /// The session goes on elsewhere: gives `h`. What is not safe comes again.
    pub fn resume(&self, control: Port<Control>) -> u32 {
        let mut page = self.0.lock();
        page.resumptions = page.resumptions.wrapping_add(1);
        page.told = false;
        page.control = control;
        page.inbound.rewind()
    }

    fn settle(&self, number: u32, resumptions: u32) {
        let mut page = self.0.lock();
        if page.resumptions != resumptions {
            return;
        }
        page.inbound.settle(number);
        if page.inbound.is_owed() && !std::mem::replace(&mut page.told, true) {
            let control = page.control.clone();
            drop(page);
            // A session that is gone tells its client nothing.
            let _gone = control.send(Control::Settled);
        }
    }
}

/// One message that its sender was not told to be safe.
#[derive(Debug)]
pub struct Burden {
    ledger: Arc<Ledger>,
    number: u32,
    resumptions: u32,
    settled: AtomicBool,
}

impl Burden {
    /// The message is safe, whoever else still holds it.
    pub fn settle(&self) {
        if !self.settled.swap(true, Relaxed) {
            self.ledger.settle(self.number, self.resumptions);
        }
    }
}

impl Drop for Burden {
    fn drop(&mut self) {
        self.settle();
    }
}

/// Does something on behalf of a message; whatever is made of it meanwhile can take a part of its burden.
pub fn carrying<T>(burden: Option<Arc<Burden>>, deed: impl FnOnce() -> T) -> T {
    /// Also after a panic, this thread carries what it carried before.
    struct Before(Option<Arc<Burden>>);

    impl Drop for Before {
        fn drop(&mut self) {
            let before = self.0.take();
            let carried = CARRIED.replace(before);
            drop(carried);
        }
    }

    let _before = Before(CARRIED.replace(burden));
    deed()
}

/// The burden of the message that this thread is at, if its sender waits to be told.
pub fn carried() -> Option<Arc<Burden>> {
    CARRIED.with_borrow(Clone::clone)
}
