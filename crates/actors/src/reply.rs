//! Answers to questions between actors: a one-shot value with a deadline. The asker goes on meanwhile.

use std::time::Duration;

use tokio::sync::oneshot;

/// No answer came: the other side is gone, or the deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer")]
pub struct NoAnswer;

/// The answering end; dropped without an answer it tells the asker so.
#[derive(Debug)]
pub struct Reply<T>(oneshot::Sender<T>);

/// The asking end.
#[derive(Debug)]
pub struct Answer<T>(oneshot::Receiver<T>);

/// A question's two ends.
pub fn reply<T>() -> (Reply<T>, Answer<T>) {
    let (sender, receiver) = oneshot::channel();
    (Reply(sender), Answer(receiver))
}

impl<T> Reply<T> {
    /// Whether somebody still waits for the answer.
    pub fn is_wanted(&self) -> bool {
        !self.0.is_closed()
    }

    /// Answers; gives the value back where nobody waits any more.
    pub fn send(self, value: T) -> Result<(), T> {
        self.0.send(value)
    }
}

impl<T> Answer<T> {
    /// Waits for the answer, at most that long.
    pub async fn within(self, deadline: Duration) -> Result<T, NoAnswer> {
        match tokio::time::timeout(deadline, self.0).await {
            Ok(Ok(value)) => Ok(value),
            _ => Err(NoAnswer),
        }
    }
}
