//! One connection to a database, whichever it is, as the statements of the subjects use it: prepared statements, rows,
//! and a transaction with a savepoint for each operation.
//!
//! A statement is written once for both: its parameters are `?1`, `?2`… Invariant: nothing here decides what an operation
//! does; what differs between the databases stands in [`postgres`](crate::postgres) and [`sqlite`](crate::sqlite).

use std::time::Instant;

use rusqlite::params_from_iter;
use rusqlite::types::{ToSqlOutput, ValueRef};

use super::value::{FromValue, Value};
use crate::error::StoreError;
use crate::postgres::{PostgresConnection, PostgresRow};

/// A connection of one of a store's threads.
pub(crate) enum Connection {
    /// To a file.
    Sqlite(rusqlite::Connection),
    /// To a server.
    Postgres(PostgresConnection),
}

/// Why a question for one row has no answer.
pub(crate) enum NoRow {
    /// There is none.
    Absent,
    /// It failed.
    Failed(StoreError),
}

impl From<NoRow> for StoreError {
    fn from(error: NoRow) -> StoreError {
        match error {
            NoRow::Absent => StoreError::damaged("a row is missing"),
            NoRow::Failed(error) => error,
        }
    }
}

/// Makes nothing of a row that is not there.
pub(crate) trait OptionalExtension<T> {
    fn optional(self) -> Result<Option<T>, StoreError>;
}

impl<T> OptionalExtension<T> for Result<T, NoRow> {
    fn optional(self) -> Result<Option<T>, StoreError> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(NoRow::Absent) => Ok(None),
            Err(NoRow::Failed(error)) => Err(error),
        }
    }
}

impl Connection {
    /// The connection to a file that a test has.
    #[cfg(test)]
    pub(crate) fn sqlite(&self) -> &rusqlite::Connection {
        match self {
            Connection::Sqlite(connection) => connection,
            Connection::Postgres(_) => panic!("this is no file"),
        }
    }

    /// A statement that is compiled once for each connection.
    pub(crate) fn prepare_cached(&self, sql: &'static str) -> Result<Statement<'_>, StoreError> {
        Ok(match self {
            Connection::Sqlite(connection) => Statement::Sqlite(connection.prepare_cached(sql)?),
            Connection::Postgres(connection) => Statement::Postgres(connection, sql),
        })
    }

    /// What is asked from now on is to be answered before then, where somebody else answers it.
    pub(crate) fn answer_before(&self, deadline: Instant) {
        if let Connection::Postgres(connection) = self {
            connection.answer_before(deadline);
        }
    }

    /// Whether it is known to be of no use, before anything is asked.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Connection::Postgres(connection) if connection.is_gone())
    }

    /// Whether it can be used further, after an operation failed by a fault and was undone.
    pub(crate) fn outlives_a_fault(&self) -> bool {
        match self {
            // After a failed sync nobody knows what its pages are worth.
            Connection::Sqlite(_) => false,
            Connection::Postgres(connection) => !connection.is_gone(),
        }
    }

    pub(crate) fn begin(&self) -> Result<(), StoreError> {
        self.command("BEGIN IMMEDIATE", "BEGIN")
    }

    pub(crate) fn savepoint(&self) -> Result<(), StoreError> {
        self.command("SAVEPOINT operation", "SAVEPOINT operation")
    }

    /// Undoes what was done since the savepoint.
    pub(crate) fn roll_back_to_savepoint(&self) -> Result<(), StoreError> {
        match self {
            Connection::Sqlite(connection) => {
                connection.prepare_cached("ROLLBACK TO operation")?.execute([])?;
                Ok(())
            }
            Connection::Postgres(connection) => connection.roll_back_to_savepoint(),
        }
    }

    pub(crate) fn release_savepoint(&self) -> Result<(), StoreError> {
        self.command("RELEASE operation", "RELEASE operation")
    }

    /// Returns when all of the transaction is on the disk.
    pub(crate) fn commit(&self) -> Result<(), StoreError> {
        match self {
            Connection::Sqlite(connection) => {
                connection.prepare_cached("COMMIT")?.execute([])?;
                Ok(())
            }
            Connection::Postgres(connection) => connection.commit(),
        }
    }

    /// Waits for what was said but not waited for; gives the first error of it.
    pub(crate) fn settle(&self) -> Result<(), StoreError> {
        match self {
            Connection::Sqlite(_) => Ok(()),
            Connection::Postgres(connection) => connection.settle(),
        }
    }

