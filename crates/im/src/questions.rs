//! Requests that the server itself makes, until they are answered. Whoever asks says what is to be done with the answer;
//! whoever routes an answer for the server or for an account hands it in here.
//!
//! An answer counts only from the address that was asked, with the id that it was asked by, which nobody can guess.
//! Invariant: what is to be done with an answer is done once, with the answer or when none has come in time.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use rjabberd_xmpp::{Jid, Stanza};

/// Questions that are open at one time.
const OPEN_MAX: usize = 10_000;
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is to be done with an answer; `None` if there is none.
type Then = Box<dyn FnOnce(Option<&Stanza>) + Send>;

struct Open {
    until: SystemTime,
    then: Then,
}

/// All open questions.
#[derive(Default)]
pub struct Questions {
    /// By who was asked, and the id.
    open: Mutex<HashMap<(Jid, String), Open>>,
    asked: AtomicU64,
    secret: RandomState,
}

impl Questions {
    /// A question to this address is on its way: the id that it is to have. `None` where too many are open.
    pub(crate) fn ask(
        &self,
        whom: &Jid,
        now: SystemTime,
        then: impl FnOnce(Option<&Stanza>) + Send + 'static,
    ) -> Option<String> {
        let number = self.asked.fetch_add(1, Relaxed);
        let id = format!("q{number}-{:016x}", self.secret.hash_one(number));
        let mut open = self.open.lock();
        if open.len() >= OPEN_MAX {
            return None;
        }
        open.insert((whom.clone(), id.clone()), Open { until: now + PATIENCE, then: Box::new(then) });
        Some(id)
    }

    /// Takes a result or an error; false if nobody asked for it.
    pub fn answered(&self, answer: &Stanza) -> bool {
        let (Some(from), Some(id)) = (&answer.from, &answer.id) else { return false };
        let found = self.open.lock().remove(&(from.clone(), id.clone()));
        // Without the lock: it may ask the next question.
        found.is_some_and(|open| {
            (open.then)(Some(answer));
            true
        })
    }

    /// Gives up what was not answered in time. To be called now and then.
    pub(crate) fn expire(&self, now: SystemTime) {
        let late: Vec<Open> = {
            let mut open = self.open.lock();
            // Also where the clock was set back: nothing is waited for longer than that.
            let is_late = |open: &Open| now >= open.until || now + PATIENCE < open.until;
            open.extract_if(|_, open| is_late(open)).map(|(_, open)| open).collect()
        };
        late.into_iter().for_each(|open| (open.then)(None));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::stage::{jid, stanza};

    #[derive(Default)]
    struct Asker {
        questions: Questions,
        told: Arc<Mutex<Vec<Option<String>>>>,
    }

    impl Asker {
        fn asks(&self, whom: &str) -> String {
            let told = self.told.clone();
            let then = move |answer: Option<&Stanza>| {
                told.lock().push(answer.map(|answer| answer.kind.type_name().unwrap_or("").to_owned()));
            };
            self.questions.ask(&jid(whom), UNIX_EPOCH, then).unwrap()
        }

        fn answers(&self, from: &str, id: &str) -> bool {
            self.questions.answered(&stanza(&format!("<iq type='result' from='{from}' id='{id}'/>")))
        }
    }

    #[test]
    fn an_answer_counts_once_and_only_from_who_was_asked() {
        let asker = Asker::default();
        let (one, other) = (asker.asks("a@b/c"), asker.asks("a@b/c"));
        assert_ne!(one, other);
        assert!(!asker.answers("a@b/d", &one) && !asker.answers("a@b/c", "q0"));
        assert!(asker.answers("a@b/c", &one) && !asker.answers("a@b/c", &one));
        assert_eq!(*asker.told.lock(), [Some("result".to_owned())]);
    }

    #[test]
    fn what_is_not_answered_in_time_is_given_up() {
        let asker = Asker::default();
        let id = asker.asks("a@b/c");
        asker.questions.expire(UNIX_EPOCH + PATIENCE - Duration::from_secs(1));
        assert!(asker.told.lock().is_empty());
        asker.questions.expire(UNIX_EPOCH + PATIENCE);
        assert_eq!(*asker.told.lock(), [None]);
        assert!(!asker.answers("a@b/c", &id));
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_no_question_open() {
        let asker = Asker::default();
        drop(asker.questions.ask(&jid("a@b/c"), UNIX_EPOCH + Duration::from_secs(1_000_000), |_| {}));
        asker.questions.expire(UNIX_EPOCH);
        assert!(asker.questions.open.lock().is_empty());
    }

    #[test]
    fn only_so_many_are_open() {
        let asker = Asker::default();
        (0..OPEN_MAX).for_each(|_| drop(asker.asks("a@b/c")));
        assert_eq!(asker.questions.ask(&jid("a@b/c"), UNIX_EPOCH, |_| {}), None);
    }
}
