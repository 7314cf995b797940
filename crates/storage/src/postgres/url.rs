//! Where a database is, from its URL. The password is in it and comes out of it only to the server.

use std::fmt;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::error::PostgresError;

/// The URL of a database on a PostgreSQL server: `postgres://user:password@host:port/database`. Shows no password.
#[derive(Clone)]
pub struct PostgresUrl {
    /// Boxed: it is larger than all else that a config holds.
    pub(super) config: Box<Config>,
    place: String,
}

impl PostgresUrl {
    /// Whether a text means to be such a URL.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with("postgres://") || text.starts_with("postgresql://")
    }

    /// Reads a URL.
    pub fn parse(text: &str) -> Result<PostgresUrl, PostgresError> {
        if !PostgresUrl::is_meant(text) {
            return Err(PostgresError::Url("it does not begin with postgres://"));
        }
        // What is wrong may be in the password: nothing of it is told.
        let mut config: Config = text.parse().map_err(|_| PostgresError::Url("it is no such URL"))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(PostgresError::Url("it names no host"));
        }
        if config.get_ssl_mode() == SslMode::Require {
            return Err(PostgresError::Url(
                "this rjabberd speaks no TLS to the database (sslmode=require): use a Unix socket, a tunnel or a network of your own",
            ));
        }
        config.ssl_mode(SslMode::Disable);
        if config.get_application_name().is_none() {
            config.application_name("rjabberd");
        }
        let place = place(&config);
        Ok(PostgresUrl { config: Box::new(config), place })
    }
}

/// `host:port/database`, for people.
fn place(config: &Config) -> String {
    let hosts: Vec<String> = (0_usize..)
        .zip(config.get_hosts())
        .map(|(index, host)| {
            let ports = config.get_ports();
            let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
            match host {
                Host::Tcp(name) if name.contains(':') => format!("[{name}]:{port}"),
                Host::Tcp(name) => format!("{name}:{port}"),
                Host::Unix(folder) => format!("{}/.s.PGSQL.{port}", folder.display()),
            }
        })
        .collect();
    let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
    format!("{}/{database}", hosts.join(","))
}

/// Where it is, without user and password.
impl fmt::Display for PostgresUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.place)
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "PostgresUrl({})", self.place)
    }
}

impl PartialEq for PostgresUrl {
    fn eq(&self, other: &PostgresUrl) -> bool {
        self.config == other.config
    }
}

impl Eq for PostgresUrl {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_the_database_is_and_never_the_password() {
        for (url, shown) in [
            ("postgres://user:s3cret@db.example/chat", "db.example:5432/chat"),
            ("postgresql://user:s3cret@db.example:5433/chat", "db.example:5433/chat"),
            ("postgres://user:s3cret@a,b:1/chat", "a:5432,b:1/chat"),
            ("postgres://user:s3cret@%2Frun%2Fpg:5433/chat", "/run/pg/.s.PGSQL.5433/chat"),
            ("postgres://user:s3cret@db.example", "db.example:5432/user"),
        ] {
            let parsed = PostgresUrl::parse(url).unwrap();
            assert_eq!(parsed.to_string(), shown, "{url}");
            assert!(!format!("{parsed:?} {parsed}").contains("s3cret"));
        }
    }

    #[test]
    fn what_is_no_such_url_is_refused_in_one_line_that_shows_nothing_of_it() {
        for url in [
            "mysql://user:s3cret@db/chat",
            "postgres://user:s3cret@db:s3cret/chat",
            "postgres://user:a@s3cret?s3cret@db/chat",
            "postgres://",
            "postgres://user:s3cret@db/chat?sslmode=require",
            "postgres://user:s3cret@db/chat?nothing=s3cret",
        ] {
            let error = PostgresUrl::parse(url).unwrap_err().to_string();
            assert!(!error.contains("s3cret") && error.lines().count() == 1, "{url}: {error}");
        }
    }
}
