//! One version of a function as it is kept: what it is, how it describes itself, and who put it there.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::catalogue::{Content, Published, Version};
use crate::failure::Failure;

/// What is said of a function that says nothing of itself, in TabPy's words.
pub(super) const NO_DOCSTRING: &str = "-- no docstring found in query function --";

/// Of all that is said of a function, in bytes.
const LONGEST_ABOUT: usize = 1 << 20;

/// Clients that read JSON by recursion read a few hundred levels.
const DEEPEST_SCHEMA: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub name: String,
    pub version: u32,
    pub content: Content,
    pub about: About,
    pub uuid: String,
    /// Of its files, in bytes.
    pub size: u64,
    /// The user, where users sign in.
    pub deployed_by: Option<String>,
    /// Of the function's first version. All times are seconds since 1970.
    pub creation_time: i64,
    pub last_modified_time: i64,
    /// Of this version.
    pub deployed_time: i64,
}

/// What a function tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    pub description: String,
    pub docstring: String,
    /// JSON, as it was given.
    pub schema: Option<String>,
    pub is_public: bool,
    pub dependencies: Vec<String>,
}

impl Stored {
    /// `model` or `alias`.
    pub fn kind(&self) -> &'static str {
        if self.target().is_some() { "alias" } else { "model" }
    }

    /// `archive`, `source` or `alias`.
    pub fn form(&self) -> &'static str {
        match &self.content {
            Content::Archive { .. } => "archive",
            Content::Source { .. } => "source",
            Content::Alias { .. } => "alias",
        }
    }

    pub fn target(&self) -> Option<&str> {
        match &self.content {
            Content::Alias { target } => Some(target),
            Content::Archive { .. } | Content::Source { .. } => None,
        }
    }

    pub fn object(&self) -> Option<&str> {
        match &self.content {
            Content::Archive { object, .. } | Content::Source { object, .. } => Some(object),
            Content::Alias { .. } => None,
        }
    }

    /// As workers know it.
    pub(super) fn for_index(&self) -> Version {
        Version { content: self.content.clone(), uuid: self.uuid.clone() }
    }
}

impl About {
    /// What loading it has shown.
    pub fn of(published: &Published) -> Self {
        let text = |text: &Option<String>| text.as_deref().unwrap_or_default().trim().to_owned();
        let docstring = text(&published.docstring);
        Self {
            description: text(&published.description),
            docstring: if docstring.is_empty() { NO_DOCSTRING.to_owned() } else { docstring },
            schema: published.schema.as_ref().map(ToString::to_string),
            is_public: published.public,
            dependencies: published.dependencies.clone(),
        }
    }

    /// Why every list of functions would suffer from it, if so.
    pub(super) fn excess(&self) -> Option<&'static str> {
        let texts =
            [&self.description, &self.docstring].into_iter().chain(&self.schema).chain(&self.dependencies);
        if texts.map(String::len).sum::<usize>() > LONGEST_ABOUT {
            return Some("its description, docstring, schema and dependencies together may be 1 MB long");
        }
        let deep = self.schema.as_deref().is_some_and(|schema| depth(schema) > DEEPEST_SCHEMA);
        deep.then_some("its schema may be nested 100 deep")
    }

    /// Without what a database cannot keep in a text.
    pub(super) fn plain(mut self) -> Self {
        for text in [&mut self.description, &mut self.docstring].into_iter().chain(&mut self.dependencies) {
            *text = text.replace('\0', "\u{fffd}");
        }
        self
    }
}

/// How deep a text that is JSON is nested.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Seconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A random one, in its usual form.
pub(super) fn uuid() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Ok(as_uuid(bytes))
}

/// One for a new version.
pub(super) fn new_uuid() -> Result<String, Failure> {
    uuid().map_err(|error| Failure::new(500, "There are no random numbers.").info(error.to_string()))
}

/// Bytes in the form of one.
pub(super) fn as_uuid(bytes: [u8; 16]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_that_of_brackets_outside_of_strings() {
        for (json, expected) in
            [("1", 0), ("[]", 1), (r#"{"a": [1, {"b": []}], "c": []}"#, 4), (r#"["\"[[[", "]"]"#, 1)]
        {
            assert_eq!(depth(json), expected, "{json}");
        }
    }
}
