//! What the pages load: style, behaviour and icon, which come with the server and carry no data. Their
//! address holds a digest, so browsers keep them until they change.

use std::sync::LazyLock;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use sha2::{Digest as _, Sha256};

use super::answer;

/// Name, kind and contents.
const ALL: [(&str, &str, &[u8]); 3] = [
    ("page.css", "text/css; charset=utf-8", include_bytes!("../../assets/page.css")),
    ("page.js", "text/javascript; charset=utf-8", include_bytes!("../../assets/page.js")),
    ("icon.svg", "image/svg+xml", include_bytes!("../../assets/icon.svg")),
];

/// Changes with any of them; stands behind the `?` of each address.
pub(super) static DIGEST: LazyLock<String> = LazyLock::new(|| {
    let whole = ALL.iter().fold(Sha256::new(), |digest, (_, _, contents)| digest.chain_update(contents));
    whole.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
});

/// Whether there is one below this path. Other names are the operator's.
pub(super) fn is_one(path: &str) -> bool {
    path.strip_prefix("/assets/").is_some_and(|name| find(name).is_some())
}

fn find(name: &str) -> Option<&'static (&'static str, &'static str, &'static [u8])> {
    ALL.iter().find(|(known, _, _)| *known == name)
}

/// The routes of all of them.
pub(super) fn paths() -> impl Iterator<Item = String> {
    ALL.iter().map(|(name, _, _)| format!("/assets/{name}"))
}

pub(super) async fn asset(request: HttpRequest) -> HttpResponse {
    let Some((_, kind, contents)) = request.path().rsplit('/').next().and_then(find) else {
        return answer::not_found(request).await;
    };
    // Another version of the server has another address for it.
    let kept = if request.query_string() == DIGEST.as_str() {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let response = HttpResponse::Ok()
        .content_type(*kind)
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CACHE_CONTROL, kept))
        .finish();
    answer::with_body(&request, response, contents)
}
