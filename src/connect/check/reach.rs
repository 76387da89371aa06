//! The way to a server: address, name, certificate, clock and the first answer. No secret is sent.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use reqwest::Method;

use super::{FIREWALL, Reached, Rules, answer, certificate};
use crate::connect::report::Report;
use crate::web::address::{ServerAddress, is_private};
use crate::web::{Answer, Trouble, Web};

/// Certificates and connected apps' tokens bear no more.
const CLOCK: Duration = Duration::from_secs(60);

/// All that can be found out without credentials.
pub(in crate::connect) async fn reach(
    server: &ServerAddress,
    rules: &Rules,
    report: &mut Report,
) -> anyhow::Result<Option<Reached>> {
    address(server, rules, report);
    let found = name(server, rules, report).await;
    let web = Web::new(&rules.trust(), rules.patience)?;
    let answer = match web.send(web.call(Method::GET, server.at("/info"))).await {
        Ok(answer) => answer,
        Err(trouble) => {
            not_reached(&trouble, server, found, &web, rules, report);
            return Ok(None);
        }
    };
    if !found {
        report.note("name", format!("{} is not known here, but a proxy knows it", server.host()));
    }
    if server.is_https() {
        certificate::good(web.watching.shown().as_ref(), rules, report);
    }
    clock(&answer, report);
    let info = answer::judge(&answer, server, report);
    Ok(info.map(|info| Reached { web, first: answer.took, info }))
}

fn address(server: &ServerAddress, rules: &Rules, report: &mut Report) {
    if !server.is_https() {
        let detail = format!("{server} is plain http: data and passwords cross the network readable");
        if rules.cloud {
            let remedy = "Tableau Cloud takes https only: put the server behind a proxy or platform that speaks TLS, and give \
                          the https address";
            report.fail("address", detail, remedy);
        } else {
            report.warn("address", detail, "put the server behind a proxy that speaks TLS");
        }
    }
    if rules.cloud && server.is_local_name() {
        let remedy = "give the server a public name, or test it for Tableau Server with --on-premises";
        report.fail(
            "address",
            format!("{} is a name that only the local network knows", server.host()),
            remedy,
        );
    } else if rules.cloud && server.port() != 443 {
        let remedy = "use port 443, which Tableau Cloud's documentation expects";
        report.warn("address", format!("{server} uses port {}", server.port()), remedy);
    }
}

/// Whether the name leads anywhere.
async fn name(server: &ServerAddress, rules: &Rules, report: &mut Report) -> bool {
    let host = server.host().trim_start_matches('[').trim_end_matches(']');
    let look_up = tokio::net::lookup_host((host, server.port()));
    let Ok(Ok(found)) = tokio::time::timeout(rules.patience, look_up).await else { return false };
    let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        return false;
    }
    let words: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    let detail = format!("{host} is {}", words.join(", "));
    if rules.cloud && addresses.iter().all(|address| is_private(*address)) && !server.is_local_name() {
        let remedy =
            "Tableau Cloud cannot reach addresses of a private network: give the name a public address";
        report.fail("name", detail, remedy);
    } else {
        report.ok("name", detail);
    }
    true
}

fn not_reached(
    trouble: &Trouble,
    server: &ServerAddress,
    found: bool,
    web: &Web,
    rules: &Rules,
    report: &mut Report,
) {
    let (host, port) = (server.host(), server.port());
    match trouble {
        Trouble::Name => {
            let remedy = "check the spelling; a new name takes up to an hour to be known everywhere";
            report.fail("name", format!("the name {host} leads nowhere"), remedy);
        }
        _ if !found && !matches!(trouble, Trouble::Tls(_)) => {
            let remedy = "check the spelling; a new name takes up to an hour to be known everywhere";
            report.fail(
                "name",
                format!("the name {host} is not known here, and {}", trouble.words()),
                remedy,
            );
        }
        Trouble::Refused => {
            let remedy = "check the port and that the server runs; without a password it listens on its own machine only";
            report.fail("connection", format!("{host} is there, but nobody listens on port {port}"), remedy);
        }
        Trouble::Slow { connected: false } => {
            let remedy = match rules.cloud {
                true => format!("check the port; {FIREWALL}"),
                false => "check the port, and the firewalls between Tableau Server and it".to_owned(),
            };
            report.fail("connection", format!("{host} takes no connection on port {port}"), remedy);
        }
        Trouble::Slow { connected: true } => {
            let remedy =
                "a server that sleeps may need a minute to wake: run this again; else look at its log";
            report.fail(
                "answer",
                format!("{server} gave no answer within {} s", rules.patience.as_secs()),
                remedy,
            );
        }
        Trouble::Tls(error) => {
            let (detail, remedy) = certificate::explain(error, web.watching.shown().as_ref(), server, rules);
            report.fail("certificate", detail, remedy);
        }
        Trouble::HungUp => {
            let detail = format!("what listens on port {port} of {host} hangs up when it is greeted in TLS");
            let remedy = "check that the proxy speaks TLS on that port and knows the name; a firewall may also cut it off";
            report.fail("certificate", detail, remedy);
        }
        Trouble::NotHttp(_) if !server.is_https() => {
            let remedy = "if it speaks TLS there, write https://";
            report.fail(
                "answer",
                format!("what listens on port {port} of {host} does not speak http"),
                remedy,
            );
        }
        Trouble::NotHttp(_) | Trouble::TooLong | Trouble::Other(_) => {
            let remedy = "check the address; this does not look like the server or its proxy";
            report.fail("connection", format!("{server}: {}", trouble.words()), remedy);
        }
    }
}

fn clock(answer: &Answer, report: &mut Report) {
    let Some(theirs) = answer.header("Date").and_then(|text| httpdate::parse_http_date(text).ok()) else {
        return;
    };
    let ours = SystemTime::now();
    let apart = ours.duration_since(theirs).or_else(|_| theirs.duration_since(ours)).unwrap_or_default();
    if apart > CLOCK {
        let detail = format!(
            "the server's clock says {} and this machine's {}",
            httpdate::fmt_http_date(theirs),
            httpdate::fmt_http_date(ours)
        );
        report.warn("clock", detail, "set the wrong one: certificates and sign-ins depend on it");
    }
}
