//! A website must not run Python on somebody's server. A browser says where a request comes from
//! (`Origin`, `Sec-Fetch-Site`), and a name that was made to point here shows in `Host`; Tableau sends
//! neither. Opening a page by a link from elsewhere works: only what runs or changes something is refused.

use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::http::header::{HOST, HeaderName, ORIGIN};

use super::edge::{self, Scheme};
use super::service::{Admission, Service};
use crate::failure::Failure;

static SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

pub(super) fn check(request: &ServiceRequest, service: &Service) -> Result<(), Failure> {
    if service.answers_to_loopback_only && matches!(service.admission, Admission::Open) {
        check_host(request)?;
    }
    if !runs_or_changes(request) {
        return Ok(());
    }
    let origin = text(request, &ORIGIN);
    let trusted =
        origin.is_some_and(|origin| is_own(origin, request, service) || service.allows_origin(origin));
    let cross_site = text(request, &SITE).is_some_and(|site| site.eq_ignore_ascii_case("cross-site"));
    // An Origin that is no text is nobody's own.
    let foreign = request.headers().contains_key(ORIGIN) || cross_site;
    if foreign && !trusted {
        return Err(Failure::new(403, "A web page from another site may not run scripts on this server.")
            .info("If that page is yours, name its origin as Access-Control-Allow-Origin in state.ini."));
    }
    Ok(())
}

fn runs_or_changes(request: &ServiceRequest) -> bool {
    match *request.method() {
        // A GET runs a function or only reads. With a % in it the former can be spelled in many ways.
        Method::GET => request.path().contains("/query/") || request.path().contains('%'),
        Method::HEAD | Method::OPTIONS => false,
        _ => true,
    }
}

/// Whether the origin is the server itself, under the name that the browser knows it by. Which scheme that
/// is only the edge can tell.
fn is_own(origin: &str, request: &ServiceRequest, service: &Service) -> bool {
    let Some(host) = edge::host(request.headers(), service) else { return false };
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let default_port = match scheme {
        // Whoever sits between can write such a page, but not one that came by https.
        "http" if edge::scheme(request.headers(), service) == Scheme::Https => return false,
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let plain = |name: &str| name.strip_suffix(default_port).unwrap_or(name).to_ascii_lowercase();
    plain(authority) == plain(host)
}

fn check_host(request: &ServiceRequest) -> Result<(), Failure> {
    let name = text(request, &HOST).map(without_port).unwrap_or_default();
    if ["localhost", "127.0.0.1", "[::1]"].iter().any(|own| own.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    Err(Failure::new(403, "This server runs without authentication and answers only to localhost.").info(
        "Use http://localhost or 127.0.0.1, or set TABPY_USERNAME and TABPY_PASSWORD to serve other names.",
    ))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn text<'request>(request: &'request ServiceRequest, name: &HeaderName) -> Option<&'request str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}
