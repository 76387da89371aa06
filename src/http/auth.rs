//! What every request passes before it reaches the table: the edge's word that it came by https, the rules
//! for browsers, then credentials.
//! Probes, OPTIONS and embedded assets are open to everybody, because they tell nothing.

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{ConnectionType, Method, header};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpResponse, web};

use super::answer::{json, refused};
use super::browser;
use super::client;
use super::edge::{self, Scheme};
use super::service::{Admission, Service};
use crate::credentials::{Credentials, Verdict};
use crate::failure::Failure;
use crate::telemetry::{self, Record};

/// What is logged meanwhile is about the request.
pub(super) fn admit<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> impl Future<Output = Result<ServiceResponse<EitherBody<B, BoxBody>>, Error>> {
    telemetry::about(telemetry::id(&request), pass(request, next))
}

async fn pass<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    let _open = client::open(&request);
    let Some(service) = request.app_data::<web::Data<Service>>().cloned() else {
        return Ok(request
            .into_response(refused(&Failure::new(500, "Internal error")))
            .map_into_right_body());
    };
    if let Some(caller) = edge::caller(&request, &service)
        && let Some(record) = request.extensions_mut().get_mut::<Record>()
    {
        record.caller = Some(caller);
    }
    let proposes = request.head().upgrade();
    let by_https = edge::scheme(request.headers(), &service) == Scheme::Https;
    let mut admitted = match refuse(&request, &service).await {
        Some(response) => request.into_response(response).map_into_right_body(),
        // actix turns such an error into an answer; it is about the connection, not about a script.
        None => next
            .call(request)
            .await
            .inspect_err(|_| tracing::info!("the request could not be answered"))?
            .map_into_left_body(),
    };
    if proposes {
        // No other protocol is spoken here; and behind such a request nothing else is understood as this one.
        admitted.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    if by_https {
        admitted.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, edge::ONLY_HTTPS);
    }
    Ok(service.with_access_control(admitted))
}

/// The answer, where the request does not get through.
async fn refuse(request: &ServiceRequest, service: &Service) -> Option<HttpResponse> {
    if let Some(response) = edge::refuse_plain_http(request, service) {
        return Some(response);
    }
    if let Err(failure) = browser::check(request, service) {
        return Some(refused(&failure));
    }
    if request.method() == Method::OPTIONS {
        return Some(json(200, "{}"));
    }
    if service.is_open_path(request.path()) {
        return None;
    }
    let given = request.headers().get(header::AUTHORIZATION).map(header::HeaderValue::as_bytes);
    let credentials = match &service.admission {
        Admission::Open => {
            // As TabPy, which minds only a name and a password that are whole. A browser that once signed in goes on sending what it knows; the page is no API call.
            // Looking through all routes comes last, as hardly anybody sends credentials here.
            let refused = given.is_some_and(Credentials::are_in)
                && !service.is_page(request.path())
                && request.resource_map().has_resource(request.path());
            return refused.then(|| not_acceptable(service));
        }
        Admission::Credentials(credentials) => credentials,
    };
    let Some(given) = given else { return Some(unauthorized(service)) };
    if request.headers().get_all(header::AUTHORIZATION).count() > 1 {
        // Whoever stands between may have looked at the other one.
        return Some(unauthorized(service));
    }
    let user = match credentials.seen(given) {
        Some(user) => user,
        None => match credentials.verify(given).await {
            Verdict::Verified(user) => user,
            Verdict::Rejected => return Some(unauthorized(service)),
            Verdict::Busy => return Some(refused(&too_many())),
        },
    };
    if let Some(record) = request.extensions_mut().get_mut::<Record>() {
        record.user = Some(user);
    }
    None
}

fn unauthorized(service: &Service) -> HttpResponse {
    challenge(service, &Failure::new(401, "Invalid credentials provided.").info("Unauthorized request."))
}

fn not_acceptable(service: &Service) -> HttpResponse {
    let failure = Failure::new(406, "Username or password provided when authentication not available.")
        .info("Not Acceptable");
    challenge(service, &failure)
}

fn challenge(service: &Service, failure: &Failure) -> HttpResponse {
    let mut response = refused(failure);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, service.challenge.clone());
    response
}

fn too_many() -> Failure {
    Failure::new(503, "Too many sign-ins at once.")
        .info("The server is checking as many passwords as it can. Try again in a moment.")
        .retry_after(1)
}
