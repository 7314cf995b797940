//! What a sender may be promised of what it sent: that it is where it must be, on the disk.

use rjabberd_storage::StoreError;

/// Whether what was on its way into the store is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// It is, or it will never be and its sender was told so.
    Yes,
    /// The store failed or was away: nobody knows. It must not be acknowledged.
    No,
}

impl Committed {
    /// What the store's answer comes to.
    pub(crate) fn of<T>(answer: &Result<T, StoreError>) -> Committed {
        match answer {
            Err(error) if error.is_fault() => Committed::No,
            Ok(_) | Err(_) => Committed::Yes,
        }
    }

    /// Whether both are.
    #[must_use]
    pub fn and(self, other: Committed) -> Committed {
        if self == Committed::Yes { other } else { Committed::No }
    }
}
