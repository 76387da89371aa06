//! What Tableau says when it refuses. Its two APIs and what stands before them have three forms of it;
//! of anything else only the status is told, since a page of HTML helps nobody.

use serde_json::Value;

use super::ending::{Code, Problem};
use crate::web::Answer;

/// More than Tableau ever says.
const MOST_LETTERS: usize = 300;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    /// `401001`; the settings have none, or the status again.
    pub(super) code: String,
    pub(super) text: String,
}

impl Refusal {
    pub(super) fn of(answer: &Answer) -> Self {
        let text = String::from_utf8_lossy(&answer.body);
        let (code, words) = match serde_json::from_str::<Value>(&text) {
            Ok(value) => json(&value),
            Err(_) => xml(&text),
        };
        let words: Vec<&str> = words.iter().map(|word| word.trim()).filter(|word| !word.is_empty()).collect();
        Self { code, text: words.join(": ").chars().take(MOST_LETTERS).collect() }
    }

    /// `401001, Signin Error: ...`, or the status.
    pub(super) fn words(&self, status: u16) -> String {
        match (self.code.as_str(), self.text.as_str()) {
            ("", "") => format!("status {status}"),
            (code, "") => format!("status {status}, code {code}"),
            ("", text) => format!("status {status}, {text}"),
            (code, text) => format!("{code}, {text}"),
        }
    }
}

/// For a call that the session's holder made. `doing` is what the call was to do, as `read the connections`.
pub(super) fn problem(answer: &Answer, doing: &str) -> Problem {
    let refusal = Refusal::of(answer);
    let said = refusal.words(answer.status);
    match answer.status {
        401 => Problem::new(
            Code::SignIn,
            format!(
                "Tableau ended the session before it could {doing} ({said}): another sign-in with the same token ends the \
                 first one, so let nothing else use this token at the same time, and run the command again"
            ),
        ),
        403 => Problem::new(
            Code::Permission,
            format!(
                "Tableau does not let this user {doing} ({said}): sign in as an administrator of the site, with a personal \
                 access token of theirs"
            ),
        ),
        404 => Problem::new(
            Code::NotFound,
            format!(
                "Tableau has nothing there to {doing} ({said}): it may have been removed a moment ago, or Tableau Server is \
                 older than 2021.1"
            ),
        ),
        300..=399 => Problem::new(
            Code::Tableau,
            format!("Tableau sent the call to {doing} elsewhere ({said}): check --tableau"),
        ),
        500.. => Problem::new(
            Code::Tableau,
            format!("Tableau is in trouble and did not {doing} ({said}): try again later"),
        ),
        _ => Problem::new(Code::Failed, format!("Tableau refused to {doing} ({said})")),
    }
}

fn json(value: &Value) -> (String, [String; 2]) {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    if let Some(error) = value.get("error").filter(|error| error.is_object()) {
        (text(&error["code"]), [text(&error["summary"]), text(&error["detail"])])
    } else {
        (text(&value["httpErrorCode"]), [text(&value["message"]), String::new()])
    }
}

/// Enough for the one error that Tableau writes so.
fn xml(text: &str) -> (String, [String; 2]) {
    let between = |start: &str, end: &str| {
        let (_, rest) = text.split_once(start)?;
        Some(rest.split_once(end)?.0.to_owned())
    };
    if !text.contains("<tsResponse") {
        return Default::default();
    }
    (
        between("code=\"", "\"").unwrap_or_default(),
        [
            between("<summary>", "</summary>").unwrap_or_default(),
            between("<detail>", "</detail>").unwrap_or_default(),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(body: &str) -> String {
        let answer =
            Answer { status: 401, headers: Default::default(), body: body.into(), took: Default::default() };
        Refusal::of(&answer).words(401)
    }

    #[test]
    fn all_forms_are_read() {
        let said = "401001, Signin Error: Error signing in to Tableau Server";
        assert_eq!(
            words(
                r#"{"error":{"summary":"Signin Error","detail":"Error signing in to Tableau Server","code":"401001"}}"#
            ),
            said
        );
        assert_eq!(
            words(
                "<?xml version='1.0'?><tsResponse xmlns=\"x\"><error code=\"401001\"><summary>Signin Error</summary>\
                   <detail>Error signing in to Tableau Server</detail></error></tsResponse>"
            ),
            said
        );
        assert_eq!(words(r#"{"httpErrorCode":403,"message":"Not allowed"}"#), "403, Not allowed");
        for body in ["", "<html>code=\"1\"</html>", "[]", "null", r#"{"error":"x"}"#] {
            assert_eq!(words(body), "status 401", "{body}");
        }
    }
}
