//! `tabpy-rs connect` and `tabpy-rs doctor`: from a running server to a connection of a Tableau site.
//! Checks the server as Tableau would, signs in, creates or updates the connection, and signs out
//! whatever happened in between. Secrets come from `given` and leave through no text; what went wrong
//! ends in one sentence and an exit code.

mod acts;
mod check;
mod credential;
mod ending;
mod jwt;
mod refusal;
mod report;
mod session;
mod settings;
mod site;
mod tableau;
mod visit;
mod workbooks;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use self::check::Rules;
use self::credential::Credential;
use self::ending::{Code, Outcome, Problem};
use self::report::Report;
use self::site::TableauSite;
use self::tableau::Tableau;
use crate::given::{Given, Login};
use crate::web::Web;
use crate::web::address::ServerAddress;
use crate::web::trust::Trust;

/// One run of `connect`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub act: Act,
    /// The server's address, as Tableau is to use it.
    pub server: Option<String>,
    pub tableau: Option<String>,
    /// None: that of the address. After the first, Tableau Server is asked to switch to each.
    pub sites: Vec<String>,
    /// The connection's name.
    pub name: String,
    pub workbook: Option<String>,
    pub enable_site: bool,
    pub dry_run: bool,
    pub skip_checks: bool,
    pub options: Options,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Register,
    /// Checks and signs in, and changes nothing.
    Check,
    List,
    Remove,
}

/// One run of `doctor`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examination {
    pub server: String,
    /// By Tableau Server's rules instead of Tableau Cloud's.
    pub on_premises: bool,
    pub options: Options,
}

/// What both take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub json: bool,
    pub insecure: bool,
    pub ca_file: Option<PathBuf>,
    /// A file of variables.
    pub secrets: Option<PathBuf>,
    /// How long one call may take.
    pub patience: Duration,
}

pub fn run(order: &Order) -> ExitCode {
    conclude("connect", order.options.json, async |report| connect(order, report).await)
}

pub fn examine(examination: &Examination) -> ExitCode {
    conclude("doctor", examination.options.json, async |report| doctor(examination, report).await)
}

fn conclude(command: &str, json: bool, work: impl AsyncFnOnce(&mut Report) -> Outcome<()>) -> ExitCode {
    let mut report = Report::new(json);
    let outcome = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let outcome = runtime.block_on(work(&mut report));
            // A thread may still wait for a name to be looked up.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(Problem::new(Code::Failed, format!("cannot start: {error}"))),
    };
    ExitCode::from(report.finish(command, outcome.err().as_ref()))
}

async fn doctor(examination: &Examination, report: &mut Report) -> Outcome<()> {
    let options = &examination.options;
    let server = ServerAddress::parse(&examination.server).map_err(Problem::usage)?;
    let rules = Rules {
        cloud: !examination.on_premises && options.ca_file.is_none() && !options.insecure,
        ca_file: options.ca_file.clone(),
        insecure: options.insecure,
        patience: options.patience,
    };
    let login = given(options, report)?.login().map_err(Problem::usage)?;
    if let Some(login) = &login {
        report.hide(&login.password);
        guard_password(&server, &rules)?;
    }
    if let Some(reached) = check::reach(&server, &rules, report).await.map_err(Problem::usage)? {
        check::works(&server, &reached, login.as_ref(), &rules, report).await;
    }
    verdict(report)
}

async fn connect(order: &Order, report: &mut Report) -> Outcome<()> {
    let options = &order.options;
    let given = given(options, report)?;
    let (at, server) = addresses(order, &given)?;
    if options.insecure && at.cloud {
        let words =
            "--insecure is not for Tableau Cloud, which checks every certificate itself: leave it out";
        return Err(Problem::new(Code::Usage, words));
    }
    let rules = Rules {
        cloud: at.cloud,
        ca_file: options.ca_file.clone(),
        insecure: options.insecure,
        patience: options.patience,
    };
    let credential = Credential::choose(&given).map_err(Problem::usage)?;
    report.hide(credential.secret());
    if matches!(credential, Credential::App(_)) && order.act != Act::Check {
        return Err(Problem::new(
            Code::Permission,
            "Tableau gives connected apps no access to these settings (an app is good for --check alone): set \
             TABLEAU_TOKEN_NAME and TABLEAU_TOKEN_VALUE, the personal access token of a site administrator, or (not with a \
             second factor) TABLEAU_USERNAME and TABLEAU_PASSWORD",
        ));
    }
    let login = match &server {
        Some(server) => check_server(order, server, &rules, &given, report).await?,
        None => None,
    };
    let trust = match options.insecure {
        true => Trust::Anything,
        false => Trust::System { ca_file: options.ca_file.clone() },
    };
    if options.insecure {
        report.warn(
            "tableau",
            "its certificate is not checked, as --insecure says: somebody in between could take the sign-in",
            "leave --insecure out; --ca-file names an authority of your own",
        );
    }
    let web = Web::new(&trust, options.patience).map_err(Problem::usage)?;
    let tableau = Tableau::find(web, &at, options.insecure, order.dry_run).await?;
    report.ok("tableau", tableau.words());
    let mut sites = vec![at];
    for site in order.sites.iter().skip(1) {
        sites.push(sites[0].another(site).map_err(Problem::usage)?);
    }
    visit::each(tableau, &credential, &sites, options.patience, report, async |session, report| {
        acts::act(order, session, server.as_ref(), login.as_ref(), &given, report).await
    })
    .await
}

