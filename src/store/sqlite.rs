//! The database of a single instance: a file in the state path, written so that what was confirmed
//! outlasts a lost power supply. One that can only be read is served all the same.

use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use sqlx::ConnectOptions as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use super::database::PATIENCE;
use super::trouble::{Kind, Trouble};

/// Within the state path.
pub const FILE: &str = "functions.sqlite3";

/// Makes the file if there is none; and says whether it can be written.
pub(super) fn pool(path: &Path) -> Result<(SqlitePool, bool), Trouble> {
    let writable = make(path)?;
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
    Ok((pool, writable))
}

/// Whether it can be written.
fn make(path: &Path) -> Result<bool, Trouble> {
    let absent = |error: std::io::Error| {
        let full =
            matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded);
        Trouble::new(
            if full { Kind::Full } else { Kind::Absent },
            format!(
                "{} cannot be made: {error}. Name a folder that the server may write with TABPY_STATE_PATH, or a Postgres with DATABASE_URL",
                path.display()
            ),
        )
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(absent)?;
    }
    // Archives may hold what not every user of the machine should read.
    let opened = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    match opened {
        Ok(_) => Ok(is_writable_beside(path)),
        Err(_) if path.exists() => Ok(false),
        Err(error) => Err(absent(error)),
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
