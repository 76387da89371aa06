//! The database of a single instance: a file in the state path, written so that what was confirmed
//! outlasts a lost power supply. One that can only be read is served all the same, and where there can be
//! none at all, memory takes its place until the server ends.

use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use sqlx::ConnectOptions as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use super::database::{Keeping, PATIENCE};
use super::trouble::{Kind, Trouble};

/// Within the state path.
pub const FILE: &str = "functions.sqlite3";

/// Makes the file if there is none.
pub(super) fn pool(path: &Path) -> Result<(SqlitePool, Keeping), Trouble> {
    let keeping = make(path)?;
    if let Keeping::InMemory(_) = keeping {
        return Ok((in_memory(), keeping));
    }
    let writable = keeping == Keeping::Lasting;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(!writable)
        .busy_timeout(PATIENCE)
        .disable_statement_logging();
    let options = if writable {
        options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full)
    } else {
        // Where nothing can be written beside it either, its log cannot be opened.
        options.immutable(!is_folder_writable(path))
    };
    // Writing takes turns anyway; a second connection reads meanwhile.
    let pool =
        SqlitePoolOptions::new().max_connections(2).acquire_timeout(PATIENCE).connect_lazy_with(options);
    Ok((pool, keeping))
}

/// It is one connection's own, and gone with that.
fn in_memory() -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(PATIENCE)
        .connect_lazy_with(SqliteConnectOptions::new().in_memory(true).disable_statement_logging())
}

fn make(path: &Path) -> Result<Keeping, Trouble> {
    let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    // Archives may hold what not every user of the machine should read.
    let options = || std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    match folder.and_then(|()| options()) {
        Ok(_) if is_writable_beside(path) => Ok(Keeping::Lasting),
        Ok(_) => Ok(Keeping::AsItIs),
        Err(_) if path.exists() => Ok(Keeping::AsItIs),
        Err(error) => {
            let why = format!("{} cannot be made: {error}", path.display());
            match error.kind() {
                // There may be room later.
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                    Err(Trouble::new(Kind::Full, why))
                }
                _ => Ok(Keeping::InMemory(why)),
            }
        }
    }
}

/// SQLite writes a log beside the file, so the folder has to be writable too.
fn is_writable_beside(path: &Path) -> bool {
    // Who is root may write what is meant to stay as it is.
    let meant_to_stay = std::fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o222 == 0);
    is_folder_writable(path) && !meant_to_stay
}

fn is_folder_writable(path: &Path) -> bool {
    path.parent().is_some_and(|folder| rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok())
}