/// The checks, and the password that Tableau is to use.
async fn check_server(
    order: &Order,
    server: &ServerAddress,
    rules: &Rules,
    given: &Given,
    report: &mut Report,
) -> Outcome<Option<Login>> {
    let mut login = given.login().map_err(Problem::usage)?;
    if let Some(login) = &login {
        report.hide(&login.password);
        guard_password(server, rules)?;
    }
    if order.skip_checks {
        if rules.cloud && (!server.is_https() || login.is_none()) {
            return Err(Problem::new(
                Code::Usage,
                "Tableau Cloud takes servers with https and a password only: give an https address, and TABPY_USERNAME and \
                 TABPY_PASSWORD",
            ));
        }
        report.note("server", format!("{server} is not checked, as --skip-checks says"));
        return Ok(login);
    }
    if let Some(reached) = check::reach(server, rules, report).await.map_err(Problem::usage)? {
        if reached.info.demands_password && login.is_none() {
            guard_password(server, rules)?;
            let asked = given.login_or_ask().map_err(Problem::usage)?;
            report.hide(&asked.password);
            login = Some(asked);
        }
        check::works(server, &reached, login.as_ref(), rules, report).await;
    }
    verdict(report).map(|()| login)
}

fn verdict(report: &Report) -> Outcome<()> {
    if report.failed() {
        return Err(Problem::new(
            Code::Server,
            "Tableau would not be able to use the server: see the lines marked FAILED",
        ));
    }
    Ok(())
}

/// A password goes over plain http only where nobody else is, or knowingly.
fn guard_password(server: &ServerAddress, rules: &Rules) -> Outcome<()> {
    if server.is_https() || server.is_this_machine() || rules.insecure {
        return Ok(());
    }
    Err(Problem::new(
        Code::Usage,
        format!(
            "{server} is http, where others can read the password on its way: give an https address, or, for Tableau Server in a \
             network that is yours alone, add --insecure"
        ),
    ))
}

fn given(options: &Options, report: &mut Report) -> Outcome<Given> {
    let given = Given::read(options.secrets.as_deref()).map_err(Problem::usage)?;
    if let Some(path) = &given.open_file {
        let path = path.display();
        report.warn(
            "secrets",
            format!("others on this machine can read {path}"),
            format!("chmod 600 {path}"),
        );
    }
    Ok(given)
}

fn addresses(order: &Order, given: &Given) -> Outcome<(TableauSite, Option<ServerAddress>)> {
    let text = order.tableau.as_deref().or_else(|| given.text("TABLEAU_URL"));
    let Some(text) = text else {
        let words = "Tableau's address is missing: add --tableau (or set TABLEAU_URL), the address of your site in the browser";
        return Err(Problem::new(Code::Usage, words));
    };
    let first = order.sites.first().map(String::as_str);
    let at = TableauSite::parse(text, first, given.text("TABLEAU_SITE")).map_err(Problem::usage)?;
    if at.cloud && order.sites.len() > 1 {
        let words = "Tableau Cloud does not switch between sites: run the command once for each --site";
        return Err(Problem::new(Code::Usage, words));
    }
    let server = match (&order.server, order.act) {
        (Some(text), _) => Some(ServerAddress::parse(text).map_err(Problem::usage)?),
        (None, Act::List | Act::Remove) => None,
        (None, Act::Register | Act::Check) => {
            let words = "the server's address is missing: name it as Tableau is to reach it, like https://tabpy.example.com";
            return Err(Problem::new(Code::Usage, words));
        }
    };
    Ok((at, server))
}
