//! What is done at a site while signed in: a connection is made, shown or taken away. Each act says what
//! it did; with `--dry-run` the calls say what they would have done.

use std::io::Write as _;

use serde_json::json;

use super::ending::{Code, Outcome, Problem};
use super::report::Report;
use super::session::Session;
use super::settings::{self, Connection, Saved};
use super::{Act, Order, workbooks};
use crate::given::{Given, Login};
use crate::web::address::ServerAddress;

pub(super) async fn act(
    order: &Order,
    session: &mut Session,
    server: Option<&ServerAddress>,
    login: Option<&Login>,
    given: &Given,
    report: &mut Report,
) -> Outcome<()> {
    match (order.act, server) {
        (Act::Check, _) => Ok(()),
        (Act::List, _) => {
            let connections = settings::connections(session, report).await?;
            report.ok("connections", format!("the site has {}", connections.len()));
            for Connection { luid, name, kind } in &connections {
                report.line(&format!("{luid}  {kind:<10}  {name}"));
                report.connection(json!({
                    "site": session.site, "connection_luid": luid, "connection_name": name, "connection_type": kind,
                }));
            }
            Ok(())
        }
        (Act::Remove, _) => remove(order, session, report).await,
        (Act::Register, Some(server)) => {
            site_setting(order, session, given, report).await?;
            register(order, session, server, login, report).await
        }
        (Act::Register, None) => Err(Problem::new(Code::Usage, "the server's address is missing")),
    }
}

async fn site_setting(
    order: &Order,
    session: &mut Session,
    given: &Given,
    report: &mut Report,
) -> Outcome<()> {
    if settings::is_enabled(session, report).await? {
        report.ok("site setting", "analytics extensions are on for the site");
        return Ok(());
    }
    let question = "Analytics extensions are off for this site. Turn them on? [y/N] ";
    let may_ask = given.terminal() && !order.options.json;
    if !(order.enable_site || may_ask && yes(question).await) {
        return Err(Problem::new(
            Code::SiteOff,
            "analytics extensions are off for this site: add --enable-site to turn them on",
        ));
    }
    settings::enable(session, report).await?;
    if !session.is_dry() {
        report.ok("site setting", "analytics extensions were off for the site, and are on now");
    }
    Ok(())
}

async fn register(
    order: &Order,
    session: &mut Session,
    server: &ServerAddress,
    login: Option<&Login>,
    report: &mut Report,
) -> Outcome<()> {
    let name = order.name.as_str();
    // Nothing is made for a workbook that is not there.
    let workbook = match &order.workbook {
        Some(workbook) => Some(workbooks::find(session, workbook, report).await?),
        None => None,
    };
    let (saved, luid) = settings::save(session, name, server, login, report).await?;
    if !session.is_dry() {
        let done = if saved == Saved::Created { "created" } else { "updated" };
        let luid = luid.as_deref().unwrap_or("?");
        report.ok("connection", format!("{done} {name} ({luid}) for {server}"));
        report.connection(json!({
            "site": session.site, "connection_luid": luid, "connection_name": name, "connection_type": "TABPY", "done": done,
        }));
    }
    if let (Some(workbook), Some(asked)) = (workbook, &order.workbook) {
        settings::link(session, &workbook, luid.as_deref(), report).await?;
        if !session.is_dry() {
            report.ok("workbook", format!("{asked} uses {name} from now on"));
        }
    }
    Ok(())
}

/// With a workbook, only its link goes.
async fn remove(order: &Order, session: &mut Session, report: &mut Report) -> Outcome<()> {
    let name = order.name.as_str();
    if let Some(asked) = &order.workbook {
        let workbook = workbooks::find(session, asked, report).await?;
        settings::unlink(session, &workbook, report).await?;
        if !session.is_dry() {
            report.ok("workbook", format!("{asked} uses no connection any more"));
        }
        return Ok(());
    }
    let connections = settings::connections(session, report).await?;
    let Some(connection) = settings::find(&connections, name)? else {
        let words = format!("the site has no connection {name}: --list shows those that it has");
        return Err(Problem::new(Code::NotFound, words));
    };
    settings::remove(session, &connection, report).await?;
    if !session.is_dry() {
        report.ok("connection", format!("removed {name} ({})", connection.luid));
    }
    Ok(())
}

/// Asks on a thread of its own, so that an interruption is heard meanwhile.
async fn yes(question: &str) -> bool {
    let mut err = std::io::stderr().lock();
    let _closed = err.write_all(question.as_bytes()).and_then(|()| err.flush());
    drop(err);
    let (answer, answered) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line).is_ok();
        // Nobody listens after an interruption.
        let _ = answer.send(read && matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"));
    });
    answered.await.unwrap_or(false)
}
