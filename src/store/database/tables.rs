//! The tables, made where they are missing. Each engine has its own text of them, under `migrations/`.

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;

pub(super) async fn in_sqlite(pool: &SqlitePool) -> Result<(), MigrateError> {
    migrator(include_str!("../../../migrations/sqlite/0001_functions.sql")).run(pool).await
}

/// In one transaction, which instances that start together begin one after the other.
pub(super) async fn in_postgres(pool: &PgPool) -> Result<(), MigrateError> {
    let mut transaction = pool.begin().await?;
    // A lock of the transaction's own also holds where a pooler hands connections round.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext('tabpy_migrations'))")
        .execute(&mut *transaction)
        .await?;
    let mut migrator = migrator(include_str!("../../../migrations/postgres/0001_functions.sql"));
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