    /// Whether the transaction that was begun is there no more.
    pub(crate) fn has_lost_transaction(&self) -> bool {
        match self {
            // A full disk and some other faults roll back the whole transaction by themselves.
            Connection::Sqlite(connection) => connection.is_autocommit(),
            Connection::Postgres(connection) => connection.is_gone(),
        }
    }

    fn command(&self, sqlite: &'static str, postgres: &'static str) -> Result<(), StoreError> {
        match self {
            Connection::Sqlite(connection) => {
                connection.prepare_cached(sqlite)?.execute([])?;
            }
            Connection::Postgres(connection) => connection.say(postgres)?,
        }
        Ok(())
    }
}

/// A prepared statement.
pub(crate) enum Statement<'c> {
    Sqlite(rusqlite::CachedStatement<'c>),
    Postgres(&'c PostgresConnection, &'static str),
}

impl Statement<'_> {
    /// Runs it, and says how many rows it changed.
    pub(crate) fn execute(&mut self, params: &[Value<'_>]) -> Result<usize, StoreError> {
        match self {
            Statement::Sqlite(statement) => Ok(statement.execute(params_from_iter(params))?),
            Statement::Postgres(connection, sql) => connection.execute(sql, params),
        }
    }

    /// Runs it for its effect alone: its error may come with what follows it, at the latest at the end of the operation.
    pub(crate) fn run(&mut self, params: &[Value<'_>]) -> Result<(), StoreError> {
        match self {
            Statement::Sqlite(statement) => Ok(statement.execute(params_from_iter(params)).map(drop)?),
            Statement::Postgres(connection, sql) => connection.run(sql, params),
        }
    }

    pub(crate) fn query(&mut self, params: &[Value<'_>]) -> Result<Rows<'_>, StoreError> {
        Ok(match self {
            Statement::Sqlite(statement) => Rows::Sqlite(statement.query(params_from_iter(params))?),
            Statement::Postgres(connection, sql) => {
                Rows::Postgres { rows: connection.query(sql, params)?.into_iter(), row: None }
            }
        })
    }

    /// All rows, as `read` has them.
    pub(crate) fn rows<T>(
        &mut self,
        params: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut rows = self.query(params)?;
        let mut found = Vec::new();
        while let Some(row) = &rows.next()? {
            found.push(read(row)?);
        }
        Ok(found)
    }

    /// The first row, as `read` has it.
    pub(crate) fn query_row<T>(
        &mut self,
        params: &[Value<'_>],
        read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<T, NoRow> {
        let mut rows = self.query(params).map_err(NoRow::Failed)?;
        match rows.next().map_err(NoRow::Failed)? {
            Some(row) => read(&row).map_err(NoRow::Failed),
            None => Err(NoRow::Absent),
        }
    }
}

/// What a question gave.
pub(crate) enum Rows<'s> {
    Sqlite(rusqlite::Rows<'s>),
    Postgres { rows: std::vec::IntoIter<PostgresRow>, row: Option<PostgresRow> },
}

impl Rows<'_> {
    pub(crate) fn next(&mut self) -> Result<Option<Row<'_>>, StoreError> {
        Ok(match self {
            Rows::Sqlite(rows) => rows.next()?.map(Row::Sqlite),
            Rows::Postgres { rows, row } => {
                *row = rows.next();
                row.as_ref().map(Row::Postgres)
            }
        })
    }
}

/// A row, read by the numbers of its columns.
pub(crate) enum Row<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres(&'r PostgresRow),
}

impl Row<'_> {
    /// A column as the database has it.
    pub(crate) fn get_ref(&self, column: usize) -> Result<Value<'_>, StoreError> {
        match self {
            Row::Sqlite(row) => match row.get_ref(column)? {
                ValueRef::Null => Ok(Value::Null),
                ValueRef::Integer(number) => Ok(Value::Integer(number)),
                ValueRef::Text(text) => std::str::from_utf8(text)
                    .map(Value::Text)
                    .map_err(|_| StoreError::damaged("a text is not UTF-8")),
                ValueRef::Blob(bytes) => Ok(Value::Blob(bytes)),
                ValueRef::Real(_) => Err(StoreError::damaged("a column holds a fraction")),
            },
            Row::Postgres(row) => row.value(column),
        }
    }

    pub(crate) fn get<T: FromValue>(&self, column: usize) -> Result<T, StoreError> {
        T::from_value(self.get_ref(column)?)
    }
}

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}
