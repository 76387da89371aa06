//! Who may use the server: the users of a password file, read again when it changes, and one from the
//! environment. A header that was verified is known by its digest; any other is put through PBKDF2 on
//! a thread of its own, a few at a time, unknown users as long as known ones. It knows nothing of HTTP
//! but the text of one header, and logs no password.

pub mod cli;
mod edit;
mod file;
mod made_up;
mod refused;
mod seen;
mod user;
mod watched;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use tokio::sync::Semaphore;

pub use self::made_up::{made_up_user, user_for_now};
use self::refused::Refused;
use self::seen::Seen;
pub use self::user::{PasswordHash, Secret, UserName};
use self::watched::Watched;

/// As `nice` counts.
const LOW_PRIORITY: i32 = 10;

/// Sign-ins that wait for a thread; further ones are told to come back.
const MOST_WAITING: usize = 256;

/// Padding is demanded, as TabPy demands it; what the last digit has beyond the last byte is not looked at.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
        .with_decode_allow_trailing_bits(true),
);

pub struct Credentials {
    /// Replaced as a whole when the file changes, and the verified headers with it.
    current: RwLock<Arc<Generation>>,
    user: Option<(UserName, PasswordHash)>,
    file: Option<Watched>,
    threads: Arc<Semaphore>,
    waiting: AtomicUsize,
    refused: Refused,
}

/// The users of one state of the file. A sign-in under way when the file changes ends up in the
/// verified headers of the state it began with, which nobody asks any more.
struct Generation {
    users: HashMap<UserName, PasswordHash>,
    seen: Seen,
}

/// What came of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The user's name, in lower case.
    Verified(Arc<str>),
    Rejected,
    /// Too many sign-ins at once: 503 with `Retry-After`.
    Busy,
}

impl Credentials {
    /// The file must hold a user, or there must be one from the environment. Blocks on the disk.
    pub fn load(
        password_file: Option<PathBuf>,
        user: Option<(UserName, PasswordHash)>,
    ) -> anyhow::Result<Self> {
        let (file, entries) = match password_file {
            Some(path) => {
                let (file, entries) = Watched::open(path)?;
                (Some(file), entries)
            }
            None => (None, Vec::new()),
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            current: RwLock::new(Arc::new(Generation::new(entries, user.as_ref())?)),
            user,
            file,
            threads: Arc::new(Semaphore::new((cores / 2).max(1))),
            waiting: AtomicUsize::new(0),
            refused: Refused::default(),
        })
    }

    /// The user of a header (its raw value) that was verified before. Costs one digest.
    pub fn seen(&self, authorization: &[u8]) -> Option<Arc<str>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).seen.get(authorization)
    }

    /// Puts a header to the proof, off the caller's thread.
    pub async fn verify(&self, authorization: &[u8]) -> Verdict {
        let Some((name, password)) = basic(authorization) else {
            self.refused.log(None);
            return Verdict::Rejected;
        };
        let place = Place::take(&self.waiting);
        if place.number > MOST_WAITING {
            return Verdict::Busy;
        }
        let Ok(permit) = Arc::clone(&self.threads).acquire_owned().await else { return Verdict::Busy };
        drop(place);
        let generation = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        // The same header may have been waiting beside this one, as it does when a server has just started.
        if let Some(name) = generation.seen.get(authorization) {
            return Verdict::Verified(name);
        }
        let work = move || {
            // The permit lasts as long as the work, also when the client has gone.
            let _permit = permit;
            let given = PasswordHash::of(&name, &password);
            let right = generation.users.get(&name).is_some_and(|hash| hash.matches(&given));
            (generation, name, right)
        };
        match in_the_background(work).await {
            Ok((generation, name, true)) => {
                generation.seen.insert(authorization, name.shared());
                Verdict::Verified(name.shared())
            }
            Ok((_, name, false)) => {
                self.refused.log(Some(&name));
                Verdict::Rejected
            }
            Err(_) => Verdict::Busy,
        }
    }

    /// Whether a header holds a name and a password at all.
    pub fn are_in(authorization: &[u8]) -> bool {
        basic(authorization).is_some()
    }

    /// Reads the file again if it is another one than last time. A broken file changes nothing and is
    /// logged once. Blocks on the disk: for a thread of its own, about once a second.
    pub fn reload_if_changed(&self) {
        let Some(file) = &self.file else { return };
        let entries = match file.read_if_changed() {
            None => return,
            Some(Ok(entries)) => entries,
            Some(Err(error)) => {
                tracing::error!("the users stay as they were: {error:#}");
                return;
            }
        };
        match Generation::new(entries, self.user.as_ref()) {
            Ok(generation) => {
                tracing::info!(users = generation.users.len(), "the password file was read again");
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(generation);
            }
            Err(error) => tracing::error!("the users stay as they were: {error:#}"),
        }
    }
}

impl Generation {
    fn new(entries: Vec<file::Entry>, user: Option<&(UserName, PasswordHash)>) -> anyhow::Result<Self> {
        let mut users = HashMap::with_capacity(entries.len() + 1);
        for entry in entries {
            match entry.hash {
                Some(hash) => drop(users.insert(entry.name, hash)),
                None => tracing::warn!(
                    user = %entry.name,
                    line = entry.line,
                    "this user of the password file cannot sign in: what stands after the name is not a hash of 128 \
                     hexadecimal digits; set the password again with tabpy-user update"
                ),
            }
        }
        if let Some((name, hash)) = user
            && users.insert(name.clone(), hash.clone()).is_some()
        {
            tracing::warn!(
                user = %name,
                "TABPY_USERNAME is also in the password file: the password from the environment holds"
            );
        }
        Ok(Self { users, seen: Seen::new()? })
    }
}

/// One of those that wait; leaves the count when dropped, also when its client goes away.
struct Place<'a> {
    waiting: &'a AtomicUsize,
    number: usize,
}

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Self {
        Self { waiting, number: waiting.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs the work on a thread that yields to all others: whoever guesses passwords gets what scripts and
/// their users leave over. Starting the thread costs little beside the work.
async fn in_the_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> anyhow::Result<T> {
    let (done, result) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("sign-in".to_owned()).spawn(move || {
        // To Linux a thread is a process of its own in this; without the right, it runs as it is.
        let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), LOW_PRIORITY);
        // Nobody listens when the client has gone.
        drop(done.send(work()));
    })?;
    Ok(result.await?)
}

/// Name and password of a `Basic` header. The name ends at the first colon; the password may hold more.
fn basic(authorization: &[u8]) -> Option<(UserName, Vec<u8>)> {
    let (scheme, rest) = authorization.split_at_checked(5)?;
    if !scheme.eq_ignore_ascii_case(b"basic") || !rest.starts_with(b" ") {
        return None;
    }
    let text = String::from_utf8(BASE64.decode(rest.trim_ascii()).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((UserName::as_found(name), password.as_bytes().to_vec()))
}

#[cfg(test)]
mod tests;
