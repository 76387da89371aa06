//! `/query/{name}`: calls a deployed function with the body's `data`.

use actix_web::{HttpRequest, web};

use super::service::Service;
use super::{Handled, body, evaluate};
use crate::wire::Task;

pub(super) async fn query(
    request: HttpRequest,
    name: web::Path<String>,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Handled {
    let body = body::read(&request, payload, service.max_request_bytes, service.gzip).await?;
    let call = evaluate::Call { task: Task::Query, name: name.into_inner(), version: 0, body };
    evaluate::work(&request, &service, call, &service.query_timeout).await
}
