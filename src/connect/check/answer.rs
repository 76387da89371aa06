//! What the answers of a server mean that may be one of ours, TabPy, a proxy before either, or
//! something else altogether.

use serde_json::Value;

use crate::connect::report::Report;
use crate::web::Answer;
use crate::web::address::ServerAddress;

/// What `/info` says.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::connect) struct Info {
    pub(in crate::connect) demands_password: bool,
    pub(super) evaluate: bool,
}

impl Info {
    /// Nothing, if it is not the `/info` of such a server.
    pub(super) fn read(answer: &Answer) -> Option<Self> {
        let info = answer.json()?;
        let features = info["versions"]["v1"]["features"].as_object()?;
        Some(Self {
            demands_password: features.get("authentication").is_some_and(|found| found["required"] == true),
            // TabPy 1 did not say, and took them.
            evaluate: features.get("evaluate_enabled").and_then(Value::as_bool).unwrap_or(true),
        })
    }
}

/// Judges the answer to `/info` without credentials.
pub(super) fn judge(answer: &Answer, server: &ServerAddress, report: &mut Report) -> Option<Info> {
    let from = server.at("/info");
    let (detail, remedy) = match answer.status {
        200 => match Info::read(answer) {
            Some(info) => {
                report.ok("answer", format!("{from} is answered as TabPy answers"));
                return Some(info);
            }
            None => (
                format!("something answers at {server}, but it is neither tabpy-rs nor TabPy"),
                "check the address and the path: /info must be the server's own".to_owned(),
            ),
        },
        401 => match answer.header("WWW-Authenticate") {
            Some(challenge) if challenge.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("basic")) => {
                report.ok("answer", format!("{from} is answered"));
                return Some(Info { demands_password: true, evaluate: true });
            }
            _ => (
                format!("{from} wants another sign-in than Basic, the only one that Tableau has"),
                "take single sign-on away from this address, or let Tableau pass by it".to_owned(),
            ),
        },
        403 => (
            format!("{from} is forbidden (403)"),
            "look for rules of a proxy, firewall or platform before the server".to_owned(),
        ),
        404 => (
            format!("there is no {from}"),
            "check the address: behind a path (Subdirectory of state.ini) that path belongs into it; on a platform, check \
             the app's name"
                .to_owned(),
        ),
        502..=504 => (
            format!("the platform or proxy at {server} answers {}, the server behind it does not", answer.status),
            "the server sleeps, starts or has stopped: run this again in a minute, else look at its log (heroku logs)"
                .to_owned(),
        ),
        status => match answer.redirect(&from) {
            Some(target) => (
                format!("{from} leads elsewhere ({status}), and Tableau does not follow"),
                match target.as_str().strip_suffix("/info").filter(|_| target.query().is_none()) {
                    Some(base) => format!("give the address {base}"),
                    None => "take the redirect away, or give the address that it leads to".to_owned(),
                },
            ),
            None if status == 400 && !server.is_https() => (
                format!("{from} is answered with 400"),
                "if it speaks TLS there, write https://".to_owned(),
            ),
            None => (
                format!("{from} is answered with {status}: this is neither tabpy-rs nor TabPy"),
                "check the address".to_owned(),
            ),
        },
    };
    report.fail("answer", detail, remedy);
    None
}

/// Judges the answer to Tableau's trial script; what is wrong and its remedy.
pub(super) fn trial(answer: &Answer) -> Result<(), (String, &'static str)> {
    let status = answer.status;
    let remedy = match status {
        200 if answer.body.trim_ascii() == b"1" => return Ok(()),
        200 => {
            return Err((
                "the trial script gave something else than 1".to_owned(),
                "check what stands before the server",
            ));
        }
        401 => {
            "check TABPY_USERNAME and TABPY_PASSWORD: the server took them for /info, but not for a script"
        }
        403 => "look for rules of a proxy or firewall before the server that forbid POST",
        404 => "set TABPY_EVALUATE_ENABLE=true on the server: Tableau tries a script when it connects",
        408 => "the server is overloaded, or TABPY_EVALUATE_TIMEOUT is too short",
        413 => "a proxy before the server refuses even small bodies: raise its limit",
        502..=504 => "the server is overloaded or starting: run this again in a minute, else look at its log",
        _ => "look at the server's log",
    };
    Err((format!("the trial script is answered with {status}"), remedy))
}
