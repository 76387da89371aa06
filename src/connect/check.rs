//! Whether Tableau will be able to use a server: what it would meet on its way, each thing that is wrong
//! with its remedy. The same checks serve `doctor` and `connect`. They ask what Tableau asks (`/info`
//! and its own trial script) and change nothing.

mod answer;
mod certificate;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use reqwest::Method;

use self::answer::Info;
use super::report::Report;
use crate::given::Login;
use crate::web::address::{ServerAddress, is_private};
use crate::web::trust::Trust;
use crate::web::{Answer, Trouble, Web};

/// Tableau's own trial of a server.
const TRIAL: &str = r#"{"script": "return int(1)", "data": {"_arg1": [4]}}"#;

/// Calls whose time is taken; the middle one counts.
const TRIALS: usize = 5;

/// A call that takes longer makes views slow that ask a hundred times.
const SLOW: Duration = Duration::from_secs(1);

/// A first answer that takes longer than this, and the next one much less, came from a server that had slept.
const ASLEEP: Duration = Duration::from_secs(5);

/// Certificates and connected apps' tokens bear no more.
const CLOCK: Duration = Duration::from_secs(60);

/// Tableau's page lists the addresses by the site's pod, and they change.
const FIREWALL: &str = "a firewall or allowlist before the server must let Tableau Cloud's addresses in: 44.224.205.196 and \
                        44.230.200.109, and those that Tableau's help lists for your pod under \"Authorize Access to Cloud \
                        Data Published to Tableau Cloud\"";

/// By whose rules a server is judged.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// Tableau Cloud: https, public certificates, a password.
    pub(super) cloud: bool,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) insecure: bool,
    pub(super) patience: Duration,
}

/// A server that answered as one of ours.
pub(super) struct Reached {
    web: Web,
    first: Duration,
    pub(super) info: Info,
}

impl Rules {
    fn trust(&self) -> Trust {
        match self {
            Self { cloud: true, .. } => Trust::Public,
            Self { insecure: true, .. } => Trust::Anything,
            Self { ca_file, .. } => Trust::System { ca_file: ca_file.clone() },
        }
    }

    fn whose(&self) -> &'static str {
        if self.cloud { "Tableau Cloud" } else { "Tableau Server" }
    }
}

/// All that can be found out without credentials.
pub(super) async fn reach(
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

/// The rest: the password, a script, and how long one takes.
pub(super) async fn works(
    server: &ServerAddress,
    reached: &Reached,
    login: Option<&Login>,
    rules: &Rules,
    report: &mut Report,
) {
    if !authentication(server, reached, login, rules, report).await {
        return;
    }
    let mut times = Vec::with_capacity(TRIALS);
    for _ in 0..TRIALS {
        let call = reached.web.call(Method::POST, server.at("/evaluate")).body(TRIAL);
        let answer = match reached.web.send(with(call, login)).await {
            Ok(answer) => answer,
            Err(trouble) => {
                let remedy = "look at the server's log; a proxy before it may cut long answers off";
                report.fail("script", format!("the trial script got no answer: {}", trouble.words()), remedy);
                return;
            }
        };
        if let Err((detail, remedy)) = answer::trial(&answer) {
            report.fail("script", detail, remedy);
            return;
        }
        times.push(answer.took);
    }
    report.ok("script", "the trial script of Tableau, return int(1), gives 1");
    times.sort_unstable();
    speed(reached.first, times[TRIALS / 2], report);
    if rules.cloud {
        report.note("firewall", format!("the server answers here; {FIREWALL}"));
    }
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

/// Whether a script may be tried.
async fn authentication(
    server: &ServerAddress,
    reached: &Reached,
    login: Option<&Login>,
    rules: &Rules,
    report: &mut Report,
) -> bool {
    let demands = reached.info.demands_password;
    let whose = rules.whose();
    if demands {
        report.ok("authentication", "without a password the server answers 401, as it should");
    } else if rules.cloud {
        let remedy =
            "set TABPY_USERNAME and TABPY_PASSWORD (or TABPY_PWD_FILE) on the server and start it again";
        report.fail(
            "authentication",
            format!("the server runs open, and {whose} demands a password"),
            remedy,
        );
    } else {
        let remedy = "set TABPY_USERNAME and TABPY_PASSWORD (or TABPY_PWD_FILE) on the server, unless the network is closed";
        report.warn(
            "authentication",
            "the server runs open: whoever reaches it can run Python on it",
            remedy,
        );
    }
    let Some(login) = login else {
        if demands {
            let words = "not tried, and no script either: set TABPY_USERNAME and TABPY_PASSWORD here to have them tried";
            report.note("password", words);
        }
        return !demands;
    };
    let call = with(reached.web.call(Method::GET, server.at("/info")), Some(login));
    let answer = match reached.web.send(call).await {
        Ok(answer) => answer,
        Err(trouble) => {
            report.fail("password", format!("no answer to it: {}", trouble.words()), "run this again");
            return false;
        }
    };
    match answer.status {
        200 => {}
        401 => {
            let remedy = "check TABPY_USERNAME and TABPY_PASSWORD against the server's; tabpy-user verify tries one of a file";
            report.fail(
                "password",
                format!("the server does not take the password of {}", login.name),
                remedy,
            );
            return false;
        }
        406 => {
            let remedy = "leave TABPY_USERNAME and TABPY_PASSWORD out here, or set them on the server";
            let detail = "the server runs open and refuses (406) whoever sends a password, as Tableau would";
            report.fail("password", detail, remedy);
            return false;
        }
        // Where a password is demanded, only who has it learns what there is.
        _ => {
            answer::judge(&answer, server, report);
            return false;
        }
    }
    let Some(info) = Info::read(&answer) else {
        report.fail(
            "password",
            "with it /info gives something else than without",
            "look at the proxies before the server",
        );
        return false;
    };
    report.ok("password", format!("the server takes the password of {}", login.name));
    if !info.evaluate {
        let remedy = "set TABPY_EVALUATE_ENABLE=true on the server: Tableau tries a script when it connects";
        report.fail("script", "the server takes no scripts", remedy);
        return false;
    }
    true
}

fn speed(first: Duration, usual: Duration, report: &mut Report) {
    let words = format!("a call takes {:.0} ms", usual.as_secs_f64() * 1000.0);
    if first >= ASLEEP && usual * 4 < first {
        let detail = format!(
            "the first answer took {:.0} s, later ones {:.1} s",
            first.as_secs_f64(),
            usual.as_secs_f64()
        );
        let remedy = "the server had gone to sleep, and Tableau does not wait so long: choose a plan that does not sleep \
                      (on Heroku: Basic or better)";
        report.warn("speed", detail, remedy);
    } else if usual >= SLOW {
        let remedy =
            "a view makes hundreds of calls: put the server nearer to Tableau, or give it more workers";
        report.warn("speed", words, remedy);
    } else {
        report.ok("speed", words);
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

fn with(call: reqwest::RequestBuilder, login: Option<&Login>) -> reqwest::RequestBuilder {
    match login {
        Some(login) => call.basic_auth(&login.name, Some(login.password.reveal())),
        None => call,
    }
}
