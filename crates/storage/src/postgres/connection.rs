//! A connection to a PostgreSQL server, used by one thread of a store, with an event loop of its own.
//!
//! A thread asks and waits, as it does with a file; but it need not wait for each statement. What is said for its effect
//! alone (a savepoint, an insert) is sent at once and looked at when an answer is needed anyway: so an operation costs about
//! as many round trips as it has questions. Invariant: nothing is waited for beyond the deadline that was set, and a
//! connection that let it pass is never used again.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use futures_util::{FutureExt, TryStreamExt};
use tokio::runtime::Runtime;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Statement};

use super::value::{Owned, PostgresRow};
use crate::error::StoreError;
use crate::sql::value::Value;

/// Something on its way; gives how many rows it changed.
type OnItsWay = Pin<Box<dyn Future<Output = Result<u64, Error>> + Send>>;

enum Said {
    Waiting(OnItsWay),
    Answered(Result<u64, Error>),
}

pub(crate) struct PostgresConnection {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    client: Arc<Client>,
    statements: RefCell<HashMap<&'static str, Statement>>,
    said: RefCell<Vec<Said>>,
    /// Whether something was said whose error belongs to the operation that runs.
    owes: Cell<bool>,
    deadline: Cell<Instant>,
    is_late: Cell<bool>,
}

impl PostgresConnection {
    /// Takes a client whose connection `runtime` drives.
    pub(super) fn new(runtime: Runtime, client: Client, deadline: Instant) -> PostgresConnection {
        PostgresConnection {
            runtime: Some(runtime),
            client: Arc::new(client),
            statements: RefCell::default(),
            said: RefCell::default(),
            owes: Cell::new(false),
            deadline: Cell::new(deadline),
            is_late: Cell::new(false),
        }
    }

    /// What is asked from now on is to be answered before then.
    pub(crate) fn answer_before(&self, deadline: Instant) {
        self.deadline.set(deadline);
    }

    /// Whether it is of no use any more: it was late, or the server has closed it.
    pub(crate) fn is_gone(&self) -> bool {
        if !self.is_late.get()
            && !self.client.is_closed()
            && let Some(runtime) = &self.runtime
        {
            // The loop runs only while somebody waits: let it see what has come since.
            runtime.block_on(async {
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
            });
        }
        self.is_late.get() || self.client.is_closed()
    }

    /// Says a command that is not waited for.
    pub(crate) fn say(&self, command: &'static str) -> Result<(), StoreError> {
        let client = Arc::clone(&self.client);
        self.send(Box::pin(async move { client.batch_execute(command).await.map(|()| 0) }));
        Ok(())
    }

    /// Runs a statement that is not waited for. [`settle`](Self::settle) gives its error.
    pub(crate) fn run(&self, sql: &'static str, params: &[Value<'_>]) -> Result<(), StoreError> {
        let statement = self.prepared(sql)?;
        let (client, params) = (Arc::clone(&self.client), params.iter().map(Owned::from).collect::<Vec<_>>());
        self.send(Box::pin(async move { client.execute_raw(&statement, params).await }));
        self.owes.set(true);
        Ok(())
    }

    /// Runs a statement and says how many rows it changed.
    pub(crate) fn execute(&self, sql: &'static str, params: &[Value<'_>]) -> Result<usize, StoreError> {
        let statement = self.prepared(sql)?;
        let rows = self.wait(self.client.execute_raw(&statement, params))?;
        Ok(usize::try_from(rows).unwrap_or(usize::MAX))
    }

    /// Asks, and takes all rows.
    pub(crate) fn query(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
    ) -> Result<Vec<PostgresRow>, StoreError> {
        let statement = self.prepared(sql)?;
        let params = params.iter().map(|value| value as &(dyn ToSql + Sync));
        self.wait(async {
            let rows = self.client.query_raw(&statement, params).await?;
            rows.map_ok(PostgresRow).try_collect().await
        })
    }

    /// Says a command, or several, and waits for them.
    pub(super) fn command(&self, commands: &str) -> Result<(), StoreError> {
        self.wait(self.client.batch_execute(commands))
    }

    /// Commits, and waits for it.
    pub(crate) fn commit(&self) -> Result<(), StoreError> {
        let committed = self.command("COMMIT");
        // A transaction in which something failed is rolled back by COMMIT, which then does not fail.
        self.settle_all()?;
        committed
    }

    /// Waits for the statements that were not waited for, and gives the first error. Commands alone can wait.
    pub(crate) fn settle(&self) -> Result<(), StoreError> {
        if self.owes.get() { self.settle_all() } else { Ok(()) }
    }

    fn settle_all(&self) -> Result<(), StoreError> {
        self.owes.set(false);
        let mut first = Ok(());
        for said in self.said.take() {
            let answer = match said {
                Said::Answered(answer) => answer.map_err(StoreError::from),
                Said::Waiting(answer) => self.in_time(answer),
            };
            first = first.and(answer.map(drop));
        }
        first
    }

    /// Undoes what was done since the savepoint.
    pub(crate) fn roll_back_to_savepoint(&self) -> Result<(), StoreError> {
        // What failed is undone with it.
        let _ = self.settle_all();
        self.say("ROLLBACK TO operation")
    }

    /// Sends something now, whether anybody waits for it or not.
    fn send(&self, mut future: OnItsWay) {
        // It is in the client's queue after it was polled once.
        let said = match (&mut future).now_or_never() {
            Some(answer) => Said::Answered(answer),
            None => Said::Waiting(future),
        };
        self.said.borrow_mut().push(said);
    }

    /// A statement as this connection knows it. The texts use `?1` for what PostgreSQL calls `$1`.
    fn prepared(&self, sql: &'static str) -> Result<Statement, StoreError> {
        if let Some(statement) = self.statements.borrow().get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.wait(self.client.prepare(&sql.replace('?', "$")))?;
        self.statements.borrow_mut().insert(sql, statement.clone());
        Ok(statement)
    }

    /// Waits for an answer. Where what was said before failed, that is the error: what came behind it was not even tried.
    fn wait<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, StoreError> {
        let answer = self.in_time(answer);
        if answer.is_err() && !self.is_late.get() {
            self.settle_all()?;
        }
        answer
    }

    fn in_time<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, StoreError> {
        let Some(runtime) = self.runtime.as_ref().filter(|_| !self.is_late.get()) else {
            return Err(StoreError::Unavailable(LATE));
        };
        let deadline = tokio::time::Instant::from_std(self.deadline.get());
        match runtime.block_on(async { tokio::time::timeout_at(deadline, answer).await }) {
            Ok(answer) => Ok(answer?),
            Err(_) => {
                self.is_late.set(true);
                Err(StoreError::Unavailable(LATE))
            }
        }
    }
}

/// What is said when the server did not answer in time.
const LATE: &str = "the database does not answer";

impl Drop for PostgresConnection {
    fn drop(&mut self) {
        // A name that is being looked up must hold nobody up.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
