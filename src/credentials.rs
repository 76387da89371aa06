//! Who may use the server.

mod user;

pub use self::user::{PasswordHash, UserName};
