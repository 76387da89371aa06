//! `POST /evaluate`: the body goes to a worker as it came, and the worker's answer goes back as it is.

use std::sync::Arc;
use std::time::Instant;

use actix_web::{HttpMessage as _, HttpRequest, web};
use bytes::Bytes;

use super::answer::Refusal;
use super::early::Early;
use super::openapi::schema::{BodyRefused, ErrorBody, Evaluate};
use super::service::Service;
use super::{Handled, answer, body, client, details};
use crate::config::Timeout;
use crate::failure::Failure;
use crate::pool::{Answer, Body, Feed, Job, Trouble};
use crate::telemetry::{Record, Rows, What, Work};
use crate::wire::Task;

/// What a client wants of a worker.
pub(super) struct Call {
    pub(super) task: Task,
    /// The function's name, and the version that is asked for, for a query.
    pub(super) name: Box<str>,
    pub(super) version: u32,
    pub(super) body: Bytes,
    /// Whether what is printed is told with the answer.
    pub(super) wants_printed: bool,
    /// Whether it may go to a worker together with others; see [`super::light`].
    pub(super) light: bool,
}

/// Runs a script with columns of data. The answer is what it returns: as many values as rows, or one.
#[utoipa::path(
    post, path = "/evaluate", tag = "scripts", operation_id = "evaluate",
    params(("TabPy-Details" = Option<String>, Header, nullable = false, example = "true", description = "true has the answer say in Server-Timing where the time went, and in TabPy-Output what was printed (base64), also by a script that was stopped")),
    request_body(content = Evaluate),
    responses((status = 200, description = "What the script returned", body = serde_json::Value), BodyRefused,
        (status = 404, description = "Scripts are switched off", body = ErrorBody),
        (status = 500, description = "The script failed; info has the error", body = ErrorBody))
)]
pub(super) async fn evaluate(
    request: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Handled {
    let mut early = Early::new(&service);
    let may_go_early = service.evaluate_enabled.then_some(&mut early);
    let body = body::read(&request, payload, service.max_request_bytes, may_go_early).await?;
    if !service.evaluate_enabled {
        let message = "Ad-hoc scripts have been disabled on this analytics extension, please contact your \
                       administrator.";
        return Err(Failure::new(404, message).into());
    }
    let feed = early.into_feed();
    let key = service.light_scripts.key(&body);
    let light = key.is_some_and(|key| service.light_scripts.contains(key));
    let wants_details = details::wanted(&request);
    let mut call = Call {
        task: Task::Evaluate,
        name: Box::default(),
        version: 0,
        body,
        wants_printed: wants_details,
        light,
    };
    let outcome = work(&request, &service, &mut call, feed, as_for_script).await;
    match (key, &outcome) {
        (Some(key), Ok(answer)) => service.light_scripts.learn(key, Some(answer)),
        // One that was not begun tells nothing of the script.
        (Some(key), Err(refusal)) if matches!(refusal.failure.status, 408 | 500) => {
            service.light_scripts.learn(key, None);
        }
        _ => {}
    }
    let answer = outcome?;
    let details = wants_details.then(|| details::of(&answer));
    let mut response = answer::json_for(&request, answer.status, answer.body).await;
    for (name, value) in details.into_iter().flatten() {
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

fn as_for_script(trouble: Trouble, timeout: &str) -> Failure {
    trouble.failure(|| format!("User defined script timed out. Timeout is set to {timeout} s."))
}

/// Has the pool do a task, within a timeout that begins now, with the last byte of the body. Where there is no
/// answer, `failure` has the words for why, and gets the timeout as it was set. Name and body are taken out of the
/// call: what an `async fn` is given as its own it keeps room for twice.
pub(super) async fn work(
    request: &HttpRequest,
    service: &Service,
    call: &mut Call,
    feed: Option<Box<Feed>>,
    failure: impl FnOnce(Trouble, &str) -> Failure,
) -> Result<Answer, Refusal> {
    let asked = Instant::now();
    let Call { task, version, wants_printed, light, .. } = *call;
    let deadline = asked + timeout(service, task).duration;
    let generation = service.generation();
    if let Some(record) = request.extensions_mut().get_mut::<Record>() {
        let route = if task == Task::Query { &service.query_route } else { &service.evaluate_route };
        record.route = Some(Arc::clone(route));
    }
    let job = Job {
        task,
        name: std::mem::take(&mut call.name),
        version,
        generation,
        body: std::mem::take(&mut call.body),
        asked,
        deadline,
        printed: wants_printed.then(Vec::new),
        light,
    };
    let running = service.pool.run(job, feed);
    let outcome = tokio::select! {
        biased;
        outcome = running => outcome,
        // Dropping the run ends the script.
        () = client::has_left(request) => return Err(left().into()),
    };
    let answer = match outcome {
        Ok(answer) => answer,
        Err(mut trouble) => {
            let printed = trouble.take_printed();
            let begun = trouble.begun();
            let work = begun.map(|begun| Work { worker: begun.worker, queued: begun.queued, rows: None });
            if let Some(record) = request.extensions_mut().get_mut::<Record>() {
                record.work = work;
            }
            let failure = failure(trouble, &timeout(service, task).text);
            tracing::warn!(status = failure.status, info = failure.info, "{}", failure.message);
            remember(request, What { kind: failure.message.clone(), line: None });
            return Err(Refusal { failure, printed });
        }
    };
    if let Some(record) = request.extensions_mut().get_mut::<Record>() {
        record.work = Some(Work {
            worker: answer.worker,
            queued: answer.queued,
            rows: Some(Rows { taken: answer.rows_in, given: answer.rows_out }),
        });
    }
    if !answer.fits {
        let (rows_in, rows_out) = (answer.rows_in, answer.rows_out);
        let takes = if rows_in == 1 {
            "1 row: Tableau takes 1".to_owned()
        } else {
            format!("{rows_in} rows: Tableau takes 1 or {rows_in}")
        };
        tracing::warn!(
            rows_in,
            rows_out,
            "the answer has {rows_out} values for {takes} (\"Unexpected number of results\")"
        );
    }
    if let (400.., Body::Whole(body)) = (answer.status, &answer.body) {
        remember(request, log_error(answer.status, body));
    }
    Ok(answer)
}

fn timeout(service: &Service, task: Task) -> &Timeout {
    if task == Task::Query { &service.query_timeout } else { &service.evaluate_timeout }
}

/// Nobody reads this; the log shows its status, which is nginx's for the same.
fn left() -> Failure {
    Failure::new(499, "The client has left, so its script was stopped.")
}

fn remember(request: &HttpRequest, what: What) {
    if let Some(record) = request.extensions_mut().get_mut::<Record>() {
        record.error = Some(what);
    }
}

/// Which kind of error, and in which line; its text and the source may hold data.
fn log_error(status: u16, body: &[u8]) -> What {
    let error: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let text = |key| error.as_ref().and_then(|error| error[key].as_str()).unwrap_or_default();
    let info = error.as_ref().and_then(|error| error["info"]["error"].as_str()).unwrap_or(text("info"));
    let kind = info.split_once(" : ").map_or_else(|| text("message"), |(kind, _)| kind);
    tracing::warn!(status, error = kind, "the request failed");
    let line = info.rsplit_once(" (line ").and_then(|(_, rest)| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        rest[..digits].parse().ok()
    });
    What { kind: kind.to_owned(), line }
}
