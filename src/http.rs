//! The quiet front: every URL on one screen, and what a request passes on its way in. Handlers are
//! thin: what a script is, who may sign in and where Python runs is known elsewhere.

mod answer;
mod assets;
mod auth;
mod bodies;
mod body;
mod browser;
mod client;
mod details;
mod early;
mod edge;
mod endpoints;
mod evaluate;
mod functions;
mod health;
mod light;
mod listing;
mod metrics;
mod openapi;
mod packages;
mod pages;
mod query;
mod service;
mod silent;

use std::path::Path;
use std::sync::Arc;

use actix_files::Files;
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, HttpResponse, guard};

pub use body::COURTESY;
pub use client::remember_connection;
pub use service::{Admission, Service};
pub use silent::{HEADERS, KEEP_ALIVE};

/// The whole table. Whatever is not in it is 404, another method on what is in it is 405.
pub fn routes(config: &mut ServiceConfig, service: &Service) {
    let page = || web::get().to(pages::index);
    let prefix = service.subdirectory.as_str();
    let resource = |path: &str, allowed| resource(&format!("{prefix}{path}"), allowed);
    let alive = |path: &str| alive(&format!("{prefix}{path}"));
    config
        // What is asked for most comes first: the table is looked through from the top.
        .service(resource("/evaluate", "POST, OPTIONS").route(web::post().to(evaluate::evaluate)))
        .service(resource("/info", "GET, OPTIONS").route(web::get().to(service::info)))
        .service(
            resource("/query/{name}", "GET, POST, OPTIONS")
                .route(web::get().to(query::query_by_get))
                .route(web::post().to(query::query)),
        )
        .service(
            resource("/endpoints", "GET, POST, OPTIONS")
                .route(web::get().to(endpoints::list))
                .route(web::post().to(endpoints::add)),
        )
        .service(resource("/endpoints/", "GET, OPTIONS").route(web::get().to(endpoints::list)))
        .service(
            resource("/endpoints/{name}", "GET, PUT, DELETE, OPTIONS")
                .route(web::get().to(endpoints::one))
                .route(web::put().to(endpoints::change))
                .route(web::delete().to(endpoints::remove)),
        )
        .service(resource("/functions", "GET, OPTIONS").route(web::get().to(functions::list)))
        .service(
            resource("/functions/{name}", "GET, PUT, DELETE, OPTIONS")
                .route(web::get().to(functions::one))
                .route(web::put().to(functions::put))
                .route(web::delete().to(functions::remove)),
        )
        .service(
            resource("/functions/{name}/versions", "GET, OPTIONS").route(web::get().to(functions::versions)),
        )
        .service(
            resource("/functions/{name}/rollback", "POST, OPTIONS")
                .route(web::post().to(functions::roll_back)),
        )
        .service(resource("/status", "GET, OPTIONS").route(web::get().to(endpoints::status)))
        .service(
            resource("/configurations/endpoint_upload_destination", "GET, OPTIONS")
                .route(web::get().to(endpoints::upload_destination)),
        )
        .service(alive("/healthz"))
        // Some edges keep /healthz for themselves.
        .service(alive("/livez"))
        .service(
            resource("/readyz", "GET, HEAD, OPTIONS")
                .name("probe")
                .route(web::get().to(health::ready))
                .route(web::head().to(health::ready)),
        )
        .service(resource("/metrics", "GET, OPTIONS").route(web::get().to(metrics::text)))
        .service(resource("/live", "GET, OPTIONS").route(web::get().to(metrics::live)))
        .service(resource("/openapi.json", "GET, OPTIONS").route(web::get().to(openapi::document)))
        .service(
            resource("/docs", "GET, HEAD, OPTIONS")
                .route(web::get().to(openapi::page))
                .route(web::head().to(openapi::page)),
        )
        .service(resource("/server", "GET, HEAD, OPTIONS").route(page()).route(web::head().to(pages::index)));
    // One by one, since what else is called /assets/ is the operator's.
    for path in assets::paths() {
        config.service(resource(&path, "GET, OPTIONS").route(web::get().to(assets::asset)));
    }
    match &service.static_path {
        Some(folder) => config.service(own_files(&format!("{prefix}/"), folder)),
        None => config
            .service(resource("/", "GET, HEAD, OPTIONS").route(page()).route(web::head().to(pages::index)))
            .service(
                resource("/index.html", "GET, HEAD, OPTIONS")
                    .route(page())
                    .route(web::head().to(pages::index)),
            ),
    };
    config.default_service(web::to(answer::not_found));
}

/// The operator's own pages, where no route is; names that begin with a dot are left out.
fn own_files(path: &str, folder: &Path) -> Files {
    Files::new(path, folder)
        .index_file("index.html")
        .disable_content_disposition()
        .guard(guard::Any(guard::Get()).or(guard::Head()))
        .guard(guard::fn_guard(|request| is_plain(request.head().uri.path())))
        .default_handler(web::to(answer::not_found))
}

/// What is hidden, or leads out of the folder, is not there, rather than refused in another one's words.
fn is_plain(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    !["/.", "%2e", "%2f", "%5c", "%00"].iter().any(|odd| path.contains(odd))
}

fn alive(path: &str) -> actix_web::Resource {
    resource(path, "GET, HEAD, OPTIONS")
        .name("probe")
        .route(web::get().to(health::alive))
        .route(web::head().to(health::alive))
}

/// A path, and the methods that are found there.
fn resource(path: &str, allowed: &'static str) -> actix_web::Resource {
    let refuse = move |request| async move { answer::method_not_allowed(&request, allowed) };
    web::resource(path).default_service(web::to(refuse))
}

/// The application of one front thread, outermost first: the request's line in the log, the rules of the edge, for
/// browsers and of credentials, the table.
pub fn application(
    service: &Arc<Service>,
) -> App<
    impl actix_web::dev::ServiceFactory<
        actix_web::dev::ServiceRequest,
        Config = (),
        Response = actix_web::dev::ServiceResponse<impl actix_web::body::MessageBody + use<>>,
        Error = actix_web::Error,
        InitError = (),
    > + use<>,
> {
    App::new()
        .app_data(web::Data::from(Arc::clone(service)))
        .configure(|config| routes(config, service))
        .wrap(actix_web::middleware::from_fn(auth::admit))
        .wrap(tracing_actix_web::TracingLogger::<crate::telemetry::RequestLog>::new())
}

/// Any handler's result.
pub(crate) type Handled = Result<HttpResponse, answer::Refusal>;
