//! What the commands say: a line a step as it happens, or one JSON object at the end. Every text passes
//! here on its way out, and a secret that has been made known is blotted out of it, whoever wrote it.

use std::io::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::ending::Problem;
use crate::credentials::Secret;

/// Shorter ones are found in any text; they are kept out of it by never being put in.
const SHORTEST_SECRET: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Ok,
    /// Nothing is wrong, but one should know.
    Note,
    Warning,
    Failed,
    /// A call that is made, or (`--dry-run`) would be.
    Call,
}

#[derive(Debug, Serialize)]
struct Step {
    step: String,
    status: Status,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

#[derive(Default)]
pub(crate) struct Report {
    json: bool,
    steps: Vec<Step>,
    secrets: Vec<Secret>,
    /// What `--json` carries beside the steps.
    connections: Vec<Value>,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, ..Self::default() }
    }

    /// This text is never to be seen.
    pub(crate) fn hide(&mut self, secret: &Secret) {
        if secret.reveal().len() >= SHORTEST_SECRET {
            self.secrets.push(secret.clone());
        }
    }

    pub(crate) fn ok(&mut self, step: &str, detail: impl Into<String>) {
        self.step(step, Status::Ok, detail.into(), None);
    }

    pub(crate) fn note(&mut self, step: &str, detail: impl Into<String>) {
        self.step(step, Status::Note, detail.into(), None);
    }

    pub(crate) fn warn(&mut self, step: &str, detail: impl Into<String>, remedy: impl Into<String>) {
        self.step(step, Status::Warning, detail.into(), Some(remedy.into()));
    }

    pub(crate) fn fail(&mut self, step: &str, detail: impl Into<String>, remedy: impl Into<String>) {
        self.step(step, Status::Failed, detail.into(), Some(remedy.into()));
    }

    pub(crate) fn call(&mut self, detail: impl Into<String>) {
        self.step("call", Status::Call, detail.into(), None);
    }

    pub(crate) fn failed(&self) -> bool {
        self.steps.iter().any(|step| step.status == Status::Failed)
    }

    /// A connection that was made or found.
    pub(crate) fn connection(&mut self, value: Value) {
        self.connections.push(value);
    }

    /// A line of the answer itself, as `--list` has them.
    pub(crate) fn line(&self, text: &str) {
        if !self.json {
            say(&self.without_secrets(text.to_owned()));
        }
    }

    /// The last words, and the exit code.
    pub(crate) fn finish(self, command: &str, problem: Option<&Problem>) -> u8 {
        let code = problem.map_or(0, |problem| problem.code as u8);
        let words = problem.map(|problem| self.without_secrets(problem.words.clone()));
        if self.json {
            let object = serde_json::json!({
                "command": command, "ok": code == 0, "exit_code": code, "error": words, "steps": self.steps,
                "connections": self.connections,
            });
            // The texts were cleaned one by one: a secret may hold what JSON writes otherwise.
            say(&object.to_string());
        }
        if let Some(words) = words {
            eprintln!("tabpy-rs {command}: {words}");
        }
        code
    }

    fn step(&mut self, step: &str, status: Status, detail: String, remedy: Option<String>) {
        let detail = self.without_secrets(detail);
        let remedy = remedy.map(|remedy| self.without_secrets(remedy));
        if !self.json {
            let word = match status {
                Status::Ok => "ok",
                Status::Note => "note",
                Status::Warning => "WARNING",
                Status::Failed => "FAILED",
                Status::Call => "",
            };
            say(&format!("{word:<8} {step:<15} {detail}"));
            if let Some(remedy) = &remedy {
                say(&format!("{:24} -> {remedy}", ""));
            }
        }
        self.steps.push(Step { step: step.to_owned(), status, detail, remedy });
    }

    fn without_secrets(&self, text: String) -> String {
        // What another machine sent may hold what moves a terminal's cursor.
        let text: String =
            text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        self.secrets.iter().fold(text, |text, secret| text.replace(secret.reveal(), "***"))
    }
}

/// Whoever closed the pipe does not want to know.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _closed = writeln!(out, "{line}").and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_control_characters_are_blotted_out() {
        let mut report = Report::new(true);
        report.hide(&Secret::new("s3cret!".to_owned()));
        report.hide(&Secret::new("a".to_owned()));
        report.fail("x", "it says s3cret!\u{1b}[2J", "not s3cret! again");
        let step = &report.steps[0];
        assert_eq!(
            (step.detail.as_str(), step.remedy.as_deref()),
            ("it says *** [2J", Some("not *** again"))
        );
        assert!(report.failed());
    }
}
