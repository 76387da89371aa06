//! What the proxy in front says of a request, where `TABPY_TRUST_PROXY` lets it be believed: whose request
//! it is, whether it came by https, and which host its sender asked for. Each proxy appends what it saw
//! itself, so of several values the last one counts; those before it may be anybody's claims. A request
//! without these headers has not come through the proxy: it is a probe, or the machine's own.

use std::net::{IpAddr, SocketAddr};

use actix_web::HttpResponse;
use actix_web::dev::ServiceRequest;
use actix_web::http::header::{
    CACHE_CONTROL, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, X_FORWARDED_FOR, X_FORWARDED_HOST,
    X_FORWARDED_PROTO,
};
use actix_web::http::{Method, StatusCode};

use super::answer::refused;
use super::service::Service;
use crate::failure::Failure;

/// A year, in which a browser does not try plain http. The platform's other hosts are none of our business.
pub(super) const ONLY_HTTPS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// How a request reached the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
    /// There is no proxy, or it does not say.
    Unknown,
}

pub(super) fn scheme(headers: &HeaderMap, service: &Service) -> Scheme {
    if !service.trust_proxy {
        return Scheme::Unknown;
    }
    match last(headers, &X_FORWARDED_PROTO) {
        Some(scheme) if scheme.eq_ignore_ascii_case("https") => Scheme::Https,
        Some(scheme) if scheme.eq_ignore_ascii_case("http") => Scheme::Http,
        _ => Scheme::Unknown,
    }
}

/// The address that the proxy had the request from.
pub(super) fn caller(request: &ServiceRequest, service: &Service) -> Option<IpAddr> {
    if !service.trust_proxy {
        return None;
    }
    let address = last(request.headers(), &X_FORWARDED_FOR)?;
    // Some proxies add the port.
    let with_port = || address.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bare = address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address);
    bare.parse().ok().or_else(with_port)
}

/// The host that the sender asked for, which the proxy may have replaced by ours.
pub(super) fn host<'request>(headers: &'request HeaderMap, service: &Service) -> Option<&'request str> {
    let forwarded = service.trust_proxy.then(|| last(headers, &X_FORWARDED_HOST)).flatten();
    forwarded.or_else(|| headers.get(HOST)?.to_str().ok())
}

/// The answer to a request that came to the proxy by plain http: whoever wants to read a page is sent to
/// where it is safe, everybody else is told. Nobody's credentials have been looked at by then.
pub(super) fn refuse_plain_http(request: &ServiceRequest, service: &Service) -> Option<HttpResponse> {
    if scheme(request.headers(), service) != Scheme::Http || service.is_probe(request.path()) {
        return None;
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let page = reads && (service.is_page(request.path()) || service.is_open_path(request.path()));
    let secure = if page { https_address(request, service) } else { None };
    Some(match secure {
        Some(address) => HttpResponse::build(StatusCode::PERMANENT_REDIRECT)
            .insert_header((LOCATION, address))
            .insert_header((CACHE_CONTROL, "no-store"))
            .finish(),
        None => refused(&Failure::new(403, "This server is reached by HTTPS only.").info(
            "In Tableau, use port 443 and require SSL; elsewhere write https://. A password that was sent without it \
             may have been read on its way: change it.",
        )),
    })
}

/// The same page by https, on its usual port.
fn https_address(request: &ServiceRequest, service: &Service) -> Option<String> {
    let host = host(request.headers(), service)?;
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte);
    let usable = !name.is_empty() && name.bytes().all(plain);
    usable.then(|| {
        format!("https://{name}{}", request.uri().path_and_query().map_or("/", |path| path.as_str()))
    })
}

/// The last of a header's values, over all its lines.
fn last<'request>(headers: &'request HeaderMap, name: &HeaderName) -> Option<&'request str> {
    let line = headers.get_all(name).last()?.to_str().ok()?;
    let value = line.rsplit(',').next()?.trim();
    (!value.is_empty()).then_some(value)
}
