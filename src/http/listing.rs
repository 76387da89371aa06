//! Functions as clients see them: objects laid out byte for byte as TabPy's `json.dumps` lays them out,
//! and our own, in the same hand.

use std::io::Write as _;

use crate::failure::write_json_string;
use crate::store::{Function, Load, Origin, Status, Stored, View};

/// A JSON object that is being written.
pub(super) struct Members<'out> {
    out: &'out mut Vec<u8>,
    first: bool,
}

impl<'out> Members<'out> {
    pub(super) fn of(out: &'out mut Vec<u8>, write: impl FnOnce(&mut Members<'_>)) {
        out.push(b'{');
        let mut members = Members { out, first: true };
        write(&mut members);
        members.out.push(b'}');
    }

    pub(super) fn key(&mut self, name: &str) -> &mut Vec<u8> {
        separate(self.out, &mut self.first);
        write_json_string(name, self.out);
        self.out.extend_from_slice(b": ");
        self.out
    }

    pub(super) fn text(&mut self, name: &str, text: &str) {
        write_json_string(text, self.key(name));
    }

    pub(super) fn text_or_null(&mut self, name: &str, text: Option<&str>) {
        match text {
            Some(text) => self.text(name, text),
            None => self.key(name).extend_from_slice(b"null"),
        }
    }

    pub(super) fn number(&mut self, name: &str, number: i64) {
        // Writing to memory cannot fail.
        let _ = write!(self.key(name), "{number}");
    }

    pub(super) fn boolean(&mut self, name: &str, value: bool) {
        self.key(name).extend_from_slice(if value { b"true" } else { b"false" });
    }
}

/// All functions by name, as `GET /endpoints` gives them.
pub(super) fn endpoints(view: &View) -> Vec<u8> {
    let mut body = Vec::new();
    Members::of(&mut body, |members| {
        for (name, function) in &view.functions {
            endpoint(&function.current, members.key(name));
        }
    });
    body
}

/// One by name, as what is added or changed is answered.
pub(super) fn named_endpoint(stored: &Stored) -> Vec<u8> {
    let mut body = Vec::new();
    Members::of(&mut body, |members| endpoint(stored, members.key(&stored.name)));
    body
}

pub(super) fn endpoint(stored: &Stored, out: &mut Vec<u8>) {
    Members::of(out, |members| about(stored, members));
}

fn about(stored: &Stored, members: &mut Members<'_>) {
    members.text("description", &stored.about.description);
    members.text("type", stored.kind());
    members.number("version", stored.version.into());
    list(&stored.about.dependencies, members.key("dependencies"));
    members.text_or_null("target", stored.target());
    members.number("creation_time", stored.creation_time);
    members.number("last_modified_time", stored.last_modified_time);
    match &stored.about.schema {
        Some(schema) => restyle(schema, members.key("schema")),
        None => members.key("schema").extend_from_slice(b"null"),
    }
    members.boolean("is_public", stored.about.is_public);
    members.text("docstring", &stored.about.docstring);
}

/// All functions, as `GET /status` gives them.
pub(super) fn status(view: &View) -> Vec<u8> {
    let mut body = Vec::new();
    let broken = view.broken.iter().filter(|(name, _)| view.get(name).is_none());
    let broken: Vec<(&str, Load)> =
        broken.map(|(name, reason)| (name.as_str(), Load::Failed(reason.clone()))).collect();
    let broken = broken.iter().map(|(name, load)| Status { name, version: 1, kind: "model", load });
    Members::of(&mut body, |members| {
        for line in view.status().into_iter().chain(broken) {
            Members::of(members.key(line.name), |members| {
                members.number("version", line.version.into());
                members.text("type", line.kind);
                members.text("status", line.load.as_str());
                members.text_or_null("last_error", line.load.error());
            });
        }
    });
    body
}

