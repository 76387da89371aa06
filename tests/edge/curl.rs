//! curl as a client that checks certificates and host names, as Tableau does.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::certificates::NAME;

pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What curl got, or its exit code. The name of the certificate leads to this machine.
pub(crate) fn curl(authority: &Path, url: &str, arguments: &[&str]) -> Result<Answer, i32> {
    let folder = tempfile::tempdir().unwrap();
    let (head, body) = (folder.path().join("head"), folder.path().join("body"));
    let port = url.rsplit_once(':').unwrap().1.split('/').next().unwrap();
    let outcome = Command::new("curl")
        .args([
            "--silent",
            "--noproxy",
            "*",
            "--max-time",
            "30",
            "--resolve",
            &format!("{NAME}:{port}:127.0.0.1"),
        ])
        .arg("--cacert")
        .arg(authority)
        .arg("--dump-header")
        .arg(&head)
        .arg("--output")
        .arg(&body)
        .args(arguments)
        .arg(url)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null())
        .output()
        .expect("curl is missing: scripts/proxies.sh");
    if !outcome.status.success() {
        return Err(outcome.status.code().unwrap_or(-1));
    }
    let head = fs::read_to_string(head).unwrap().replace("\r\n", "\n");
    // Before the answer there may have been a `100 Continue`.
    let mut lines = head.trim_end().rsplit("\n\n").next().unwrap().lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
    Ok(Answer { status, headers, body: fs::read_to_string(body).unwrap_or_default() })
}
