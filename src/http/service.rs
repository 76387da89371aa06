//! What handlers know: the settings that concern them, the pool, and `/info`, which is made once.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use actix_web::dev::ServiceResponse;
use actix_web::http::header::TryIntoHeaderValue as _;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{HttpResponse, web};
use actix_web_httpauth::headers::www_authenticate::WwwAuthenticate;
use actix_web_httpauth::headers::www_authenticate::basic::Basic;
use bytes::Bytes;

use super::answer::json;
use super::assets;
use super::bodies::Bodies;
use super::health::Watch;
use super::light::LightScripts;
use super::openapi::schema::{Refused, ServerInfo};
use crate::config::{Config, Timeout};
use crate::credentials::Credentials;
use crate::failure::write_json_string;
use crate::metrics::Route;
use crate::pool::Pool;
use crate::store::Store;

/// The TabPy whose API is spoken; clients tell by it what they may ask for.
const TABPY_VERSION: &str = "2.16.0";

/// Who gets in.
pub enum Admission {
    Open,
    Credentials(Arc<Credentials>),
}

pub struct Service {
    pub pool: Pool,
    pub store: Store,
    pub admission: Admission,
    /// Set when the server begins to stop.
    pub stopping: AtomicBool,
    pub watch: Watch,
    /// The newest generation of deployed functions.
    generation: Arc<AtomicU64>,
    pub(super) started: Instant,
    pub(super) name: String,
    pub(super) subdirectory: String,
    /// Under which calls are counted.
    pub(super) evaluate_route: Arc<Route>,
    pub(super) query_route: Arc<Route>,
    /// The executable whose packages scripts see.
    pub(super) python: PathBuf,
    pub(super) most_workers: usize,
    pub(super) worker_memory_bytes: u64,
    pub(super) state_path: PathBuf,
    pub(super) static_path: Option<PathBuf>,
    pub(super) gzip: bool,
    pub(super) max_request_bytes: usize,
    pub(super) bodies: Arc<Bodies>,
    pub(super) light_scripts: LightScripts,
    /// `/metrics` without credentials.
    metrics_open: bool,
    /// Whether the headers of the proxy in front are believed.
    pub(super) trust_proxy: bool,
    pub(super) evaluate_enabled: bool,
    pub(super) evaluate_timeout: Timeout,
    pub(super) query_timeout: Timeout,
    /// Listening on nothing but loopback, where names that point here are not to be trusted.
    pub(super) answers_to_loopback_only: bool,
    /// The `WWW-Authenticate` header.
    pub(super) challenge: HeaderValue,
    access_control: HeaderMap,
    allowed_origin: String,
    info: Bytes,
}

