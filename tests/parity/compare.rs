//! Judges a case's two answers: the same, or different in the way that is written down.

use serde_json::Value;

use crate::case::{Case, Ours};
use crate::client::{Answer, Response};

pub(crate) fn verdict(case: &Case, theirs: &Answer, ours: &Answer) -> Result<(), String> {
    let Answer::Full(ours) = ours else {
        return Err("ours gave no answer".to_owned());
    };
    let ours = normalised(case, ours);
    if ours.status >= 400 && !ours.body.is_empty() {
        error_shape(&ours)?;
    }
    let theirs = match theirs {
        Answer::Full(theirs) => Some(normalised(case, theirs)),
        Answer::Nothing => None,
    };
    let difference = match &theirs {
        Some(theirs) => first_difference(case, theirs, &ours),
        None => Some("TabPy gave no answer".to_owned()),
    };
    match (&case.differs, difference) {
        (None, None) => Ok(()),
        (None, Some(difference)) => Err(difference),
        (Some(id), None) => Err(format!("stale: the answers are the same, but the case says `{id}`")),
        (Some(_), Some(_)) => match &case.ours {
            Some(expected) => expect(expected, theirs.as_ref(), &ours),
            None => Err("the case says that ours differs, but not how".to_owned()),
        },
    }
}

fn first_difference(case: &Case, theirs: &Response, ours: &Response) -> Option<String> {
    if theirs.status != ours.status {
        return Some(format!("status {} there, {} here", theirs.status, ours.status));
    }
    for name in ["Content-Type"].into_iter().chain(case.compare.iter().map(String::as_str)) {
        let (there, here) = (theirs.header(name), ours.header(name));
        if there != here {
            return Some(format!("{name} {there:?} there, {here:?} here"));
        }
    }
    let at = theirs.body.iter().zip(&ours.body).take_while(|(there, here)| there == here).count();
    (theirs.body != ours.body).then(|| format!("the bodies differ from byte {at}"))
}

/// Ours is as the case says. The first thing that is not is the error.
fn expect(expected: &Ours, theirs: Option<&Response>, ours: &Response) -> Result<(), String> {
    let body = json(ours).unwrap_or(Value::Null);
    let message = body["message"].as_str().unwrap_or_default();
    let info = body["info"].as_str().unwrap_or_default();
    equal("status", expected.status.as_ref(), &ours.status)?;
    let kind = ours.header("Content-Type").unwrap_or_default().to_owned();
    equal("Content-Type", expected.content_type.as_ref(), &kind)?;
    equal("body", expected.body.as_ref(), &ours.text())?;
    equal("message", expected.message.as_ref(), &message.to_owned())?;
    equal("info", expected.info.as_ref(), &info.to_owned())?;
    contains("message", &expected.message_contains, message)?;
    contains("info", &expected.info_contains, info)?;
    contains("body", &expected.body_contains, &ours.text())?;
    for header in &expected.headers {
        let (name, value) = header.split_once(':').ok_or("a header is `Name: value`")?;
        equal(name, Some(&value.trim().to_owned()), &ours.header(name).unwrap_or_default().to_owned())?;
    }
    if let Some(more) = &expected.goes_on {
        let theirs = theirs.ok_or("TabPy gave no answer to go on from")?;
        let their_body = json(theirs).unwrap_or(Value::Null);
        equal("status", Some(&theirs.status), &ours.status)?;
        equal("message", Some(&their_body["message"]), &body["message"])?;
        let start = their_body["info"].as_str().unwrap_or_default();
        let start = if expected.own_line { lowered_lines(start) } else { start.to_owned() };
        let rest = info.strip_prefix(&start).ok_or("info does not start as TabPy's")?;
        contains("what follows TabPy's info", more, rest)?;
    }
    Ok(())
}

/// `line 3` as `line 2`, wherever it is said.
fn lowered_lines(text: &str) -> String {
    let mut parts = text.split("line ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        out.push_str("line ");
        match part[..digits].parse::<u32>() {
            Ok(number) => out.push_str(&(number - 1).to_string()),
            Err(_) => out.push_str(&part[..digits]),
        }
        out.push_str(&part[digits..]);
    }
    out
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, expected: Option<&T>, is: &T) -> Result<(), String> {
    match expected {
        Some(expected) if expected != is => Err(format!("{what} should be {expected:?}, is {is:?}")),
        _ => Ok(()),
    }
}

