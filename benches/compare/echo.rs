//! What the front could reach if nobody did any work: the same HTTP server, sending each body back.

use actix_web::web::{self, Bytes, PayloadConfig};
use actix_web::{App, HttpResponse, HttpServer};
use anyhow::Result;

/// Serves until it is ended.
pub(crate) fn serve(port: u16) -> Result<()> {
    actix_web::rt::System::new().block_on(async {
        let server = HttpServer::new(|| {
            App::new().app_data(PayloadConfig::new(1 << 30)).default_service(web::to(echo))
        });
        server.bind(("127.0.0.1", port))?.run().await
    })?;
    Ok(())
}

async fn echo(body: Bytes) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(body)
}
