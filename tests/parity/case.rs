//! One case: a request, and what is expected of its two answers. Owns the form of the tables in
//! `cases/` and the bytes they stand for; a field nobody knows is refused.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::{Compression, write::GzEncoder};
use serde::Deserialize;

use crate::servers::Setup;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) server: Setup,
    method: Option<String>,
    path: Option<String>,
    /// Sent as `Authorization: Basic`.
    user: Option<String>,
    #[serde(default)]
    headers: Vec<String>,
    /// With `data` (JSON text), the body of an evaluate request.
    script: Option<String>,
    data: Option<String>,
    body: Option<String>,
    body_base64: Option<String>,
    /// `<<900*[>>` stands for 900 brackets.
    #[serde(default)]
    expand: bool,
    /// Spaces are appended up to this length.
    pad_to: Option<usize>,
    #[serde(default)]
    gzip: bool,
    #[serde(default)]
    framing: Framing,
    /// The whole request but `Host`, instead of all of the above.
    raw: Option<String>,
    /// Scripts that are sent to both servers before.
    #[serde(default)]
    pub(crate) before: Vec<String>,

    /// JSON members whose text is left out of the comparison.
    #[serde(default)]
    pub(crate) volatile: Vec<String>,
    /// Response headers that are compared beside the status, the type and the body.
    #[serde(default)]
    pub(crate) compare: Vec<String>,
    /// The row of docs/differences-from-tabpy.md that this case shows.
    pub(crate) differs: Option<String>,
    pub(crate) ours: Option<Ours>,
    /// TabPy gives no answer, and is not asked since it would not live, or would keep a thread: how
    /// that was seen.
    pub(crate) unanswered: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Framing {
    #[default]
    Length,
    Chunked,
    /// Neither a length nor chunks, and so no body.
    None,
}

/// What is expected of our answer where it differs; what is absent is not looked at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ours {
    pub(crate) status: Option<u16>,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) info: Option<String>,
    #[serde(default)]
    pub(crate) message_contains: Vec<String>,
    #[serde(default)]
    pub(crate) info_contains: Vec<String>,
    #[serde(default)]
    pub(crate) body_contains: Vec<String>,
    /// Status, type and message are TabPy's; `info` is TabPy's, and then more, with these in it.
    pub(crate) goes_on: Option<Vec<String>>,
    /// With `goes_on`: TabPy's line numbers are lowered by the one line that it puts above a script.
    #[serde(default)]
    pub(crate) own_line: bool,
    /// `Name: value`, or `Name:` for a header that is absent.
    #[serde(default)]
    pub(crate) headers: Vec<String>,
}

/// The cases of all tables, by file name and then in order.
pub(crate) fn all() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/cases");
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let table: Table =
            basic_toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        cases.extend(table.case);
    }
    cases
}

impl Case {
    /// The bytes that go over the connection.
    pub(crate) fn request(&self, prefix: &str, host: &str) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            let raw = if self.expand { expanded(raw) } else { raw.clone() };
            return raw.replace("{host}", host).replace('\n', "\r\n").into_bytes();
        }
        let body = self.body();
        let default_method = if body.is_some() { "POST" } else { "GET" };
        let method = self.method.as_deref().unwrap_or(default_method);
        let path = self.path.as_deref().unwrap_or("/evaluate");
        let mut head = format!("{method} {prefix}{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        if let Some(user) = &self.user {
            let _ = write!(head, "Authorization: Basic {}\r\n", BASE64.encode(user));
        }
        for header in &self.headers {
            let _ = write!(head, "{header}\r\n");
        }
        let mut bytes = Vec::new();
        match (&body, &self.framing) {
            (None, _) | (_, Framing::None) => {}
            (Some(_), Framing::Chunked) => head.push_str("Transfer-Encoding: chunked\r\n"),
            (Some(body), _) => {
                let _ = write!(head, "Content-Length: {}\r\n", body.len());
            }
        }
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(b"\r\n");
        match (body, &self.framing) {
            (None, _) | (_, Framing::None) => {}
            (Some(body), Framing::Chunked) => {
                for chunk in body.chunks(16 * 1024) {
                    let _ = write!(bytes, "{:x}\r\n", chunk.len());
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
            (Some(body), _) => bytes.extend_from_slice(&body),
        }
        bytes
    }

    fn body(&self) -> Option<Vec<u8>> {
        let mut body = match (&self.script, &self.body, &self.body_base64) {
            (Some(script), _, _) => evaluate_body(script, self.data.as_deref()),
            (None, Some(body), _) => body.clone().into_bytes(),
            (None, None, Some(encoded)) => BASE64.decode(encoded).unwrap(),
            (None, None, None) => return None,
        };
        if self.expand {
            body = expanded(std::str::from_utf8(&body).unwrap()).into_bytes();
        }
        if let Some(length) = self.pad_to {
            assert!(body.len() <= length, "{}: the body is longer than pad_to", self.name);
            body.resize(length, b' ');
        }
        if self.gzip {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&body).unwrap();
            body = encoder.finish().unwrap();
        }
        Some(body)
    }
}

pub(crate) fn evaluate_body(script: &str, data: Option<&str>) -> Vec<u8> {
    let script = serde_json::to_string(script).unwrap();
    format!(r#"{{"script": {script}, "data": {}}}"#, data.unwrap_or("{}")).into_bytes()
}

fn expanded(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<<") {
        let (inside, after) = after.split_once(">>").expect("<< without >>");
        let (count, repeated) = inside.split_once('*').expect("<<count*text>>");
        out.push_str(before);
        out.push_str(&repeated.repeat(count.parse().expect("a count before *")));
        rest = after;
    }
    out.push_str(rest);
    out
}
