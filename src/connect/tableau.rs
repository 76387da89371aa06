//! Tableau's REST API as far as it is needed to be let in: where it is, which version it speaks, and the
//! sign-in. A redirect is answered by asking again at the new address with the same method and body, if
//! that address may know the secrets.

use reqwest::header::ACCEPT;
use reqwest::{Method, RequestBuilder};
use url::Url;

use super::credential::Credential;
use super::ending::{Code, Outcome, Problem};
use super::refusal::{self, Refusal};
use super::report::Report;
use super::session::{Session, shown};
use super::site::{TableauSite, is_cloud};
use crate::web::address::is_loopback;
use crate::web::{Answer, Trouble, Web};

/// What every version of Tableau answers, signed in or not.
const SERVER_INFO: &str = "/api/2.4/serverinfo";

/// The first version with settings for analytics extensions.
const OLDEST: (u32, u32) = (3, 11);

const MOST_REDIRECTS: usize = 5;

pub(super) const JSON: &str = "application/json";

pub(super) struct Tableau {
    web: Web,
    base: Url,
    /// `3.22`
    pub(super) version: String,
    product: String,
    cloud: bool,
    pub(super) dry_run: bool,
}

impl Tableau {
    /// Asks who is there. No secret is sent.
    pub(super) async fn find(web: Web, at: &TableauSite, insecure: bool, dry_run: bool) -> Outcome<Self> {
        let mut tableau = Self {
            web,
            base: at.base.clone(),
            version: String::new(),
            product: String::new(),
            cloud: at.cloud,
            dry_run,
        };
        let answer = tableau.send(&Method::GET, SERVER_INFO, None, |call| call.header(ACCEPT, JSON)).await?;
        let info = answer.json().filter(|_| answer.status == 200);
        let info = info.as_ref().map(|info| &info["serverInfo"]);
        let Some(version) = info.and_then(|info| info["restApiVersion"].as_str()) else {
            return Err(Problem::new(
                Code::Tableau,
                format!(
                    "what answers at {} is not Tableau ({}): check --tableau",
                    tableau.shown(),
                    Refusal::of(&answer).words(answer.status)
                ),
            ));
        };
        tableau.product =
            info.and_then(|info| info["productVersion"]["value"].as_str()).unwrap_or("?").to_owned();
        let numbers = version.split_once('.').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        let Some(numbers) = numbers else {
            return Err(Problem::new(
                Code::Tableau,
                "Tableau names a version of its REST API that is no version: check --tableau",
            ));
        };
        if numbers < OLDEST {
            return Err(Problem::new(
                Code::Tableau,
                format!(
                    "Tableau {} speaks version {version} of its REST API, and settings for analytics extensions came with \
                     3.11: upgrade to Tableau Server 2021.1 or newer, or set the connection up on its Settings page",
                    tableau.product
                ),
            ));
        }
        tableau.version = version.to_owned();
        if tableau.base.scheme() == "http" && !is_loopback(&tableau.base) && !insecure {
            return Err(Problem::new(
                Code::Usage,
                format!(
                    "{} is http, where others can read the token on its way: write https://, or add --insecure if the \
                     network is yours alone",
                    tableau.shown()
                ),
            ));
        }
        Ok(tableau)
    }

    /// The name of what is there, and its address.
    pub(super) fn words(&self) -> String {
        let kind = if self.cloud { "Cloud" } else { "Server" };
        format!("Tableau {kind} {} at {}, REST API {}", self.product, self.shown(), self.version)
    }

    pub(super) async fn sign_in(
        mut self,
        credential: &Credential,
        at: &TableauSite,
        report: &mut Report,
    ) -> Outcome<Session> {
        let body = credential.body(&at.site).map_err(Problem::usage)?;
        let path = format!("/api/{}/auth/signin", self.version);
        if self.dry_run {
            report.call(format!("POST {} {}", self.at(&path, None), shown(&body)));
        }
        let answer =
            self.send(&Method::POST, &path, None, |call| call.header(ACCEPT, JSON).json(&body)).await?;
        if answer.status != 200 {
            return Err(self.not_let_in(credential, at, &answer));
        }
        Session::begun(self, at, &answer, report)
    }