impl Service {
    pub fn new(
        config: &Config,
        admission: Admission,
        pool: Pool,
        store: Store,
        generation: Arc<AtomicU64>,
    ) -> anyhow::Result<Self> {
        let service = &config.service;
        let access = &service.access_control;
        let mut access_control = HeaderMap::new();
        for (header, value) in [
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, &access.allow_origin),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, &access.allow_headers),
            (header::ACCESS_CONTROL_ALLOW_METHODS, &access.allow_methods),
        ] {
            if !value.is_empty() {
                access_control.insert(header, HeaderValue::from_str(value)?);
            }
        }
        let realm = service.name.replace(['"', '\\'], "'");
        let challenge = WwwAuthenticate(Basic::with_realm(realm)).try_into_value()?;
        Ok(Self {
            pool,
            store,
            stopping: AtomicBool::new(false),
            generation,
            started: Instant::now(),
            python: config.python.executable.clone(),
            most_workers: config.pool.max_workers,
            worker_memory_bytes: config.pool.worker_memory_bytes,
            watch: Watch::default(),
            name: service.name.clone(),
            subdirectory: service.subdirectory.clone(),
            evaluate_route: Route::new(format!("{}/evaluate", service.subdirectory)).into(),
            query_route: Route::new(format!("{}/query/{{name}}", service.subdirectory)).into(),
            state_path: service.state_path.clone(),
            static_path: config.http.static_path.clone(),
            gzip: config.http.gzip,
            max_request_bytes: config.http.max_request_bytes,
            bodies: Bodies::new(config.http.bodies_bytes, config.evaluate.timeout.duration),
            light_scripts: LightScripts::default(),
            metrics_open: config.http.metrics_open,
            trust_proxy: config.http.trust_proxy,
            evaluate_enabled: config.evaluate.enabled,
            evaluate_timeout: config.evaluate.timeout.clone(),
            query_timeout: config.query_timeout.clone(),
            answers_to_loopback_only: config.listen.iter().all(|address| address.ip().is_loopback()),
            challenge,
            access_control,
            allowed_origin: access.allow_origin.clone(),
            info: info_body(config, matches!(admission, Admission::Credentials(_))).into(),
            admission,
        })
    }

    /// The newest generation of deployed functions.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Where deployed functions live, in words.
    pub(super) fn functions_kept(&self) -> String {
        let place = self.store.place();
        self.store.complaint().map_or_else(|| place.to_owned(), |complaint| format!("{place}. {complaint}"))
    }

    /// A path without the subdirectory, if it lies below that.
    pub(super) fn below<'path>(&self, path: &'path str) -> Option<&'path str> {
        path.strip_prefix(self.subdirectory.as_str())
    }

    /// Paths that tell nothing and so need no credentials.
    pub(super) fn is_open_path(&self, path: &str) -> bool {
        self.is_probe(path)
            || self
                .below(path)
                .is_some_and(|path| assets::is_one(path) || path == "/metrics" && self.metrics_open)
    }

    pub(super) fn is_probe(&self, path: &str) -> bool {
        self.below(path).is_some_and(|path| matches!(path, "/healthz" | "/livez" | "/readyz"))
    }

    pub(super) fn is_page(&self, path: &str) -> bool {
        self.below(path).is_some_and(|path| matches!(path, "/" | "/index.html" | "/server"))
    }

    pub(super) fn allows_origin(&self, origin: &str) -> bool {
        // Nothing is allowed where nothing is set, least of all an origin that says nothing.
        !origin.is_empty() && (self.allowed_origin == "*" || self.allowed_origin.eq_ignore_ascii_case(origin))
    }

    /// Adds the Access-Control headers of state.ini.
    pub(super) fn with_access_control<B>(&self, mut response: ServiceResponse<B>) -> ServiceResponse<B> {
        for (name, value) in &self.access_control {
            response.headers_mut().insert(name.clone(), value.clone());
        }
        response
    }
}

/// What the server is, as Tableau asks before anything else.
#[utoipa::path(
    get, path = "/info", tag = "server", operation_id = "info",
    responses((status = 200, description = "Name, version and features", body = ServerInfo), Refused)
)]
pub(super) async fn info(service: web::Data<Service>) -> HttpResponse {
    json(200, service.info.clone())
}

fn info_body(config: &Config, authentication: bool) -> Vec<u8> {
    let service = &config.service;
    let mut body = Vec::new();
    let mut text = |key: &str, value: &str| {
        body.extend_from_slice(if body.is_empty() { b"{" } else { b", " });
        write_json_string(key, &mut body);
        body.extend_from_slice(b": ");
        write_json_string(value, &mut body);
    };
    text("description", &service.description);
    text("creation_time", &service.creation_time);
    text("state_path", &service.state_path.to_string_lossy());
    text("server_version", TABPY_VERSION);
    text("name", &service.name);
    body.extend_from_slice(b", \"versions\": {\"v1\": {\"features\": {");
    if authentication {
        body.extend_from_slice(
            b"\"authentication\": {\"required\": true, \"methods\": {\"basic-auth\": {}}}, ",
        );
    }
    let features = format!(
        "\"evaluate_enabled\": {}, \"gzip_enabled\": {}, \"arrow_enabled\": false}}}}}}}}",
        config.evaluate.enabled, config.http.gzip
    );
    body.extend_from_slice(features.as_bytes());
    body
}
