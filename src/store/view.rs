//! What is in force, as of one moment: deployed functions over those of the folder. A view never
//! changes, so whoever holds one can look at it for as long as it takes; nothing here waits for a database.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::stored::Stored;
use crate::catalogue::{self, Index};

#[derive(Debug, Default)]
pub struct View {
    pub functions: BTreeMap<String, Function>,
    /// Deployments that are under way or have failed since the function was last changed, by its name.
    pub attempts: BTreeMap<String, Attempt>,
    /// Why files of the functions' folder are not served, by the file's name without `.py`.
    pub broken: BTreeMap<String, String>,
}

/// One function.
#[derive(Debug, Clone)]
pub struct Function {
    pub origin: Origin,
    pub current: Arc<Stored>,
    /// Those that are kept, the oldest first; the current one is the last.
    pub versions: Vec<Arc<Stored>>,
    /// Of the current version.
    pub load: Load,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Deployed,
    /// A file of the functions' folder.
    Folder {
        file: String,
    },
}

/// Whether a version is known to load here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Load {
    InProgress,
    Successful,
    /// Why.
    Failed(String),
}

/// A version that is not, or not yet, in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub version: u32,
    /// `model` or `alias`.
    pub kind: &'static str,
    pub load: Load,
}

/// A line of `/status`.
#[derive(Debug, PartialEq, Eq)]
pub struct Status<'view> {
    pub name: &'view str,
    pub version: u32,
    pub kind: &'static str,
    pub load: &'view Load,
}

impl View {
    pub fn get(&self, name: &str) -> Option<&Function> {
        self.functions.get(name)
    }

    /// Of each name the latest that happened: the last attempt, else what is in force.
    pub fn status(&self) -> Vec<Status<'_>> {
        let in_force = self.functions.iter().map(|(name, function)| Status {
            name,
            version: function.current.version,
            kind: function.current.kind(),
            load: &function.load,
        });
        let attempts = self.attempts.iter().map(|(name, attempt)| Status {
            name,
            version: attempt.version,
            kind: attempt.kind,
            load: &attempt.load,
        });
        let mut lines: BTreeMap<&str, Status<'_>> = BTreeMap::new();
        for line in in_force.chain(attempts) {
            lines.insert(line.name, line);
        }
        lines.into_values().collect()
    }

    /// The functions that would no longer work without this one.
    pub fn dependents(&self, name: &str) -> Vec<&str> {
        let depends = |function: &Function| {
            function.current.target() == Some(name)
                || function.current.about.dependencies.iter().any(|one| one == name)
        };
        let others = self.functions.iter().filter(|(other, function)| *other != name && depends(function));
        others.map(|(other, _)| other.as_str()).collect()
    }

    /// Whether an alias of this name with this target would lead back to itself.
    pub fn would_loop(&self, name: &str, target: &str) -> bool {
        let mut at = target;
        // Each step is another function, unless there is a loop already.
        for _ in 0..=self.functions.len() {
            if at == name {
                return true;
            }
            match self.get(at).and_then(|function| function.current.target()) {
                Some(next) => at = next,
                None => return false,
            }
        }
        true
    }

    /// As workers know it.
    pub(super) fn index(&self, generation: u64) -> Index {
        let functions = self.functions.iter().map(|(name, function)| {
            let versions = function.versions.iter().map(|stored| (stored.version, stored.for_index()));
            let function =
                catalogue::Function { current: function.current.version, versions: versions.collect() };
            (name.clone(), function)
        });
        Index { generation, functions: functions.collect() }
    }
}

impl Function {
    pub(super) fn of(origin: Origin, versions: Vec<Arc<Stored>>, load: Load) -> Option<Self> {
        let current = Arc::clone(versions.last()?);
        Some(Self { origin, current, versions, load })
    }

    pub fn version(&self, version: u32) -> Option<&Arc<Stored>> {
        self.versions.iter().find(|stored| stored.version == version)
    }
}

impl Load {
    /// In TabPy's words.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::InProgress => "LoadInProgress",
            Self::Successful => "LoadSuccessful",
            Self::Failed(_) => "LoadFailed",
        }
    }

    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Failed(reason) => Some(reason),
            Self::InProgress | Self::Successful => None,
        }
    }
}
