//! All that a client may see of something that went wrong, in one shape: a status and the body
//! `{"message": ..., "info": ...}` as TabPy's own error bodies are laid out. Tableau shows its user
//! both texts, so each says what to change. Nothing here knows of HTTP libraries or of Python.

/// A refusal or an error, as the client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The HTTP status.
    pub status: u16,
    /// What happened, in one sentence.
    pub message: String,
    /// What to do about it; `None` is written as `{}`.
    pub info: Option<String>,
    /// Seconds after which another try makes sense (`Retry-After`).
    pub retry_after: Option<u32>,
}

impl Failure {
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), info: None, retry_after: None }
    }

    #[must_use]
    pub fn info(mut self, info: impl Into<String>) -> Self {
        self.info = Some(info.into());
        self
    }

    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The body, byte for byte as Python's `json.dumps` writes it.
    pub fn body(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(64 + self.message.len());
        body.extend_from_slice(b"{\"message\": ");
        write_json_string(&self.message, &mut body);
        body.extend_from_slice(b", \"info\": ");
        match &self.info {
            Some(info) => write_json_string(info, &mut body),
            None => body.extend_from_slice(b"{}"),
        }
        body.push(b'}');
        body
    }
}

/// Writes a string as Python's `json.dumps` does: ASCII only, everything else as `\uXXXX`.
pub fn write_json_string(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for unit in text.encode_utf16() {
        match unit {
            0x22 => out.extend_from_slice(b"\\\""),
            0x5c => out.extend_from_slice(b"\\\\"),
            0x0a => out.extend_from_slice(b"\\n"),
            0x0d => out.extend_from_slice(b"\\r"),
            0x09 => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            0x20..=0x7e => out.push(unit as u8),
            _ => {
                out.extend_from_slice(b"\\u");
                for shift in [12, 8, 4, 0] {
                    out.push(HEX[usize::from((unit >> shift) & 0xf)]);
                }
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_written_as_python_writes_it() {
        let failure = Failure::new(500, "Error processing script").info("ValueError : \"é\" \u{1F600}\n");
        assert_eq!(
            String::from_utf8(failure.body()).unwrap(),
            r#"{"message": "Error processing script", "info": "ValueError : \"\u00e9\" \ud83d\ude00\n"}"#
        );
        assert_eq!(Failure::new(404, "x").body(), br#"{"message": "x", "info": {}}"#);
    }
}
