//! `/metrics` for Prometheus, and `/live` for the server's own page: the same figures, gathered when they
//! are asked for.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi::schema::Refused;
use super::service::Service;
use super::{Handled, answer};
use crate::failure::Failure;
use crate::metrics::{CONTENT_TYPE, Levels, METRICS, Note, Point};

/// Figures for Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "server", operation_id = "metrics",
    responses((status = 200, description = "Prometheus' text format", body = String, content_type = "text/plain"), Refused)
)]
pub(super) async fn text(service: web::Data<Service>) -> Handled {
    match METRICS.text(levels(service).await) {
        Ok(text) => Ok(HttpResponse::Ok().content_type(CONTENT_TYPE).body(text)),
        Err(error) => {
            tracing::error!("the figures could not be written: {error:#}");
            Err(Failure::new(500, "The figures could not be written.").into())
        }
    }
}

/// What the page shows of the moment and of the minutes before.
#[derive(Serialize, ToSchema)]
pub(super) struct Live {
    idle: usize,
    busy: usize,
    waiting: usize,
    memory: u64,
    ended: Vec<Ended>,
    points: Vec<Point>,
    errors: Vec<Note>,
}

#[derive(Serialize, ToSchema)]
struct Ended {
    reason: &'static str,
    workers: u64,
}

/// What the page shows of the moment and of the minutes before.
#[utoipa::path(
    get, path = "/live", tag = "server", operation_id = "live",
    responses((status = 200, description = "Times are in milliseconds, memory in bytes", body = Live), Refused)
)]
pub(super) async fn live(service: web::Data<Service>) -> Handled {
    let Levels { idle, busy, waiting, memory } = levels(service).await;
    let ended = METRICS.ends().into_iter().map(|(reason, workers)| Ended { reason, workers }).collect();
    let live = Live {
        idle,
        busy,
        waiting,
        memory,
        ended,
        points: METRICS.recent.points(),
        errors: METRICS.recent.notes(),
    };
    match serde_json::to_vec(&live) {
        Ok(body) => Ok(answer::json(200, body)),
        Err(error) => Err(Failure::new(500, error.to_string()).into()),
    }
}

async fn levels(service: web::Data<Service>) -> Levels {
    let pool = service.pool.snapshot();
    // Reading what processes hold takes the kernel milliseconds.
    let memory = tokio::task::spawn_blocking(move || service.pool.memory()).await.unwrap_or(0);
    Levels { idle: pool.idle, busy: pool.alive.saturating_sub(pool.idle), waiting: pool.waiting, memory }
}
