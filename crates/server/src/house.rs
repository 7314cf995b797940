//! What is done now and then: last activities are saved; messages that waited too long, those that archives keep no
//! longer, and tokens that have ended are forgotten; push services are told. One task, as long as the server runs. What
//! the store does not take is tried again the next time.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rjabberd_im::Im;
use rjabberd_storage::Store;

/// How long the store may lag behind what memory knows of last activities.
const FLUSH_ACTIVITY: Duration = Duration::from_secs(5);
/// How often what is to be forgotten is looked for.
const EXPIRE: Duration = Duration::from_secs(60 * 60);
/// Tokens forgotten in one transaction, which others wait for.
const TOKENS_AT_ONCE: usize = 1_000;

/// How often push services are told of what has come.
const PUSH: Duration = Duration::from_secs(1);

/// Keeps house for ever.
pub(crate) async fn keep(im: &'static Im, store: Arc<dyn Store>) {
    futures_util::future::join(keep_store(im, store), push(im)).await;
}

async fn push(im: &'static Im) {
    loop {
        tokio::time::sleep(PUSH).await;
        im.send_pushes().await;
    }
}

async fn keep_store(im: &'static Im, store: Arc<dyn Store>) {
    let mut expired = None::<Instant>;
    loop {
        tokio::time::sleep(FLUSH_ACTIVITY).await;
        im.flush_activity().await;
        im.retry_archives().await;
        if expired.is_none_or(|at| at.elapsed() > EXPIRE) {
            im.expire_offline().await;
            im.trim_archives().await;
            expire_tokens(&*store, unix_s(SystemTime::now())).await;
            expired = Some(Instant::now());
        }
    }
}

async fn expire_tokens(store: &dyn Store, now_unix_s: i64) {
    loop {
        match store.expire_tokens(now_unix_s, TOKENS_AT_ONCE).await {
            Ok(TOKENS_AT_ONCE..) => {}
            Ok(_) => return,
            Err(error) => {
                return log::warn!(target: "server:house", "tokens that have ended stay for now: {error}");
            }
        }
    }
}

fn unix_s(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use parking_lot::Mutex;
    use rjabberd_storage::{Answer, PepStore};

    use super::*;

    /// A store with so many tokens that have ended, which notes what it is asked.
    struct Ended {
        left: Mutex<usize>,
        asked: Mutex<Vec<(i64, usize)>>,
    }

    impl rjabberd_storage::ArchiveStore for Ended {}
    impl PepStore for Ended {}
    impl rjabberd_storage::PushStore for Ended {}

    impl Store for Ended {
        fn expire_tokens(&self, ended_before_unix_s: i64, tokens_max: usize) -> Answer<usize> {
            self.asked.lock().push((ended_before_unix_s, tokens_max));
            let mut left = self.left.lock();
            let gone = tokens_max.min(*left);
            *left -= gone;
            std::future::ready(Ok(gone)).boxed()
        }
    }

    #[test]
    fn tokens_that_have_ended_are_forgotten_piece_by_piece_until_none_is_left() {
        for (tokens, pieces) in [(0, 1), (999, 1), (1_000, 2), (2_500, 3)] {
            let store = Ended { left: Mutex::new(tokens), asked: Mutex::default() };
            expire_tokens(&store, 7).now_or_never().unwrap();
            assert_eq!(*store.left.lock(), 0);
            assert_eq!(*store.asked.lock(), vec![(7, TOKENS_AT_ONCE); pieces]);
        }
    }

    #[test]
    fn a_store_that_is_away_is_not_asked_again_at_once() {
        expire_tokens(&rjabberd_storage::Absent, 7).now_or_never().unwrap();
    }
}