    fn not_let_in(&self, credential: &Credential, at: &TableauSite, answer: &Answer) -> Problem {
        let refusal = Refusal::of(answer);
        let said = refusal.words(answer.status);
        if answer.status == 405 {
            let https = self.shown().replacen("http://", "https://", 1);
            return Problem::new(
                Code::Usage,
                format!(
                    "the sign-in arrived as another kind of call ({said}), as it does when http is led to https: write --tableau {https}"
                ),
            );
        }
        if answer.status == 404 {
            return Problem::new(
                Code::SignIn,
                format!(
                    "Tableau knows no site {} ({said}): --site takes the part after /site/ in the browser's address",
                    at.site
                ),
            );
        }
        if !matches!(answer.status, 400..=403) {
            return refusal::problem(answer, "sign in");
        }
        let hint = match credential {
            Credential::Token { .. } => {
                "the token may have expired (unused for 15 days, or at its end) or been revoked: make a new one under My \
                 Account Settings"
                    .to_owned()
            }
            Credential::Password { .. } if self.cloud => {
                "where Tableau Cloud asks for a second factor no password is enough: use a personal access token \
                 (TABLEAU_TOKEN_NAME, TABLEAU_TOKEN_VALUE)"
                    .to_owned()
            }
            Credential::Password { .. } => "check TABLEAU_USERNAME and TABLEAU_PASSWORD".to_owned(),
            Credential::App(_) => {
                "check that the connected app is enabled, that its ids and secret are these, that the user is on the site, \
                 and that this machine's clock is right"
                    .to_owned()
            }
        };
        let words = credential.words();
        let site = at.site_words();
        Problem::new(
            Code::SignIn,
            format!(
                "Tableau does not take {words} on {site} ({said}): check that the site is the right one; {hint}"
            ),
        )
    }

    /// Sends until no redirect comes back, and keeps the address at which that was.
    pub(super) async fn send(
        &mut self,
        method: &Method,
        path: &str,
        query: Option<&[(&str, &str)]>,
        prepare: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Outcome<Answer> {
        for _ in 0..MOST_REDIRECTS {
            let url = self.at(path, query);
            let call = prepare(self.web.call(method.clone(), url.clone()));
            let answer = self.web.send(call).await.map_err(|trouble| self.unreachable(&trouble))?;
            let Some(target) = answer.redirect(&url) else { return Ok(answer) };
            let Some(base) = moved(&self.base, &target, path) else {
                let mut shown = target;
                shown.set_query(None);
                return Err(Problem::new(
                    Code::Tableau,
                    format!(
                        "{} leads to {shown}, which is not the same Tableau: name the right address with --tableau",
                        self.shown()
                    ),
                ));
            };
            self.base = base;
        }
        Err(Problem::new(Code::Tableau, format!("{} leads in circles: check --tableau", self.shown())))
    }

    fn unreachable(&self, trouble: &Trouble) -> Problem {
        let hint = match trouble {
            Trouble::Tls(_) if self.cloud => {
                "; behind a proxy that opens TLS, add its certificate with --ca-file"
            }
            Trouble::Tls(_) => "; if its certificate is your own authority's, add that with --ca-file",
            Trouble::Slow { .. } => "; --timeout gives it longer",
            _ => ": check --tableau",
        };
        Problem::new(
            Code::Tableau,
            format!("Tableau cannot be reached at {}: {}{hint}", self.shown(), trouble.words()),
        )
    }

    pub(super) fn at(&self, path: &str, query: Option<&[(&str, &str)]>) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        if let Some(query) = query {
            url.query_pairs_mut().extend_pairs(query);
            // A form writes a space as a plus; outside of forms not everybody reads it so.
            let spaced = url.query().unwrap_or_default().replace('+', "%20");
            url.set_query(Some(&spaced));
        }
        url
    }

    fn shown(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }
}

/// The new base after a redirect, if it is the same call at the same Tableau, and no less secret there.
fn moved(base: &Url, target: &Url, path: &str) -> Option<Url> {
    let same_host = base.host() == target.host() || is_cloud(base) && is_cloud(target);
    let as_secret = base.scheme() == target.scheme() || target.scheme() == "https";
    // Another port of the same host may be another server, but for the way from http to https.
    let same_port =
        base.port_or_known_default() == target.port_or_known_default() || base.scheme() != target.scheme();
    let prefix = target.path().strip_suffix(path)?;
    if !same_host || !as_secret || !same_port || !target.username().is_empty() {
        return None;
    }
    let mut new = target.clone();
    new.set_path(prefix);
    new.set_query(None);
    new.set_fragment(None);
    Some(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_redirect_is_followed_where_secrets_stay_secret() {
        for (base, target, new) in [
            ("http://t.example", "https://t.example/api/x", Some("https://t.example/")),
            ("http://t.example:8000", "https://t.example:8443/api/x", Some("https://t.example:8443/")),
            ("https://t.example/a", "https://t.example/b/api/x", Some("https://t.example/b")),
            (
                "https://a.online.tableau.com",
                "https://b.online.tableau.com/api/x",
                Some("https://b.online.tableau.com/"),
            ),
            ("https://t.example", "http://t.example/api/x", None),
            ("https://t.example", "https://evil.example/api/x", None),
            ("https://t.example", "https://t.example:9/api/x", None),
            ("https://t.example", "https://u@t.example/api/x", None),
            ("https://t.example", "https://t.example/login", None),
        ] {
            let moved = moved(&url(base), &url(target), "/api/x");
            assert_eq!(moved.as_ref().map(Url::as_str), new, "{base} to {target}");
        }
    }
}
