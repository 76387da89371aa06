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
mod edge;
mod endpoints;
mod evaluate;
mod functions;
mod health;
mod listing;
mod metrics;
mod packages;
mod pages;
mod query;
mod service;

use std::sync::Arc;

use actix_web::web::{self, ServiceConfig};
use actix_web::{App, HttpResponse};

pub use client::remember_connection;
pub use service::{Admission, Service};

/// The whole table. Whatever is not in it is 404, another method on what is in it is 405.
pub fn routes(config: &mut ServiceConfig, prefix: &str) {
    let page = || web::get().to(pages::index);
    let routes = web::scope(prefix)
        .service(resource("/info").route(web::get().to(service::info)))
        .service(resource("/evaluate").route(web::post().to(evaluate::evaluate)))
        .service(
            resource("/query/{name}").route(web::get().to(query::query)).route(web::post().to(query::query)),
        )
        .service(
            resource("/endpoints")
                .route(web::get().to(endpoints::list))
                .route(web::post().to(endpoints::add)),
        )
        .service(resource("/endpoints/").route(web::get().to(endpoints::list)))
        .service(
            resource("/endpoints/{name}")
                .route(web::get().to(endpoints::one))
                .route(web::put().to(endpoints::change))
                .route(web::delete().to(endpoints::remove)),
        )
        .service(resource("/functions").route(web::get().to(functions::list)))
        .service(
            resource("/functions/{name}")
                .route(web::get().to(functions::one))
                .route(web::put().to(functions::put))
                .route(web::delete().to(endpoints::remove)),
        )
        .service(resource("/functions/{name}/versions").route(web::get().to(functions::versions)))
        .service(resource("/functions/{name}/rollback").route(web::post().to(functions::roll_back)))
        .service(resource("/status").route(web::get().to(endpoints::status)))
        .service(
            resource("/configurations/endpoint_upload_destination")
                .route(web::get().to(endpoints::upload_destination)),
        )
        .service(alive("/healthz"))
        // Some edges keep /healthz for themselves.
        .service(alive("/livez"))
        .service(
            resource("/readyz")
                .name("probe")
                .route(web::get().to(health::ready))
                .route(web::head().to(health::ready)),
        )
        .service(resource("/metrics").route(web::get().to(metrics::text)))
        .service(resource("/live").route(web::get().to(metrics::live)))
        .service(resource("/assets/{name}").route(web::get().to(assets::asset)))
        .service(resource("/").route(page()).route(web::head().to(pages::index)))
        .service(resource("/index.html").route(page()).route(web::head().to(pages::index)));
    config.service(routes).default_service(web::to(answer::not_found));
}

fn alive(path: &str) -> actix_web::Resource {
    resource(path).name("probe").route(web::get().to(health::alive)).route(web::head().to(health::alive))
}

fn resource(path: &str) -> actix_web::Resource {
    web::resource(path).default_service(web::to(answer::method_not_allowed))
}

/// The application of one front thread, outermost first: the log's span, the rules of the edge, for
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
    let prefix = service.subdirectory.clone();
    App::new()
        .app_data(web::Data::from(Arc::clone(service)))
        .configure(|config| routes(config, &prefix))
        .wrap(actix_web::middleware::from_fn(auth::admit))
        .wrap(tracing_actix_web::TracingLogger::<crate::telemetry::RequestSpan>::new())
}

/// Any handler's result.
pub(crate) type Handled = Result<HttpResponse, answer::Refusal>;
