//! The catalogue of deployed functions: the index that the front writes and workers read, and the trial
//! of a function that is not in it yet. Plain types and the names of files; what is written when, and what
//! a function does, is known elsewhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The index, within the catalogue's folder. It is replaced as a whole, never edited in place.
pub const INDEX: &str = "index.json";

/// The folder of objects, within the catalogue's. Each object is a folder of its own that never changes.
pub const OBJECTS: &str = "objects";

/// What an object holds: one of the two.
pub const ARCHIVE: &str = "pickle_archive";
pub const SOURCE: &str = "source.py";

/// All functions as of one generation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// Grows with every change.
    pub generation: u64,
    pub functions: BTreeMap<String, Function>,
}

/// The versions of one function that are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// The one that is called where nobody asks for another.
    pub current: u32,
    pub versions: BTreeMap<u32, Version>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    #[serde(flatten)]
    pub content: Content,
    /// What a query's answer carries.
    pub uuid: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Content {
    /// A pickled function, made by this minor version of Python where that is known (`3.11`).
    Archive { object: String, python: Option<String> },
    /// Python source; the function is the one of this name at its top level.
    Source { object: String, function: String },
    /// Another function's current version.
    Alias { target: String },
}

/// What kind of file an object holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Archive,
    Source,
}

/// An object that is in its folder already, to be loaded once before it is put in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    pub object: String,
    pub kind: Kind,
    /// The function of a source that is wanted; without one, all that the source publishes.
    pub function: Option<String>,
    /// The minor version of Python that made an archive, where that is known.
    pub python: Option<String>,
}

/// What loading it has shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    pub functions: Vec<Published>,
}

/// One function, as it describes itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// The name to call it by; an archive does not know its own.
    pub name: Option<String>,
    /// Its name in the source.
    pub function: Option<String>,
    pub docstring: Option<String>,
    pub description: Option<String>,
    /// JSON schema of input and output, with an example, as TabPy's `generate_schema` lays it out.
    pub schema: Option<serde_json::Value>,
    pub public: bool,
    /// Functions that it queries, as far as it tells.
    pub dependencies: Vec<String>,
}

/// Why a function was not put in force, in words for whoever deployed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotLoaded {
    pub reason: String,
}

impl Version {
    /// The object behind it; an alias has none.
    pub fn object(&self) -> Option<&str> {
        match &self.content {
            Content::Archive { object, .. } | Content::Source { object, .. } => Some(object),
            Content::Alias { .. } => None,
        }
    }
}

/// The folder of one object.
pub fn object(catalogue: &Path, id: &str) -> PathBuf {
    catalogue.join(OBJECTS).join(id)
}

impl std::fmt::Display for NotLoaded {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.reason)
    }
}

impl std::error::Error for NotLoaded {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_laid_out_as_workers_read_it() {
        let version = |content, uuid: &str| Version { content, uuid: uuid.to_owned() };
        let archive = Content::Archive { object: "a3".to_owned(), python: Some("3.11".to_owned()) };
        let source = Content::Source { object: "a2".to_owned(), function: "add".to_owned() };
        let alias = Content::Alias { target: "add".to_owned() };
        let add = Function {
            current: 3,
            versions: [(2, version(source, "u2")), (3, version(archive, "u3"))].into(),
        };
        let sum = Function { current: 1, versions: [(1, version(alias, "u1"))].into() };
        let index =
            Index { generation: 7, functions: [("add".to_owned(), add), ("sum".to_owned(), sum)].into() };
        let text = r#"{"generation":7,"functions":{"add":{"current":3,"versions":{"2":{"kind":"source","object":"a2","function":"add","uuid":"u2"},"3":{"kind":"archive","object":"a3","python":"3.11","uuid":"u3"}}},"sum":{"current":1,"versions":{"1":{"kind":"alias","target":"add","uuid":"u1"}}}}}"#;
        assert_eq!(serde_json::to_string(&index).unwrap(), text);
        assert_eq!(serde_json::from_str::<Index>(text).unwrap(), index);
        assert_eq!(index.functions["add"].versions[&3].object(), Some("a3"));
    }
}
