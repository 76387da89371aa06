//! What a platform asks: is the process alive, and can it take requests. Neither waits for Python.

use std::sync::atomic::Ordering;

use actix_web::{HttpResponse, web};

use super::Handled;
use super::answer::json;
use super::service::Service;
use crate::failure::Failure;

pub(super) async fn alive() -> HttpResponse {
    json(200, "{\"status\": \"alive\"}")
}

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
        return Err(Failure::new(503, "Not all functions are at hand.").info(complaint).retry_after(1).into());
    }
    Ok(json(200, "{\"status\": \"ready\"}"))
}