/// One function with its versions; `prefix` comes before every path.
pub(super) fn function(function: &Function, view: &View, prefix: &str, out: &mut Vec<u8>) {
    let stored = &function.current;
    Members::of(out, |members| {
        members.text("name", &stored.name);
        members.number("version", stored.version.into());
        members.text("status", function.load.as_str());
        members.text_or_null("last_error", function.load.error());
        let url: String = stored.name.replace(' ', "%20");
        members.text("url", &format!("{prefix}/query/{url}"));
        match &function.origin {
            Origin::Deployed => members.text("origin", "deployed"),
            Origin::Folder { file } => {
                members.text("origin", "folder");
                members.text("file", file);
            }
        }
        about_ours(stored, members);
        let attempt = view.attempts.get(&stored.name);
        if let Some(attempt) = attempt {
            Members::of(members.key("last_attempt"), |members| {
                members.number("version", attempt.version.into());
                members.text("status", attempt.load.as_str());
                members.text_or_null("last_error", attempt.load.error());
            });
        }
        versions(function, members.key("versions"));
    });
}

fn about_ours(stored: &Stored, members: &mut Members<'_>) {
    members.text("type", stored.kind());
    members.text("description", &stored.about.description);
    members.text("docstring", &stored.about.docstring);
    match &stored.about.schema {
        Some(schema) => restyle(schema, members.key("schema")),
        None => members.key("schema").extend_from_slice(b"null"),
    }
    members.boolean("is_public", stored.about.is_public);
    list(&stored.about.dependencies, members.key("dependencies"));
    members.text_or_null("target", stored.target());
    members.number("creation_time", stored.creation_time);
    members.number("last_modified_time", stored.last_modified_time);
}

/// The versions that are kept, the newest first.
pub(super) fn versions(function: &Function, out: &mut Vec<u8>) {
    out.push(b'[');
    let mut first = true;
    for stored in function.versions.iter().rev() {
        separate(out, &mut first);
        Members::of(out, |members| {
            members.number("version", stored.version.into());
            members.boolean("current", stored.version == function.current.version);
            members.number("deployed_time", stored.deployed_time);
            members.text_or_null("deployed_by", stored.deployed_by.as_deref());
            members.number("size", i64::try_from(stored.size).unwrap_or(i64::MAX));
            members.text("kind", stored.form());
            members.text("description", &stored.about.description);
        });
    }
    out.push(b']');
}

fn list(texts: &[String], out: &mut Vec<u8>) {
    out.push(b'[');
    let mut first = true;
    for text in texts {
        separate(out, &mut first);
        write_json_string(text, out);
    }
    out.push(b']');
}

fn separate(out: &mut Vec<u8>, first: &mut bool) {
    if !std::mem::take(first) {
        out.extend_from_slice(b", ");
    }
}

/// JSON text, which is known to be valid, spaced as `json.dumps` does.
fn restyle(json: &str, out: &mut Vec<u8>) {
    let mut rest = json;
    while let Some(next) = rest.chars().next() {
        let length = match next {
            '"' => string_length(rest),
            _ => next.len_utf8(),
        };
        let (part, after) = rest.split_at(length);
        match next {
            // Decoded and written anew, so that what is not ASCII is escaped; or left as it is.
            '"' => match serde_json::from_str::<String>(part) {
                Ok(text) => write_json_string(&text, out),
                Err(_) => out.extend_from_slice(part.as_bytes()),
            },
            ',' => out.extend_from_slice(b", "),
            ':' => out.extend_from_slice(b": "),
            white if white.is_ascii_whitespace() => {}
            _ => out.extend_from_slice(part.as_bytes()),
        }
        rest = after;
    }
}

/// Of the string that a text begins with, quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_spaced_as_python_spaces_it_and_keeps_its_order() {
        let mut out = Vec::new();
        restyle("{ \"b\":[1,2.50,\n null],\"a\" : {\"é\\\"\\\\\" : \"x, y: z\"}, \"c\":[] }", &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, r#"{"b": [1, 2.50, null], "a": {"\u00e9\"\\": "x, y: z"}, "c": []}"#);
    }
}
