//! Sessions that were not resumed in time: what each had handled is told to who comes too late (XEP-0198, 5), so that it
//! need not send again what has arrived.

use std::collections::{HashMap, VecDeque};

use rjabberd_xmpp::{BareJid, management::ResumptionId};

use crate::Expired;

/// Sessions that are remembered: the latest.
const REMEMBERED_MAX: usize = 10_000;

#[derive(Debug, Default)]
pub(crate) struct ExpiredSessions {
    handled: HashMap<ResumptionId, (BareJid, u32)>,
    /// The oldest first.
    order: VecDeque<ResumptionId>,
}

impl ExpiredSessions {
    pub(crate) fn remember(&mut self, expired: Expired) {
        if self.order.len() >= REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.handled.remove(&oldest);
        }
        if self.handled.insert(expired.id, (expired.account, expired.h)).is_none() {
            self.order.push_back(expired.id);
        }
    }

    /// What a session of that account had handled.
    pub(crate) fn handled(&self, account: &BareJid, id: ResumptionId) -> Option<u32> {
        self.handled.get(&id).filter(|(owner, _)| owner == account).map(|(_, h)| *h)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> ResumptionId {
        ResumptionId(u128::from(number).to_be_bytes())
    }

    #[test]
    fn the_latest_are_remembered_and_told_to_their_own_account_alone() {
        let [romeo, juliet] =
            ["romeo@example.net", "juliet@example.net"].map(|jid| BareJid::new(jid).unwrap());
        let mut expired = ExpiredSessions::default();
        for number in 0..=REMEMBERED_MAX as u32 {
            expired.remember(Expired { account: romeo.clone(), id: id(number), h: number });
        }
        assert_eq!(expired.handled(&romeo, id(0)), None);
        assert_eq!(expired.handled(&romeo, id(1)), Some(1));
        assert_eq!(expired.handled(&juliet, id(1)), None);
        assert_eq!((expired.order.len(), expired.handled.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
    }
}
