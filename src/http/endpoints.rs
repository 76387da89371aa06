//! The management of deployed functions, as a server answers that has none and takes none.

use actix_web::{HttpRequest, HttpResponse, web};

use super::answer::json;
use super::service::Service;
use super::{Handled, body};
use crate::failure::{Failure, write_json_string};

pub(super) async fn list() -> HttpResponse {
    json(200, "{}")
}

pub(super) async fn status() -> HttpResponse {
    json(200, "{}")
}

pub(super) async fn one(name: web::Path<String>) -> Handled {
    Err(Failure::new(404, "Unknown endpoint").info(format!("Endpoint {name} is not found")).into())
}

pub(super) async fn missing(
    request: HttpRequest,
    name: web::Path<String>,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Handled {
    body::read(&request, payload, service.max_request_bytes, service.gzip).await?;
    Err(Failure::new(404, format!("endpoint {name} does not exist.")).into())
}

pub(super) async fn add(request: HttpRequest, payload: web::Payload, service: web::Data<Service>) -> Handled {
    body::read(&request, payload, service.max_request_bytes, service.gzip).await?;
    Err(Failure::new(501, "Functions cannot be deployed to this server yet.")
        .info("Put the function's code into the calculation's script instead.")
        .into())
}

pub(super) async fn upload_destination(service: web::Data<Service>) -> HttpResponse {
    let mut body = b"{\"path\": ".to_vec();
    write_json_string(&service.state_path.join("staging").to_string_lossy(), &mut body);
    body.push(b'}');
    json(200, body)
}
