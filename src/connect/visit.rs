//! A session from its beginning to its end: whatever happens in between, an interruption included, it is
//! ended. What is done in it is the caller's.

use std::pin::pin;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::credential::Credential;
use super::ending::{Code, Outcome, Problem};
use super::report::Report;
use super::session::Session;
use super::site::TableauSite;
use super::tableau::Tableau;

/// How long the end of a session may take when somebody wants to leave.
const FAREWELL: Duration = Duration::from_secs(10);

/// Signs in, works at one site after the other, and signs out, whatever came of the work and whoever
/// interrupts it.
pub(super) async fn each(
    tableau: Tableau,
    credential: &Credential,
    sites: &[TableauSite],
    patience: Duration,
    report: &mut Report,
    work: impl AsyncFn(&mut Session, &mut Report) -> Outcome<()>,
) -> Outcome<()> {
    let Some((first, others)) = sites.split_first() else { return Ok(()) };
    let mut interruption = Interruption::new()?;
    let (session, interrupted) = interruption.see_through(tableau.sign_in(credential, first, report)).await;
    let mut session = session?;
    let mut outcome = if interrupted { Err(Problem::interrupted()) } else { Ok(()) };
    if outcome.is_ok() {
        report.ok("sign in", format!("on {} with {}", first.site_words(), credential.words()));
        outcome = interruption.or_cut_short(work(&mut session, report)).await;
    }
    for site in others {
        if outcome.is_err() {
            break;
        }
        let (switched, interrupted) = interruption.see_through(session.switch(site, report)).await;
        outcome = if interrupted { Err(Problem::interrupted()) } else { switched };
        if outcome.is_ok() {
            report.ok("switch site", format!("to {}", site.site_words()));
            outcome = interruption.or_cut_short(work(&mut session, report)).await;
        }
    }
    let hurry = matches!(outcome, Err(Problem { code: Code::Interrupted, .. }));
    let farewell = if hurry { FAREWELL.min(patience) } else { patience };
    match tokio::time::timeout(farewell, session.sign_out(report)).await {
        Ok(Ok(())) => report.ok("sign out", "the session is ended"),
        Ok(Err(problem)) => report.warn("sign out", problem.words, "nothing need be done"),
        Err(_) => report.warn(
            "sign out",
            "Tableau did not answer in time",
            "nothing need be done: it ends by itself",
        ),
    }
    outcome
}

/// SIGINT or SIGTERM.
struct Interruption {
    interrupt: Signal,
    terminate: Signal,
}

impl Interruption {
    fn new() -> Outcome<Self> {
        let listen =
            |kind| signal(kind).map_err(|error| Problem::new(Code::Failed, format!("cannot start: {error}")));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// To its end, which an interruption only hastens: what Tableau has begun is waited for, or nobody would
    /// know the session to end. Tells whether there was one.
    async fn see_through<T>(&mut self, work: impl Future<Output = Outcome<T>>) -> (Outcome<T>, bool) {
        let mut work = pin!(work);
        tokio::select! {
            outcome = &mut work => return (outcome, false),
            () = self.comes() => {}
        }
        let late = |_| Err(Problem::interrupted());
        (tokio::time::timeout(FAREWELL, work).await.unwrap_or_else(late), true)
    }

    async fn or_cut_short(&mut self, work: impl Future<Output = Outcome<()>>) -> Outcome<()> {
        tokio::select! {
            outcome = work => outcome,
            () = self.comes() => Err(Problem::interrupted()),
        }
    }

    async fn comes(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
