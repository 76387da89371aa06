//! Whether a server that answers can be worked with: its password, Tableau's trial script, and how long
//! that takes.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};

use super::answer::{self, Info};
use super::{FIREWALL, Reached, Rules};
use crate::connect::report::Report;
use crate::given::Login;
use crate::web::address::ServerAddress;

/// Tableau's own trial of a server.
const TRIAL: &str = r#"{"script": "return int(1)", "data": {"_arg1": [4]}}"#;

/// Calls whose time is taken; the middle one counts.
const TRIALS: usize = 5;

/// A call that takes longer makes views slow that ask a hundred times.
const SLOW: Duration = Duration::from_secs(1);

/// A first answer that takes longer than this, and the next one much less, came from a server that had slept.
const ASLEEP: Duration = Duration::from_secs(5);

/// The rest: the password, a script, and how long one takes.
pub(in crate::connect) async fn works(
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

/// Whether a script may be tried.
async fn authentication(
    server: &ServerAddress,
    reached: &Reached,
    login: Option<&Login>,
    rules: &Rules,
    report: &mut Report,
) -> bool {
    let demands = reached.info.demands_password;
    if demands {
        report.ok("authentication", "without a password the server answers 401, as it should");
    } else if rules.cloud {
        let remedy =
            "set TABPY_USERNAME and TABPY_PASSWORD (or TABPY_PWD_FILE) on the server and start it again";
        report.fail("authentication", "the server runs open, and Tableau Cloud demands a password", remedy);
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

fn with(call: RequestBuilder, login: Option<&Login>) -> RequestBuilder {
    match login {
        Some(login) => call.basic_auth(&login.name, Some(login.password.reveal())),
        None => call,
    }
}
