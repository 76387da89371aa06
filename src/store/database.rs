//! The rows: every statement there is, the same for both engines. A change is one transaction that
//! begins by raising the generation, which makes changes take turns; so a function is there as a whole,
//! in its old version or in its new one, whatever happens meanwhile.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::{PgListener, PgPool};
use sqlx::sqlite::SqlitePool;
use sqlx::{Row as _, SqlSafeStr as _};

use super::object::Object;
use super::stored::{About, Stored};
use super::trouble::Trouble;
use super::{postgres, sqlite};
use crate::catalogue::Content;

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

/// Why a change was not made.
#[derive(Debug)]
pub(super) enum Unchanged {
    /// Somebody else has changed the function since it was looked at.
    Overtaken,
    Trouble(Trouble),
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

/// A change: `true` at the end of the body commits it, anything else leaves all as it was.
macro_rules! change {
    ($database:expr, $bytes:expr, $transaction:ident => $body:expr) => {{
        let committing = AtomicBool::new(false);
        let outcome = both!($database, LONG + carrying($bytes), pool => {
            let mut $transaction = pool.begin().await?;
            let changes = $body;
            if changes {
                committing.store(true, Ordering::Relaxed);
                $transaction.commit().await?;
            }
            changes
        });
        outcome.map_err(|trouble| if committing.into_inner() { trouble.in_the_last_moment() } else { trouble })
    }};
}

macro_rules! stored {
    ($row:expr) => {
        read(Columns {
            name: $row.try_get("name")?,
            version: $row.try_get("version")?,
            kind: $row.try_get("kind")?,
            object: $row.try_get("object")?,
            function: $row.try_get("function")?,
            target: $row.try_get("target")?,
            python: $row.try_get("python")?,
            uuid: $row.try_get("uuid")?,
            description: $row.try_get("description")?,
            docstring: $row.try_get("docstring")?,
            schema: $row.try_get("schema")?,
            is_public: $row.try_get("is_public")?,
            dependencies: $row.try_get("dependencies")?,
            size: $row.try_get("size")?,
            deployed_by: $row.try_get("deployed_by")?,
            creation_time: $row.try_get("creation_time")?,
            last_modified_time: $row.try_get("last_modified_time")?,
            deployed_time: $row.try_get("deployed_time")?,
        })
    };
}

macro_rules! raise {
    ($transaction:expr) => {
        sqlx::query("UPDATE tabpy_generation SET generation = generation + 1")
            .execute(&mut *$transaction)
            .await?
    };
}

macro_rules! current {
    ($transaction:expr, $name:expr) => {
        sqlx::query("SELECT MAX(version) AS version FROM tabpy_versions WHERE name = $1")
            .bind($name.to_owned())
            .fetch_one(&mut *$transaction)
            .await?
            .try_get::<Option<i64>, _>("version")?
    };
}

macro_rules! insert {
    ($transaction:expr, $stored:expr, $object:expr) => {{
        let (stored, object): (&Stored, Option<&Object>) = ($stored, $object);
        if let Some(object) = object {
            for (path, content) in object.files() {
                sqlx::query(
                    "INSERT INTO tabpy_files (object, path, content) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                )
                .bind(object.id())
                .bind(path.as_str())
                .bind(content.as_ref())
                .execute(&mut *$transaction)
                .await?;
            }
        }
        let columns = write(stored);
        sqlx::query(
            "INSERT INTO tabpy_versions (name, version, kind, object, function, target, python, uuid, description, \
             docstring, schema, is_public, dependencies, size, deployed_by, creation_time, last_modified_time, \
             deployed_time) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
        )
        .bind(columns.name)
        .bind(columns.version)
        .bind(columns.kind)
        .bind(columns.object)
        .bind(columns.function)
        .bind(columns.target)
        .bind(columns.python)
        .bind(columns.uuid)
        .bind(columns.description)
        .bind(columns.docstring)
        .bind(columns.schema)
        .bind(columns.is_public)
        .bind(columns.dependencies)
        .bind(columns.size)
        .bind(columns.deployed_by)
        .bind(columns.creation_time)
        .bind(columns.last_modified_time)
        .bind(columns.deployed_time)
        .execute(&mut *$transaction)
        .await?;
    }};
}

macro_rules! forget_files {
    ($transaction:expr) => {
        sqlx::query(
            "DELETE FROM tabpy_files WHERE object NOT IN \
             (SELECT object FROM tabpy_versions WHERE object IS NOT NULL)",
        )
        .execute(&mut *$transaction)
        .await?
    };
}

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
            Pool::Sqlite(pool) => {
                migrator(include_str!("../../migrations/sqlite/0001_functions.sql")).run(pool).await
            }
            Pool::Postgres(pool) => match tokio::time::timeout(LONG, migrate(pool)).await {
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

    /// Puts a version in force if `expected` is still the newest one, and forgets those beyond `keep`.
    pub(super) async fn put(
        &self,
        expected: Option<u32>,
        stored: &Stored,
        object: Option<&Object>,
        keep: u32,
    ) -> Result<(), Unchanged> {
        let done = change!(self, object.map_or(0, Object::size), transaction => {
            raise!(transaction);
            let is_newest = current!(transaction, stored.name) == expected.map(i64::from);
            if is_newest {
                insert!(transaction, stored, object);
                sqlx::query("DELETE FROM tabpy_versions WHERE name = $1 AND version <= $2")
                    .bind(stored.name.clone())
                    .bind(i64::from(stored.version) - i64::from(keep))
                    .execute(&mut *transaction)
                    .await?;
                forget_files!(transaction);
            }
            is_newest
        });
        Unchanged::unless(done)
    }

    /// Changes what the newest version, which must be this one, says of itself.
    pub(super) async fn describe(&self, stored: &Stored) -> Result<(), Unchanged> {
        let done = change!(self, 0, transaction => {
            raise!(transaction);
            let is_newest = current!(transaction, stored.name) == Some(i64::from(stored.version));
            if is_newest {
                let columns = write(stored);
                sqlx::query(
                    "UPDATE tabpy_versions SET description = $3, docstring = $4, schema = $5, is_public = $6, \
                     dependencies = $7, target = $8, last_modified_time = $9 WHERE name = $1 AND version = $2",
                )
                .bind(columns.name)
                .bind(columns.version)
                .bind(columns.description)
                .bind(columns.docstring)
                .bind(columns.schema)
                .bind(columns.is_public)
                .bind(columns.dependencies)
                .bind(columns.target)
                .bind(columns.last_modified_time)
                .execute(&mut *transaction)
                .await?;
            }
            is_newest
        });
        Unchanged::unless(done)
    }

    /// Forgets a function with all its versions.
    pub(super) async fn remove(&self, name: &str, expected: u32) -> Result<(), Unchanged> {
        let done = change!(self, 0, transaction => {
            raise!(transaction);
            let is_newest = current!(transaction, name) == Some(i64::from(expected));
            if is_newest {
                sqlx::query("DELETE FROM tabpy_versions WHERE name = $1")
                    .bind(name.to_owned())
                    .execute(&mut *transaction)
                    .await?;
                forget_files!(transaction);
            }
            is_newest
        });
        Unchanged::unless(done)
    }

    /// Takes all of these, if nothing was ever deployed; says whether it did.
    pub(super) async fn import(&self, all: &[(Stored, Option<Object>)]) -> Result<bool, Trouble> {
        if all.is_empty() {
            return Ok(false);
        }
        change!(self, all.iter().filter_map(|(_, object)| object.as_ref()).map(Object::size).sum(), transaction => {
            raise!(transaction);
            let row = sqlx::query("SELECT generation FROM tabpy_generation").fetch_one(&mut *transaction).await?;
            let is_first = row.try_get::<i64, _>("generation")? == 1;
            if is_first {
                for (stored, object) in all {
                    insert!(transaction, stored, object.as_ref());
                }
            }
            is_first
        })
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

impl Unchanged {
    fn unless(changed: Result<bool, Trouble>) -> Result<(), Self> {
        match changed {
            Ok(true) => Ok(()),
            Ok(false) => Err(Self::Overtaken),
            Err(trouble) => Err(Self::Trouble(trouble)),
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

/// In one transaction, which instances that start together begin one after the other.
async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    let mut transaction = pool.begin().await?;
    // A lock of the transaction's own also holds where a pooler hands connections round.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext('tabpy_migrations'))")
        .execute(&mut *transaction)
        .await?;
    let mut migrator = migrator(include_str!("../../migrations/postgres/0001_functions.sql"));
    migrator.set_locking(false).run(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

fn migrator(sql: &'static str) -> Migrator {
    let first = Migration::new(1, "functions".into(), MigrationType::Simple, sql.into_sql_str(), false);
    let mut migrator = Migrator::with_migrations(vec![first]);
    // The database may be shared with other programs, and with a newer version of this one.
    migrator.dangerous_set_table_name("tabpy_migrations");
    migrator.set_ignore_missing(true);
    migrator
}

/// A row of `tabpy_versions`.
struct Columns {
    name: String,
    version: i64,
    kind: String,
    object: Option<String>,
    function: Option<String>,
    target: Option<String>,
    python: Option<String>,
    uuid: String,
    description: String,
    docstring: String,
    schema: Option<String>,
    is_public: bool,
    dependencies: String,
    size: i64,
    deployed_by: Option<String>,
    creation_time: i64,
    last_modified_time: i64,
    deployed_time: i64,
}

fn read(columns: Columns) -> Result<Stored, sqlx::Error> {
    let wrong = |what: &str| {
        sqlx::Error::Decode(format!("{what} in table tabpy_versions is missing or wrong").into())
    };
    let content = match columns.kind.as_str() {
        "archive" => Content::Archive {
            object: columns.object.ok_or_else(|| wrong("object"))?,
            python: columns.python,
        },
        "source" => Content::Source {
            object: columns.object.ok_or_else(|| wrong("object"))?,
            function: columns.function.ok_or_else(|| wrong("function"))?,
        },
        "alias" => Content::Alias { target: columns.target.ok_or_else(|| wrong("target"))? },
        _ => return Err(wrong("kind")),
    };
    Ok(Stored {
        name: columns.name,
        version: columns.version.try_into().map_err(|_| wrong("version"))?,
        content,
        about: About {
            description: columns.description,
            docstring: columns.docstring,
            schema: columns.schema,
            is_public: columns.is_public,
            dependencies: serde_json::from_str(&columns.dependencies).map_err(|_| wrong("dependencies"))?,
        },
        uuid: columns.uuid,
        size: columns.size.try_into().map_err(|_| wrong("size"))?,
        deployed_by: columns.deployed_by,
        creation_time: columns.creation_time,
        last_modified_time: columns.last_modified_time,
        deployed_time: columns.deployed_time,
    })
}

fn write(stored: &Stored) -> Columns {
    let (kind, object, function, target, python) = match &stored.content {
        Content::Archive { object, python } => ("archive", Some(object), None, None, python.clone()),
        Content::Source { object, function } => ("source", Some(object), Some(function.clone()), None, None),
        Content::Alias { target } => ("alias", None, None, Some(target.clone()), None),
    };
    let about = stored.about.clone().plain();
    Columns {
        name: stored.name.clone(),
        version: stored.version.into(),
        kind: kind.to_owned(),
        object: object.cloned(),
        function,
        target,
        python,
        uuid: stored.uuid.clone(),
        description: about.description,
        docstring: about.docstring,
        schema: about.schema,
        is_public: about.is_public,
        // A list of texts can be written.
        dependencies: serde_json::to_string(&about.dependencies).unwrap_or_default(),
        size: i64::try_from(stored.size).unwrap_or(i64::MAX),
        deployed_by: stored.deployed_by.clone(),
        creation_time: stored.creation_time,
        last_modified_time: stored.last_modified_time,
        deployed_time: stored.deployed_time,
    }
}
