//! A user's name, a password, and the hash of one as TabPy stores it. A name that exists is lower-case;
//! a hash that exists is one that some password can have. No file and no header is known here.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use pbkdf2::pbkdf2_hmac;
use sha2::Sha512;
use subtle::ConstantTimeEq;

/// Rounds of PBKDF2, as in TabPy: files must mean the same to both.
const ROUNDS: u32 = 10_000;

/// A user's name in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(Arc<str>);

impl UserName {
    /// A name for a new user: one that can be sent in a header and written on a line of the file.
    pub fn new(name: &str) -> Result<Self, &'static str> {
        if name.is_empty() {
            Err("a user name cannot be empty")
        } else if name.contains(':') {
            Err("a user name cannot contain a colon, which parts name and password when they are sent")
        } else if name.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
            Err("a user name cannot contain spaces")
        } else if name.starts_with(['#', '"']) {
            Err("a user name cannot start with # or \", which mean something else in a password file")
        } else {
            Ok(Self::as_found(name))
        }
    }

    /// A name from a file or a request, where any text is some name.
    pub(super) fn as_found(name: &str) -> Self {
        Self(name.to_lowercase().into())
    }

    /// The name as something to hand around.
    pub(super) fn shared(&self) -> Arc<str> {
        self.0.clone()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for UserName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// PBKDF2-HMAC-SHA512 of a password, salted with its user's name.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash([u8; 64]);

impl PasswordHash {
    /// Takes some milliseconds: not for a thread that has others waiting.
    pub fn of(name: &UserName, password: &[u8]) -> Self {
        let salt = format!("_$salt@tabpy:{name}$_");
        let mut hash = [0; 64];
        pbkdf2_hmac::<Sha512>(password, salt.as_bytes(), ROUNDS, &mut hash);
        Self(hash)
    }

    /// From 128 hexadecimal digits of any case.
    pub fn from_hex(text: &str) -> Option<Self> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 64 || !rest.is_empty() {
            return None;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let mut hash = [0; 64];
        for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(hash))
    }

    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Takes the same time whatever differs.
    pub(super) fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// A hash can be guessed from, slowly: it does not belong in a log.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash")
    }
}

/// A password: a text that never appears in a log.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Files end in a line break, and so do values that were made from them.
    pub fn of_line(text: &str) -> Self {
        Self(text.trim_end_matches(['\r', '\n']).to_owned())
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER1: &str = "b8a63cf588cd2399da615042de4732f5b121c4d1042acfb91598a56d2dd3e1d7b9f785213262eddbbd00c7a8c9c3e89d7cb98f31d405cc644b1aeba92c3de40b";

    #[test]
    fn the_hash_is_tabpy_s() {
        let hash = PasswordHash::of(&UserName::new("User1").unwrap(), b"P@ssw0rd");
        assert_eq!(hash.to_hex(), USER1);
        assert!(PasswordHash::from_hex(&USER1.to_uppercase()).unwrap().matches(&hash));
        assert!(!PasswordHash::of(&UserName::new("user2").unwrap(), b"P@ssw0rd").matches(&hash));
        assert_eq!(format!("{hash:?}"), "PasswordHash");
    }

    #[test]
    fn what_is_no_hash() {
        for text in ["", "abc", &USER1[2..], &format!("{USER1}00"), &USER1.replace('b', "g"), &"é".repeat(64)]
        {
            assert_eq!(PasswordHash::from_hex(text), None, "{text}");
        }
    }

    #[test]
    fn names() {
        assert_eq!(UserName::new("Ann.É@x").unwrap().as_str(), "ann.é@x");
        for name in ["", "a:b", "a b", "a\tb", "a\nb", "#a", "\"a"] {
            assert!(UserName::new(name).is_err(), "{name:?}");
        }
    }
}
