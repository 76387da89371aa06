//! Passwords that nobody chose: for `tabpy-user` without a password, and for a server that is to be
//! reached from elsewhere and was given none. Letters and digits that look like others are left out,
//! and so is everything that a shell or a header would take amiss.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use anyhow::{Context, bail};

use super::edit::edit;
use super::{PasswordHash, Secret, UserName, file};

const LENGTH: usize = 16;
/// 56 of them: 92 bits in 16.
const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// The user that a password is made up for.
const USER: &str = "tabpy";

pub(super) fn password() -> anyhow::Result<Secret> {
    /// Bytes from here on would make some letters likelier than others.
    const FAIR: u8 = (256 / LETTERS.len() * LETTERS.len()) as u8;
    let mut text = String::with_capacity(LENGTH);
    let mut bytes = [0; 4 * LENGTH];
    while text.len() < LENGTH {
        getrandom::fill(&mut bytes).context("the system has no random numbers")?;
        let fair = bytes.iter().filter(|byte| **byte < FAIR);
        let letters = fair.map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
        text.extend(letters.take(LENGTH - text.len()));
    }
    Ok(Secret::new(text))
}

/// Sees to it that the password file at `path` has a user `tabpy`. Returns the password to show if
/// one was made up now; later it cannot be had again, because only its hash is kept.
pub fn made_up_user(path: &Path) -> anyhow::Result<Option<Secret>> {
    if let Some(folder) = path.parent() {
        let created = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        created.with_context(|| format!("cannot create the folder {}", folder.display()))?;
    }
    for place in [path.parent(), Some(path)].into_iter().flatten() {
        check_owner(place)?;
    }
    let mut shown = None;
    edit(path, |text| {
        if text.is_some_and(|text| !text.trim().is_empty()) {
            return Ok(None);
        }
        let (name, password) = (UserName::as_found(USER), password()?);
        let hash = PasswordHash::of(&name, password.reveal().as_bytes());
        shown = Some(password);
        Ok(Some(file::with_user(
            "# Made up by the server; delete this file to have a new one made.\n",
            &name,
            &hash,
        )))
    })?;
    Ok(shown)
}

/// The same for a server that has no place to keep it: good until it ends.
pub fn user_for_now() -> anyhow::Result<(UserName, Secret)> {
    Ok((UserName::as_found(USER), password()?))
}

/// What somebody else could have written says nothing about who may use the server.
fn check_owner(place: &Path) -> anyhow::Result<()> {
    let Ok(found) = std::fs::metadata(place) else { return Ok(()) };
    if found.uid() != rustix::process::geteuid().as_raw() || found.mode() & 0o022 != 0 {
        bail!(
            "{} belongs to another user, or others may write to it, so no password is kept there: set TABPY_STATE_PATH to \
             a folder of this server's own, or set TABPY_USERNAME and TABPY_PASSWORD",
            place.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_differ_and_cannot_be_misread() {
        let (one, other) = (password().unwrap(), password().unwrap());
        assert_eq!(one.reveal().len(), 16);
        assert_ne!(one.reveal(), other.reveal());
        for _ in 0..200 {
            let password = password().unwrap();
            assert!(
                password
                    .reveal()
                    .chars()
                    .all(|letter| letter.is_ascii_alphanumeric() && !"0O1lIo".contains(letter))
            );
        }
    }

    #[test]
    fn a_user_is_made_up_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/p.txt");
        let password = made_up_user(&path).unwrap().unwrap();
        assert!(made_up_user(&path).unwrap().is_none());
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(password.reveal()));
        let entries = file::entries(&text).unwrap();
        let hash = PasswordHash::of(&UserName::as_found("tabpy"), password.reveal().as_bytes());
        assert_eq!((entries.len(), entries[0].hash.as_ref()), (1, Some(&hash)));
    }
}
