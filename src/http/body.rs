//! A request's body, whole and not longer than allowed. The limit holds for what the body inflates to
//! as well. A body that is too long is read to its end before it is refused, within reason: a client
//! that is still sending would otherwise see a broken connection instead of the reason.

use std::io::Read as _;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use futures_util::{Stream, StreamExt as _};

use crate::failure::Failure;
use crate::pages;

/// A client that sends nothing for so long is not coming back.
const SILENCE: Duration = Duration::from_secs(60);

/// How much of a body that is refused anyway is still read.
const READ_FOR_COURTESY: usize = 1 << 30;

/// How long that may take.
const COURTESY: Duration = Duration::from_secs(20);

/// Reads the body; `limit` in bytes.
pub(super) async fn read(
    request: &HttpRequest,
    mut payload: Payload,
    limit: usize,
    gzip: bool,
) -> Result<Bytes, Failure> {
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<usize>().ok());
    if let Some(length) = announced.filter(|length| *length > limit) {
        // Known before the first byte; the connection lingers until the client has read this.
        return Err(too_large(length, limit));
    }
    let encoding = request.headers().get(CONTENT_ENCODING).and_then(|encoding| encoding.to_str().ok());
    match encoding.map(str::trim) {
        None | Some("" | "identity") => gather(&mut payload, limit, announced).await,
        Some(encoding) if encoding.eq_ignore_ascii_case("gzip") && gzip => {
            let compressed = gather(&mut payload, limit, announced).await?;
            // A small body may inflate to the limit, which would keep other requests of the thread waiting.
            let inflated = tokio::task::spawn_blocking(move || inflate(&compressed, limit)).await;
            inflated.unwrap_or_else(|_| Err(broken_gzip("it could not be inflated")))
        }
        Some(encoding) if encoding.eq_ignore_ascii_case("gzip") => {
            Err(Failure::new(400, "Compressed requests are switched off.")
                .info("TABPY_GZIP_ENABLE is false."))
        }
        Some(_) => {
            Err(Failure::new(400, "The body's Content-Encoding is not supported.").info("Use gzip or none."))
        }
    }
}

fn inflate(compressed: &[u8], limit: usize) -> Result<Bytes, Failure> {
    let mut whole = Vec::new();
    // One byte more than is allowed tells that there is more.
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    match MultiGzDecoder::new(compressed).take(most).read_to_end(&mut whole) {
        Ok(length) if length > limit => Err(too_large(length, limit)),
        Ok(_) => Ok(whole.into()),
        Err(error) => Err(broken_gzip(&error.to_string())),
    }
}

fn broken_gzip(reason: &str) -> Failure {
    Failure::new(400, "The request's body is not what its Content-Encoding says.")
        .info(format!("It is no gzip, or cut short: {reason}."))
}

async fn gather<S>(body: &mut S, limit: usize, announced: Option<usize>) -> Result<Bytes, Failure>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    // A tiny request arrives in one piece, which is then the body, uncopied.
    let Some(first) = next(body).await? else { return Ok(Bytes::new()) };
    if first.len() > limit {
        return Err(over(body, first.len(), limit).await);
    }
    let Some(second) = next(body).await? else { return Ok(first) };
    let mut whole = BytesMut::with_capacity(announced.unwrap_or(0).max(first.len() + second.len()));
    pages::prefer_large(whole.spare_capacity_mut());
    whole.extend_from_slice(&first);
    let mut chunk = Some(second);
    while let Some(bytes) = chunk {
        if whole.len() + bytes.len() > limit {
            return Err(over(body, whole.len() + bytes.len(), limit).await);
        }
        whole.extend_from_slice(&bytes);
        chunk = next(body).await?;
    }
    Ok(whole.freeze())
}

async fn next<S>(body: &mut S) -> Result<Option<Bytes>, Failure>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    match tokio::time::timeout(SILENCE, body.next()).await {
        Ok(None) => Ok(None),
        Ok(Some(Ok(bytes))) => Ok(Some(bytes)),
        Ok(Some(Err(error))) => Err(Failure::new(400, "The request's body could not be read.")
            .info(format!("It is cut short or malformed: {error}."))),
        Err(_) => Err(Failure::new(408, "The request's body did not arrive.")
            .info(format!("Nothing came for {} seconds.", SILENCE.as_secs()))),
    }
}

async fn over<S>(body: &mut S, size: usize, limit: usize) -> Failure
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    read_for_courtesy(body).await;
    too_large(size, limit)
}

async fn read_for_courtesy<S>(mut body: S)
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    let reading = async {
        let mut read = 0;
        while let Some(Ok(bytes)) = body.next().await {
            read += bytes.len();
            if read > READ_FOR_COURTESY {
                return;
            }
        }
    };
    // Whoever is slower than that gets the answer and a closed connection.
    let _ = tokio::time::timeout(COURTESY, reading).await;
}

fn too_large(size: usize, limit: usize) -> Failure {
    Failure::new(413, format!("Request with size {size} exceeded limit of {limit} (bytes)."))
        .info("Request Entity Too Large. The limit is set by TABPY_MAX_REQUEST_SIZE_MB.")
}
