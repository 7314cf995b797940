//! How a connection is opened and set up, and whose database it is.
//!
//! A database belongs to one server: its writer holds an advisory lock, which the server lets go of when the writer's
//! connection ends, however it ends. So who has the lock knows that no change of an earlier writer can still come.

use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Error, NoTls};

use super::PostgresOptions;
use super::connection::PostgresConnection;
use super::error::{PostgresError, told};
use super::url::PostgresUrl;
use crate::error::StoreError;
use crate::sql::value::Value;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Reading and writing, alone.
    Write,
    /// Reading only.
    Read,
}

/// The lock of a writer, for each schema of a database: "rjab".
const TRY_LOCK: &str = "SELECT pg_try_advisory_lock(1919574370, hashtext(coalesce(current_schema(), '')))";
const LOCK: &str = "SELECT pg_advisory_lock(1919574370, hashtext(coalesce(current_schema(), '')))";

/// Opens a connection and sets it up.
pub(super) fn open(
    url: &PostgresUrl,
    options: &PostgresOptions,
    access: Access,
) -> Result<PostgresConnection, PostgresError> {
    let place = || url.to_string();
    let unreachable = |reason: String| PostgresError::Unreachable { place: place(), reason };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| unreachable(error.to_string()))?;
    let mut config = Config::clone(&url.config);
    limit(&mut config, options);
    let connected = runtime.block_on(async {
        tokio::time::timeout(options.connect_max, async {
            let (client, connection) = config.connect(NoTls).await?;
            // It ends with an error that the client tells of too.
            tokio::spawn(async { drop(connection.await) });
            client.batch_execute(&settings(options, access)).await?;
            Ok::<Client, Error>(client)
        })
        .await
    });
    let client = match connected {
        Ok(Ok(client)) => client,
        Ok(Err(error)) => return Err(not_opened(place(), &error)),
        Err(_) => {
            return Err(unreachable(format!("no answer within {:.0} s", options.connect_max.as_secs_f64())));
        }
    };
    Ok(PostgresConnection::new(runtime, client, Instant::now() + options.connect_max))
}

/// A server that vanished is to be noticed, and a connection attempt is to end.
fn limit(config: &mut Config, options: &PostgresOptions) {
    config.connect_timeout(options.connect_max);
    config.keepalives_idle(Duration::from_secs(30));
    config.tcp_user_timeout(options.connect_max + options.run_max);
}

/// What the server is to know of a session: its limits, also for the case that we vanish, and that a commit is on the disk
/// when it is answered.
fn settings(options: &PostgresOptions, access: Access) -> String {
    let run_ms = options.run_max.as_millis().max(1);
    let mut settings = format!(
        "SET statement_timeout = {run_ms}; SET lock_timeout = {run_ms};
         SET idle_in_transaction_session_timeout = {};
         SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
         SET client_min_messages = warning;
         SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';",
        run_ms * 2
    );
    if access == Access::Read {
        settings.push_str("SET default_transaction_read_only = on;");
    }
    settings
}

fn not_opened(place: String, error: &Error) -> PostgresError {
    let Some(code) = error.code() else {
        return PostgresError::Unreachable { place, reason: told(error) };
    };
    let advice = if *code == SqlState::INVALID_CATALOG_NAME {
        ": create it (createdb --encoding UTF8 --template template0 NAME)"
    } else if *code == SqlState::INVALID_PASSWORD || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
        ": check user and password in the store's URL, and the server's pg_hba.conf"
    } else {
        ""
    };
    PostgresError::Refused { place, reason: format!("{}{advice}", told(error)) }
}

/// Takes the lock of the writer, if nobody has it.
pub(super) fn lock(connection: &PostgresConnection, url: &PostgresUrl) -> Result<(), PostgresError> {
    let rows = connection.query(TRY_LOCK, &[]).map_err(|error| refused(url, &error))?;
    match rows.first().map(|row| row.value(0)) {
        Some(Ok(Value::Integer(1))) => Ok(()),
        _ => Err(PostgresError::Held { place: url.to_string() }),
    }
}

/// Takes the lock of the writer. One that is held is waited for a while: of a server that was killed, it is let go of soon.
pub(super) fn wait_for_lock(
    connection: &PostgresConnection,
    url: &PostgresUrl,
    options: &PostgresOptions,
) -> Result<(), PostgresError> {
    let told = |error: StoreError| refused(url, &error);
    let limit = |time: Duration| {
        format!("SET lock_timeout = {0}; SET statement_timeout = {0}", time.as_millis().max(1))
    };
    connection.command(&limit(options.lock_wait)).map_err(told)?;
    let locked = connection.query(LOCK, &[]);
    if locked.is_err() && !connection.is_gone() {
        return Err(PostgresError::Held { place: url.to_string() });
    }
    locked.map_err(told)?;
    connection.command(&limit(options.run_max)).map_err(told)
}

pub(super) fn refused(url: &PostgresUrl, error: &StoreError) -> PostgresError {
    PostgresError::Refused { place: url.to_string(), reason: error.to_string() }
}
