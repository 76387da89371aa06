//! The settings of a site's analytics extensions: on or off, its connections, and which of them a
//! workbook uses. Both forms that Tableau's documentation and its clients know are read; what has
//! neither form is an error, never an empty list.

use reqwest::Method;
use serde_json::{Value, json};

use super::ending::{Code, Outcome, Problem};
use super::report::Report;
use super::session::{Parts, Session};
use crate::given::Login;
use crate::web::address::ServerAddress;

const SITE: &str = "/api/-/settings/site/extensions/analytics";

/// Tableau's word for a server like this one.
const KIND: &str = "TABPY";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Connection {
    pub(super) luid: String,
    pub(super) name: String,
    /// `TABPY`, `RSERVE`, ...
    pub(super) kind: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Saved {
    Created,
    Updated,
}

pub(super) async fn is_enabled(session: &mut Session, report: &mut Report) -> Outcome<bool> {
    let doing = "read whether analytics extensions are on for the site";
    let settings = session.read(SITE, Parts::default(), doing, report).await?;
    settings["enabled"].as_bool().ok_or_else(|| unknown_form(doing))
}

pub(super) async fn enable(session: &mut Session, report: &mut Report) -> Outcome<()> {
    let body = json!({"enabled": true});
    let parts = Parts { body: Some(("SiteSettings", &body)), ..Parts::default() };
    session
        .change(Method::PUT, SITE, parts, "turn analytics extensions on for the site", report)
        .await
        .map(drop)
}

pub(super) async fn connections(session: &mut Session, report: &mut Report) -> Outcome<Vec<Connection>> {
    let doing = "read the site's connections";
    let list = session.read(&format!("{SITE}/connections"), Parts::default(), doing, report).await?;
    let list = ["connectionList", "connectionMetadataList"].iter().find_map(|name| list[name].as_array());
    let connection = |value: &Value| {
        let brief = &value["connection_brief"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Some(Connection {
            luid: text(&value["connection_luid"])?,
            name: text(&brief["connection_name"])?,
            kind: text(&brief["connection_type"])?,
        })
    };
    let list = list.and_then(|list| list.iter().map(connection).collect());
    list.ok_or_else(|| unknown_form(doing))
}

/// The one of that name that is for a server like this, if there is one.
pub(super) fn find(connections: &[Connection], name: &str) -> Outcome<Option<Connection>> {
    let named: Vec<&Connection> = connections.iter().filter(|connection| connection.name == name).collect();
    let Some(first) = named.first() else { return Ok(None) };
    if named.len() > 1 {
        return Err(Problem::new(
            Code::NotFound,
            format!(
                "{} connections are called {name}: rename all but one, or choose another --name",
                named.len()
            ),
        ));
    }
    if first.kind != KIND {
        return Err(Problem::new(
            Code::NotFound,
            format!(
                "the connection {name} exists, but its type is {} and not {KIND}: choose another --name",
                first.kind
            ),
        ));
    }
    Ok(Some((*first).clone()))
}

/// Makes the connection what it should be. The luid is not known where nothing was done (`--dry-run`).
pub(super) async fn save(
    session: &mut Session,
    name: &str,
    server: &ServerAddress,
    login: Option<&Login>,
    report: &mut Report,
) -> Outcome<(Saved, Option<String>)> {
    let known = find(&connections(session, report).await?, name)?;
    let mut body = json!({
        "host": server.host_field(),
        "port": server.port(),
        "is_auth_enabled": login.is_some(),
        "is_ssl_enabled": server.is_https(),
        "connection_brief": {"connection_name": name, "connection_type": KIND},
    });
    if let (Some(login), Some(members)) = (login, body.as_object_mut()) {
        members.insert("username".to_owned(), json!(login.name));
        members.insert("password".to_owned(), json!(login.password.reveal()));
    }
    let parts = Parts { body: Some(("ConnectionItem", &body)), ..Parts::default() };
    if let Some(known) = known {
        let path = format!("{SITE}/connections/{}", known.luid);
        session.change(Method::PUT, &path, parts, "update the connection", report).await?;
        return Ok((Saved::Updated, Some(known.luid)));
    }
    let path = format!("{SITE}/connections");
    let Some(answer) = session.change(Method::POST, &path, parts, "create the connection", report).await?
    else {
        return Ok((Saved::Created, None));
    };
    if let Some(luid) = luid_in(&answer) {
        return Ok((Saved::Created, Some(luid)));
    }
    // The answer does not say; the list does.
    let made = find(&connections(session, report).await?, name)?;
    let made = made.ok_or_else(|| {
        Problem::new(
            Code::Failed,
            format!(
                "Tableau took the connection {name}, but does not list it: look on the site's Settings page"
            ),
        )
    })?;
    Ok((Saved::Created, Some(made.luid)))
}

pub(super) async fn remove(
    session: &mut Session,
    connection: &Connection,
    report: &mut Report,
) -> Outcome<()> {
    let path = format!("{SITE}/connections/{}", connection.luid);
    session.change(Method::DELETE, &path, Parts::default(), "remove the connection", report).await.map(drop)
}

/// Lets the workbook use the connection.
pub(super) async fn link(
    session: &mut Session,
    workbook: &str,
    connection: Option<&str>,
    report: &mut Report,
) -> Outcome<()> {
    let body = json!({"workbook_luid": workbook, "connection_luid": connection.unwrap_or("(the new one)")});
    let parts = Parts { body: Some(("ConnectionMapping", &body)), ..Parts::default() };
    let path = selected(workbook);
    session.change(Method::PUT, &path, parts, "link the workbook", report).await.map(drop)
}

pub(super) async fn unlink(session: &mut Session, workbook: &str, report: &mut Report) -> Outcome<()> {
    let path = selected(workbook);
    session.change(Method::DELETE, &path, Parts::default(), "unlink the workbook", report).await.map(drop)
}

fn selected(workbook: &str) -> String {
    format!("{SITE}/workbooks/{workbook}/selected_connection")
}

/// At the top, or in a list, or in a list that has a name.
fn luid_in(value: &Value) -> Option<String> {
    match value {
        Value::Object(members) => match members.get("connection_luid").and_then(Value::as_str) {
            Some(luid) => Some(luid.to_owned()),
            None => members.values().find_map(luid_in),
        },
        Value::Array(values) => values.iter().find_map(luid_in),
        _ => None,
    }
}

pub(super) fn unknown_form(doing: &str) -> Problem {
    Problem::new(
        Code::Tableau,
        format!(
            "Tableau's answer has a form that this version does not know (asked to {doing}): use the Settings page"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_luid_is_found_in_every_form() {
        for answer in [
            json!({"connection_luid": "x", "host": "h"}),
            json!([{"connection_luid": "x"}]),
            json!({"connectionList": [{"connection_luid": "x"}]}),
        ] {
            assert_eq!(luid_in(&answer).as_deref(), Some("x"), "{answer}");
        }
        assert_eq!(luid_in(&json!({"host": "h"})), None);
    }

    #[test]
    fn one_connection_of_the_name_or_a_reason() {
        let connection =
            |name: &str, kind: &str| Connection { luid: "l".into(), name: name.into(), kind: kind.into() };
        let list = [
            connection("a", "TABPY"),
            connection("b", "RSERVE"),
            connection("c", "TABPY"),
            connection("c", "TABPY"),
        ];
        assert_eq!(find(&list, "a").unwrap(), Some(list[0].clone()));
        assert_eq!(find(&list, "x").unwrap(), None);
        assert!(find(&list, "b").unwrap_err().words.contains("RSERVE"));
        assert!(find(&list, "c").unwrap_err().words.contains("2 connections"));
    }
}
