//! What a platform asks: is the process alive, and can it take requests. Neither waits for Python. Whoever
//! keeps asking the second decides by it where calls go, and has to hear that the server is about to stop.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::{HttpResponse, web};

use super::Handled;
use super::answer::json;
use super::openapi::schema::{Health, Refused};
use super::service::Service;
use crate::failure::Failure;

/// Less far apart are the questions of one who waits for the start.
const LEAST_INTERVAL: Duration = Duration::from_millis(500);

/// A balancer that has asked nothing for so long has gone.
const FORGOTTEN: Duration = Duration::from_secs(30);

/// Whether somebody keeps asking for readiness.
#[derive(Debug, Default)]
pub struct Watch(Mutex<Option<Asked>>);

#[derive(Debug)]
struct Asked {
    first: Instant,
    last: Instant,
}

impl Watch {
    /// Whether calls go on coming until whoever asks has heard that the server is not ready any more.
    pub fn is_kept(&self) -> bool {
        let asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.as_ref().is_some_and(|asked| {
            asked.last - asked.first >= LEAST_INTERVAL && asked.last.elapsed() < FORGOTTEN
        })
    }

    fn said_yes(&self) {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let first =
            asked.as_ref().filter(|asked| now - asked.last < FORGOTTEN).map_or(now, |asked| asked.first);
        *asked = Some(Asked { first, last: now });
    }
}

/// Whether the process lives. `/livez` is the same; both are open to everybody.
#[utoipa::path(
    get, path = "/healthz", tag = "server", operation_id = "alive", security(()),
    responses((status = 200, description = "It lives", body = Health), Refused)
)]
pub(super) async fn alive() -> HttpResponse {
    json(200, "{\"status\": \"alive\"}")
}

/// Whether calls may come: workers are up, and the functions at hand. Open to everybody.
#[utoipa::path(
    get, path = "/readyz", tag = "server", operation_id = "ready", security(()),
    responses((status = 200, description = "They may", body = Health), Refused)
)]
pub(super) async fn ready(service: web::Data<Service>) -> Handled {
    if service.stopping.load(Ordering::Relaxed) {
        return Err(Failure::new(503, "The server is stopping.").into());
    }
    let pool = service.pool.snapshot();
    if pool.alive == 0 {
        let reason = pool.start_error.unwrap_or_else(|| "Python workers are being started.".to_owned());
        return Err(Failure::new(503, "No Python worker is ready.").info(reason).retry_after(1).into());
    }
    if let Some(complaint) = service.store.complaint() {
        return Err(Failure::new(503, "Not all functions are at hand.")
            .info(complaint)
            .retry_after(1)
            .into());
    }
    service.watch.said_yes();
    Ok(json(200, "{\"status\": \"ready\"}"))
}
