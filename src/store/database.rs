//! The rows: every statement there is stands here or in the files below, the same for both engines. Here
//! are the connections, what is read, and how long anything may take.

mod change;
mod row;
mod tables;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use sqlx::Row as _;
use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgListener, PgPool};
use sqlx::sqlite::SqlitePool;

pub(super) use self::change::Unchanged;
use self::row::{Columns, read, stored};
use super::object::Object;
use super::stored::Stored;
use super::trouble::Trouble;
use super::{postgres, sqlite};

/// How long one waits for a connection, or for another one's change.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How long an answer may take: one who is stopped or cut off does not say so. Nothing else goes on in the
/// store meanwhile.
const SHORT: Duration = Duration::from_secs(10);

/// How long a change may take, which may have to wait for another instance's.
const LONG: Duration = Duration::from_secs(30);

/// The slowest connection on which files are carried, in bytes per second.
const SLOWEST: u64 = 1 << 20;

/// Where functions are kept.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a server has one of it")]
pub enum Location {
    Sqlite(PathBuf),
    Postgres { address: postgres::Address, connections: u32 },
}

/// An open one; clones share it.
#[derive(Clone)]
pub(super) struct Database {
    location: Location,
    pool: Pool,
    pub(super) keeping: Keeping,
}

/// What becomes of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Keeping {
    Lasting,
    /// There can be none.
    AsItIs,
    /// It is there until the server ends; why.
    InMemory(String),
}

#[derive(Clone)]
enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// The same statements for both engines, compiled for each.
macro_rules! both {
    ($database:expr, $patience:expr, $pool:ident => $body:expr) => {{
        let outcome = match &$database.pool {
            Pool::Sqlite($pool) => in_time($patience, async { Ok($body) }).await,
            Pool::Postgres($pool) => in_time($patience, async { Ok($body) }).await,
        };
        outcome.map_err(|error| $database.trouble(&error))
    }};
}
use both;

impl Database {
    /// Makes the tables that are missing.
    pub(super) async fn open(location: &Location) -> Result<Self, Trouble> {
        let (pool, keeping) = match location {
            Location::Sqlite(path) => {
                let (pool, keeping) = sqlite::pool(path)?;
                (Pool::Sqlite(pool), keeping)
            }
            Location::Postgres { address, connections } => {
                (Pool::Postgres(address.pool(*connections)), Keeping::Lasting)
            }
        };
        let database = Self { location: location.clone(), pool, keeping };
        database.reach().await?;
        let outcome = match &database.pool {
            _ if database.keeping == Keeping::AsItIs => Ok(()),
            Pool::Sqlite(pool) => tables::in_sqlite(pool).await,
            Pool::Postgres(pool) => match tokio::time::timeout(LONG, tables::in_postgres(pool)).await {
                Ok(migrated) => migrated,
                Err(_) => Err(MigrateError::Execute(no_answer())),
            },
        };
        if let Err(error) = outcome {
            let error = match error {
                MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error,
                other => sqlx::Error::Migrate(Box::new(other)),
            };
            let trouble = database.trouble(&error);
            database.close().await;
            return Err(trouble);
        }
        Ok(database)
    }

    /// Whether it can be talked to, and if not, why.
    pub(super) async fn reach(&self) -> Result<(), Trouble> {
        match &self.location {
            Location::Sqlite(_) => Ok(()),
            Location::Postgres { address, .. } => address.reach().await.map_err(|error| self.trouble(&error)),
        }
    }

    pub(super) async fn close(&self) {
        match &self.pool {
            Pool::Sqlite(pool) => pool.close().await,
            Pool::Postgres(pool) => pool.close().await,
        }
    }

    /// Hears of changes by others, where the engine tells; this takes a connection.
    pub(super) async fn listener(&self) -> Result<Option<PgListener>, Trouble> {
        let Pool::Postgres(pool) = &self.pool else { return Ok(None) };
        if pool.options().get_max_connections() < 2 {
            return Ok(None);
        }
        let listen = async {
            let mut listener = PgListener::connect_with(pool).await?;
            listener.listen(postgres::CHANNEL).await?;
            Ok(listener)
        };
        in_time(SHORT, listen).await.map(Some).map_err(|error| self.trouble(&error))
    }

    pub(super) async fn generation(&self) -> Result<i64, Trouble> {
        both!(self, SHORT, pool => {
            let row = sqlx::query("SELECT generation FROM tabpy_generation").fetch_one(pool).await?;
            row.try_get("generation")?
        })
    }

    /// All versions of all functions, the oldest of each first, without their files.
    pub(super) async fn load(&self) -> Result<(i64, Vec<Stored>), Trouble> {
        // In this order: what is newer than its number is only looked at once more.
        let generation = self.generation().await?;
        let stored = both!(self, SHORT, pool => {
            let rows = sqlx::query("SELECT * FROM tabpy_versions ORDER BY name, version").fetch_all(pool).await?;
            let mut all = Vec::with_capacity(rows.len());
            for row in rows {
                all.push(stored!(row)?);
            }
            all
        })?;
        Ok((generation, stored))
    }

    /// The files of an object of that size; `None` if they were deleted meanwhile.
    pub(super) async fn object(&self, id: &str, size: u64) -> Result<Option<Object>, Trouble> {
        let files: BTreeMap<String, Bytes> = both!(self, SHORT + carrying(size), pool => {
            let rows = sqlx::query("SELECT path, content FROM tabpy_files WHERE object = $1")
                .bind(id.to_owned())
                .fetch_all(pool)
                .await?;
            let mut files = BTreeMap::new();
            for row in rows {
                files.insert(row.try_get("path")?, Bytes::from(row.try_get::<Vec<u8>, _>("content")?));
            }
            files
        })?;
        Ok(Object::of_files(files))
    }

    /// For people.
    pub(super) fn place(&self) -> String {
        match self.keeping {
            Keeping::InMemory(_) => "memory".to_owned(),
            Keeping::Lasting | Keeping::AsItIs => self.location.place(),
        }
    }

    fn trouble(&self, error: &sqlx::Error) -> Trouble {
        match &self.location {
            Location::Sqlite(path) => Trouble::of(error, &path.display().to_string(), None),
            Location::Postgres { address, .. } => Trouble::of(error, &address.place(), address.secret()),
        }
    }
}

impl Location {
    /// For people.
    pub fn place(&self) -> String {
        match self {
            Self::Sqlite(path) => path.display().to_string(),
            Self::Postgres { address, .. } => address.place(),
        }
    }
}

async fn in_time<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    tokio::time::timeout(patience, work).await.unwrap_or_else(|_| Err(no_answer()))
}

fn carrying(bytes: u64) -> Duration {
    Duration::from_secs(bytes / SLOWEST)
}

fn no_answer() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}
