//! From any released schema to the newest: numbered files, one transaction each, under the lock of the writer.
//!
//! The schema's number stands in the table `rjabberd_schema`. A released file is never changed; a change of the schema is a
//! new file and a line in [`MIGRATIONS`]. A backup is the operator's (`pg_dump`): a server cannot be copied to a file from
//! here.

use super::connection::PostgresConnection;
use super::error::PostgresError;
use super::session::refused;
use super::url::PostgresUrl;
use crate::error::StoreError;
use crate::sql::value::Value;

/// The files in order; the first makes schema 1.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/postgres/0001-base.sql"),
    include_str!("../../migrations/postgres/0002-archive.sql"),
    include_str!("../../migrations/postgres/0003-pep.sql"),
    include_str!("../../migrations/postgres/0004-push.sql"),
];

/// Brings the database to the last of `migrations`; the lock must be held.
pub(super) fn migrate(
    connection: &PostgresConnection,
    url: &PostgresUrl,
    migrations: &[&str],
) -> Result<(), PostgresError> {
    let place = || url.to_string();
    check(connection, url)?;
    let found = found_schema(connection, url)?;
    let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(PostgresError::Newer { place: place(), found, known });
    }
    if found > 0 && found < known {
        log::info!("the database at {url}: schema {found} becomes {known}");
    }
    for (sql, version) in migrations.iter().zip(1_i64..).filter(|(_, version)| *version > found) {
        let failed = |error: StoreError| PostgresError::Migration {
            place: place(),
            version,
            reason: error.to_string(),
        };
        connection.command(&transaction(sql, version)).map_err(failed)?;
    }
    Ok(())
}

/// One migration with the number that it makes. A script in one message is one transaction anyway; it says so.
fn transaction(sql: &str, version: i64) -> String {
    format!(
        "BEGIN; SET LOCAL statement_timeout = 0; {sql};
         CREATE TABLE IF NOT EXISTS rjabberd_schema (version BIGINT NOT NULL);
         DELETE FROM rjabberd_schema; INSERT INTO rjabberd_schema VALUES ({version}); COMMIT"
    )
}

/// What a database must be before it is looked at.
fn check(connection: &PostgresConnection, url: &PostgresUrl) -> Result<(), PostgresError> {
    let refuse =
        |reason: &str| Err(PostgresError::Refused { place: url.to_string(), reason: reason.to_owned() });
    let rows = connection
        .query(
            "SELECT current_setting('server_encoding') = 'UTF8', current_schema() IS NOT NULL,
                    current_setting('server_version_num')::int >= 130000, pg_is_in_recovery()",
            &[],
        )
        .map_err(|error| refused(url, &error))?;
    let is = |column| rows.first().is_some_and(|row| matches!(row.value(column), Ok(Value::Integer(1))));
    if !is(0) {
        return refuse(
            "its encoding is not UTF8: create it with createdb --encoding UTF8 --template template0 NAME",
        );
    }
    if !is(1) {
        return refuse(
            "the schema of its search_path does not exist: create it (CREATE SCHEMA), or change the search_path",
        );
    }
    if !is(2) {
        return refuse("PostgreSQL is older than 13: use a newer one");
    }
    if is(3) {
        return refuse("it is a standby, which takes no changes: use the primary");
    }
    Ok(())
}

/// The schema's number, 0 for an empty database; refuses one with other tables.
fn found_schema(connection: &PostgresConnection, url: &PostgresUrl) -> Result<i64, PostgresError> {
    let number = |sql: &'static str| -> Result<i64, StoreError> {
        match connection.query(sql, &[])?.first().map(|row| row.value(0)).transpose()? {
            Some(Value::Integer(number)) => Ok(number),
            _ => Err(StoreError::damaged("a number is missing")),
        }
    };
    let told = |error: StoreError| refused(url, &error);
    if number("SELECT (to_regclass('rjabberd_schema') IS NOT NULL)::int").map_err(told)? == 1 {
        return number("SELECT max(version) FROM rjabberd_schema").map_err(told);
    }
    match number("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()").map_err(told)? {
        0 => Ok(0),
        _ => Err(PostgresError::Foreign { place: url.to_string() }),
    }
}
