//! Changes: each is one transaction that begins by raising the generation, which makes changes take turns;
//! so a function is there as a whole, in its old version or in its new one, whatever happens meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::Row as _;

use super::row::write;
use super::{Database, LONG, Pool, both, carrying, in_time};
use crate::store::object::Object;
use crate::store::stored::Stored;
use crate::store::trouble::Trouble;

/// Why a change was not made.
#[derive(Debug)]
pub(in crate::store) enum Unchanged {
    /// Somebody else has changed the function since it was looked at.
    Overtaken,
    Trouble(Trouble),
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
    /// Puts a version in force if `expected` is still the newest one, and forgets those beyond `keep`.
    pub(in crate::store) async fn put(
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
    pub(in crate::store) async fn describe(&self, stored: &Stored) -> Result<(), Unchanged> {
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
    pub(in crate::store) async fn remove(&self, name: &str, expected: u32) -> Result<(), Unchanged> {
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
    pub(in crate::store) async fn import(&self, all: &[(Stored, Option<Object>)]) -> Result<bool, Trouble> {
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
