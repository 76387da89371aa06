//! Calls while signed in: such as read, such as change something (with `--dry-run` they are shown instead),
//! the way to another site, and the end. What is asked is `settings`'s business.

use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::ending::{Code, Outcome, Problem};
use super::refusal::{self, Refusal};
use super::report::Report;
use super::site::TableauSite;
use super::tableau::{JSON, Tableau};
use crate::credentials::Secret;
use crate::web::{Answer, sensitive};

/// Signed in. Whoever has one signs out, whatever happens.
pub(super) struct Session {
    tableau: Tableau,
    token: Secret,
    /// Its name in addresses.
    pub(super) site: String,
    pub(super) site_id: String,
    /// Tableau did not know the media type of its own documentation, and gets plain JSON since.
    plain: bool,
}

/// What may be in a call beside its method and path.
#[derive(Default, Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) query: Option<&'a [(&'a str, &'a str)]>,
    /// The body, and its media type's last word: `ConnectionItem`.
    pub(super) body: Option<(&'a str, &'a Value)>,
}

impl Session {
    /// What the answer to a sign-in begins.
    pub(super) fn begun(
        tableau: Tableau,
        at: &TableauSite,
        answer: &Answer,
        report: &mut Report,
    ) -> Outcome<Self> {
        let (token, site_id) = session_in(answer, report)?;
        Ok(Self { tableau, token, site: at.site.clone(), site_id, plain: false })
    }

    /// A call that changes nothing.
    pub(super) async fn read(
        &mut self,
        path: &str,
        parts: Parts<'_>,
        doing: &str,
        report: &mut Report,
    ) -> Outcome<Value> {
        if self.tableau.dry_run {
            report.call(format!("GET {}", self.tableau.at(path, parts.query)));
        }
        let answer = self.ask(&Method::GET, path, parts).await?;
        self.value(&answer, doing)
    }

    /// A call that changes something; with `--dry-run` it is shown instead.
    pub(super) async fn change(
        &mut self,
        method: Method,
        path: &str,
        parts: Parts<'_>,
        doing: &str,
        report: &mut Report,
    ) -> Outcome<Option<Value>> {
        if self.tableau.dry_run {
            let body = parts.body.map(|(_, body)| shown(body).to_string()).unwrap_or_default();
            report.call(
                format!("not made: {method} {} {body}", self.tableau.at(path, None)).trim_end().to_owned(),
            );
            return Ok(None);
        }
        let mut answer = self.ask(&method, path, parts).await?;
        if answer.status == 415 && !self.plain {
            self.plain = true;
            answer = self.ask(&method, path, parts).await?;
        }
        self.value(&answer, doing).map(Some)
    }

    /// Goes on at another site of the same Tableau Server; the session at the last one is over then.
    pub(super) async fn switch(&mut self, at: &TableauSite, report: &mut Report) -> Outcome<()> {
        let path = format!("/api/{}/auth/switchSite", self.tableau.version);
        let body = serde_json::json!({"site": {"contentUrl": at.site}});
        if self.tableau.dry_run {
            report.call(format!("POST {} {body}", self.tableau.at(&path, None)));
        }
        let token = sensitive(&self.token);
        let prepare = |call: RequestBuilder| {
            let call = call.header(ACCEPT, JSON).json(&body);
            match &token {
                Some(token) => call.header("X-Tableau-Auth", token.clone()),
                None => call,
            }
        };
        let answer = self.tableau.send(&Method::POST, &path, None, prepare).await?;
        if answer.status != 200 {
            let said = Refusal::of(&answer).words(answer.status);
            return Err(Problem::new(
                Code::SignIn,
                format!(
                    "Tableau does not switch to {} ({said}): check --site, and that this user is on it",
                    at.site_words()
                ),
            ));
        }
        (self.token, self.site_id) = session_in(&answer, report)?;
        self.site.clone_from(&at.site);
        Ok(())
    }

    pub(super) fn version(&self) -> &str {
        &self.tableau.version
    }

    pub(super) fn is_dry(&self) -> bool {
        self.tableau.dry_run
    }

    pub(super) async fn sign_out(mut self, report: &mut Report) -> Outcome<()> {
        let path = format!("/api/{}/auth/signout", self.tableau.version);
        if self.tableau.dry_run {
            report.call(format!("POST {}", self.tableau.at(&path, None)));
        }
        let answer = self.ask(&Method::POST, &path, Parts::default()).await?;
        match answer.status {
            200..300 => Ok(()),
            // Signed out already, by somebody else's sign-in or by time.
            401 => Ok(()),
            status => Err(Problem::new(
                Code::Tableau,
                format!(
                    "Tableau did not end the session ({}); it ends by itself",
                    Refusal::of(&answer).words(status)
                ),
            )),
        }
    }

    async fn ask(&mut self, method: &Method, path: &str, parts: Parts<'_>) -> Outcome<Answer> {
        let (plain, token) = (self.plain, sensitive(&self.token));
        let prepare = |call: RequestBuilder| {
            let mut call = call.header(ACCEPT, JSON);
            if let Some(token) = &token {
                call = call.header("X-Tableau-Auth", token.clone());
            }
            let Some((media, body)) = parts.body else {
                // Without a body, a POST would go out without its length, which some servers refuse.
                return if method == Method::POST { call.header(CONTENT_LENGTH, 0) } else { call };
            };
            let media = match plain {
                true => JSON.to_owned(),
                false => format!("application/vnd.tableau.analyticsextensions.v1.{media}+json"),
            };
            call.header(CONTENT_TYPE, media).body(body.to_string())
        };
        self.tableau.send(method, path, parts.query, prepare).await
    }

    fn value(&self, answer: &Answer, doing: &str) -> Outcome<Value> {
        if !(200..300).contains(&answer.status) {
            return Err(refusal::problem(answer, doing));
        }
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        answer.json().ok_or_else(|| {
            Problem::new(
                Code::Tableau,
                format!("Tableau's answer when asked to {doing} is no JSON: check --tableau"),
            )
        })
    }
}

/// The token and the site's id of an answer that lets somebody in.
fn session_in(answer: &Answer, report: &mut Report) -> Outcome<(Secret, String)> {
    let credentials = answer.json().map(|mut body| body["credentials"].take()).unwrap_or_default();
    let (Some(token), Some(site_id)) = (credentials["token"].as_str(), credentials["site"]["id"].as_str())
    else {
        let words = "Tableau's answer to the sign-in holds no token: check --tableau";
        return Err(Problem::new(Code::Tableau, words));
    };
    let token = Secret::new(token.to_owned());
    report.hide(&token);
    if sensitive(&token).is_none() {
        return Err(Problem::new(Code::Tableau, "Tableau's session token cannot be put in a header"));
    }
    Ok((token, site_id.to_owned()))
}

/// A body without its secrets.
pub(super) fn shown(body: &Value) -> Value {
    match body {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| {
                let secret = ["password", "personalAccessTokenSecret", "jwt"].contains(&name.as_str());
                (name.clone(), if secret { "***".into() } else { shown(value) })
            })
            .collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_shown_without_its_secrets() {
        let body =
            serde_json::json!({"credentials": {"jwt": "a", "site": {"contentUrl": "s"}}, "password": "b"});
        let clean = serde_json::json!({"credentials": {"jwt": "***", "site": {"contentUrl": "s"}}, "password": "***"});
        assert_eq!(shown(&body), clean);
    }
}
