//! Where a Postgres lies: `DATABASE_URL`, understood. Connections are encrypted without a look at the
//! certificate, as platforms sign theirs themselves, unless `sslmode` asks for more or for less; to the
//! same machine they may be plain.

use std::net::IpAddr;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use super::database::PATIENCE;
use crate::credentials::Secret;

/// The channel on which a change is told; see the migration.
pub(super) const CHANNEL: &str = "tabpy_functions";

/// A whole address, password included.
#[derive(Clone)]
pub struct Address {
    options: PgConnectOptions,
    password: Option<Secret>,
}

impl Address {
    /// `None` if the text is no such address. It must not be repeated: it holds a password.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"))?;
        let options: PgConnectOptions = text.parse().ok()?;
        let asks = text.split_once('?').is_some_and(|(_, query)| {
            query.split('&').any(|pair| pair.starts_with("sslmode=") || pair.starts_with("ssl-mode="))
        });
        let mode = if asks {
            options.get_ssl_mode()
        } else if is_this_machine(&options) {
            PgSslMode::Prefer
        } else {
            PgSslMode::Require
        };
        let options = options
            .ssl_mode(mode)
            .application_name("tabpy-rs")
            // Poolers that share connections between transactions do not keep named statements.
            .statement_cache_capacity(0)
            .disable_statement_logging();
        let signs_in = rest.split(['/', '?']).next().and_then(|place| place.rsplit_once('@'));
        let password =
            signs_in.and_then(|(user, _)| user.split_once(':')).map(|(_, password)| password.to_owned());
        Some(Self { options, password: password.map(Secret::new) })
    }

    /// For people; without user and password.
    pub fn place(&self) -> String {
        let database = self.options.get_database().unwrap_or_else(|| self.options.get_username());
        format!("Postgres at {}:{}/{database}", self.options.get_host(), self.options.get_port())
    }

    /// As it was written in the address.
    pub(super) fn secret(&self) -> Option<&str> {
        self.password.as_ref().map(Secret::reveal)
    }

    /// Connects once, for the reason why that cannot be done: a pool only says that it took too long.
    pub(super) async fn reach(&self) -> Result<(), sqlx::Error> {
        let connect = async { self.options.connect().await?.close().await };
        tokio::time::timeout(PATIENCE, connect).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    /// Connects when it is needed, and again when a connection is lost.
    pub(super) fn pool(&self, connections: u32) -> PgPool {
        PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(PATIENCE)
            .after_connect(|connection, _| {
                // It would tell each time that a table is there already.
                Box::pin(async { connection.execute("SET client_min_messages TO warning").await.map(drop) })
            })
            .connect_lazy_with(self.options.clone())
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.place())
    }
}

fn is_this_machine(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    options.get_socket().is_some()
        || host == "localhost"
        || host.starts_with('/')
        || host.trim_matches(['[', ']']).parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encryption_is_the_default_but_for_this_machine() {
        use PgSslMode::{Disable, Prefer, Require, VerifyFull};
        let mode = |text| Address::parse(text).unwrap().options.get_ssl_mode();
        for (text, expected) in [
            ("postgres://u:p@db.example.com/d", "Require"),
            ("postgresql://u:p@10.0.0.1:5433/d?application_name=x", "Require"),
            ("postgres://u:p@localhost/d", "Prefer"),
            ("postgres://u:p@[::1]/d", "Prefer"),
            ("postgres://u@%2Frun%2Fpostgresql/d", "Prefer"),
            ("postgres://u:p@127.0.0.1/d?sslmode=require", "Require"),
            ("postgres://u:p@db/d?sslmode=disable", "Disable"),
            ("postgres://u:p@db/d?a=b&sslmode=verify-full", "VerifyFull"),
        ] {
            let expected = match expected {
                "Require" => Require,
                "Prefer" => Prefer,
                "Disable" => Disable,
                _ => VerifyFull,
            };
            assert_eq!(format!("{:?}", mode(text)), format!("{expected:?}"), "{text}");
        }
    }

    #[test]
    fn an_address_never_shows_its_password() {
        let address = Address::parse("postgres://user:s3cr%40t@db.example.com:5433/functions").unwrap();
        assert_eq!(format!("{address:?}"), "Postgres at db.example.com:5433/functions");
        assert_eq!(address.secret(), Some("s3cr%40t"));
        for text in ["mysql://u:p@h/d", "postgres://u:p@h:port/d", "h/d", "postgres://u@h/d?sslmode=maybe"] {
            assert!(Address::parse(text).is_none(), "{text}");
        }
    }
}