fn contains(what: &str, parts: &[String], text: &str) -> Result<(), String> {
    match parts.iter().find(|part| !text.contains(part.as_str())) {
        Some(part) => Err(format!("{what} should have {part:?} in it, is {text:?}")),
        None => Ok(()),
    }
}

/// What holds for every error of ours, whatever TabPy does.
fn error_shape(ours: &Response) -> Result<(), String> {
    let body = json(ours).ok_or("an error body of ours is no JSON")?;
    let members: Vec<&str> =
        body.as_object().into_iter().flat_map(|members| members.keys().map(String::as_str)).collect();
    equal("an error's members", Some(&vec!["info", "message"]), &members)?;
    if ours.header("Content-Type") != Some("application/json") {
        return Err("an error of ours is not application/json".to_owned());
    }
    Ok(())
}

/// A lone surrogate, which serde_json refuses and Python writes, becomes another character.
fn json(response: &Response) -> Option<Value> {
    let text = response.text();
    serde_json::from_str(&text).or_else(|_| serde_json::from_str(&text.replace("\\ud", "\\u0d"))).ok()
}

/// Volatile members' texts become `*`.
fn normalised(case: &Case, response: &Response) -> Response {
    let mut response = response.clone();
    let mut text = response.text();
    for name in &case.volatile {
        let key = format!("\"{name}\": \"");
        if let Some(start) = text.find(&key).map(|at| at + key.len())
            && let Some(length) = text[start..].find('"')
        {
            text.replace_range(start..start + length, "*");
        }
    }
    if !case.volatile.is_empty() {
        response.body = text.into_bytes();
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(text: &str) -> Case {
        basic_toml::from_str(&format!("name = \"x\"\n{text}")).unwrap()
    }

    fn answer(status: u16, body: &str) -> Answer {
        let head = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n\r\n{body}");
        Answer::parsed(head.as_bytes())
    }

    fn error(info: &str) -> String {
        format!(r#"{{"message": "m", "info": "{info}"}}"#)
    }

    #[test]
    fn the_same_and_the_different_are_told_apart() {
        let same = case("");
        assert_eq!(verdict(&same, &answer(200, "1"), &answer(200, "1")), Ok(()));
        assert!(verdict(&same, &answer(200, "1"), &answer(200, "2")).unwrap_err().contains("byte 0"));
        assert!(verdict(&same, &answer(200, "1"), &answer(201, "1")).unwrap_err().contains("201 here"));
        assert!(verdict(&same, &answer(200, "1"), &Answer::Nothing).unwrap_err().contains("no answer"));
        assert!(verdict(&same, &answer(500, "x"), &answer(500, "x")).unwrap_err().contains("no JSON"));
        let volatile = case(r#"volatile = ["uuid"]"#);
        let (a, b) = (r#"{"uuid": "a", "n": 1}"#, r#"{"uuid": "b", "n": 1}"#);
        assert_eq!(verdict(&volatile, &answer(200, a), &answer(200, b)), Ok(()));
        assert!(verdict(&same, &answer(200, a), &answer(200, b)).is_err());
    }

    #[test]
    fn a_difference_is_there_and_as_expected() {
        let differs = case("differs = \"d\"\nours = { status = 200, body = \"2\" }");
        assert_eq!(verdict(&differs, &answer(200, "1"), &answer(200, "2")), Ok(()));
        assert!(verdict(&differs, &answer(200, "2"), &answer(200, "2")).unwrap_err().contains("stale"));
        assert!(verdict(&differs, &answer(200, "1"), &answer(200, "3")).unwrap_err().contains("should be"));
    }

    #[test]
    fn an_error_goes_on_from_tabpys() {
        let differs = case("differs = \"d\"\nours = { own_line = true, goes_on = [\"line 2\"] }");
        let theirs = answer(500, &error("E : x (line 3)"));
        assert_eq!(verdict(&differs, &theirs, &answer(500, &error("E : x (line 2) (line 2: y)"))), Ok(()));
        assert!(verdict(&differs, &theirs, &answer(500, &error("E : x (line 3) (line 2: y)"))).is_err());
        assert!(verdict(&differs, &theirs, &answer(500, &error("E : x (line 2)"))).is_err());
        assert!(verdict(&differs, &theirs, &answer(400, &error("E : x (line 2) (line 2: y)"))).is_err());
    }
}
