//! A request's body, whole and not longer than allowed. The limit holds for what the body inflates to
//! as well. A body that is too long is read to its end before it is refused, within reason: a client
//! that is still sending would otherwise see a broken connection instead of the reason.

use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use actix_web::web::{Data, Payload};
use actix_web::{HttpMessage as _, HttpRequest};
use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use futures_util::{FutureExt as _, Stream, StreamExt as _};

use super::Service;
use super::bodies::{Bodies, SMALL, Share};
use super::early::Early;
use crate::failure::Failure;
use crate::large_pages;
use crate::ticks;

/// A client that sends nothing for so long is not coming back.
const SILENCE: Duration = Duration::from_secs(60);

/// How much of a body that is refused anyway is still read.
const READ_FOR_COURTESY: usize = 1 << 30;

/// How long that may take, also after the answer.
pub const COURTESY: Duration = Duration::from_secs(20);

/// A body arrives within a minute, and has so much longer for each MB: what it takes of memory is others',
/// too.
const FOR_A_MEGABYTE: Duration = Duration::from_secs(4);

/// Reads the body; `limit` in bytes. It may go to a worker while it comes.
pub(super) async fn read(
    request: &HttpRequest,
    mut payload: Payload,
    limit: usize,
    early: Option<&mut Early<'_>>,
) -> Result<Bytes, Failure> {
    let Some(service) = request.app_data::<Data<Service>>() else {
        return Err(Failure::new(500, "The server does not know its own settings."));
    };
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
    let inflated = match encoding.map(str::trim) {
        None | Some("" | "identity") => false,
        Some(encoding) if encoding.eq_ignore_ascii_case("gzip") && service.gzip => true,
        Some(encoding) if encoding.eq_ignore_ascii_case("gzip") => {
            return Err(Failure::new(400, "Compressed requests are switched off.")
                .info("TABPY_GZIP_ENABLE is false."));
        }
        Some(_) => {
            return Err(
                Failure::new(400, "The body's Content-Encoding is not supported.").info("Use gzip or none.")
            );
        }
    };
    let early = early.filter(|_| !inflated);
    let body = if request.head().upgrade() && !request.chunked().unwrap_or(false) {
        let mut body = Box::pin(cut(payload, announced.unwrap_or(0)));
        Box::pin(gather(&mut body, limit, announced, &service.bodies, None)).await?
    } else {
        gather(&mut payload, limit, announced, &service.bodies, early).await?
    };
    if !inflated {
        return Ok(body);
    }
    let share = service.bodies.take(promised(&body).min(limit)).await?;
    // A small body may inflate to the limit, which would keep other requests of the thread waiting.
    let inflated = tokio::task::spawn_blocking(move || inflate(&body, limit, share)).await;
    inflated.unwrap_or_else(|_| Err(broken_gzip("it could not be inflated")))
}

/// So many bytes. Behind a body with which a client proposes another protocol comes that protocol, or nothing, but
/// no end.
fn cut(payload: Payload, length: usize) -> impl Stream<Item = Result<Bytes, PayloadError>> {
    futures_util::stream::unfold((payload, length), |(mut payload, left)| async move {
        if left == 0 {
            return None;
        }
        let part = payload.next().await?.map(|mut bytes| {
            bytes.truncate(left);
            bytes
        });
        let read = part.as_ref().map_or(0, Bytes::len);
        Some((part, (payload, left - read)))
    })
}

/// How long a gzip says that it is inflated, in its last bytes; which need not be true.
fn promised(compressed: &[u8]) -> usize {
    let length = compressed.last_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    usize::try_from(length).unwrap_or(usize::MAX)
}

fn inflate(compressed: &[u8], limit: usize, mut share: Share) -> Result<Bytes, Failure> {
    let mut whole = Vec::new();
    // One byte more than is allowed tells that there is more.
    let most = limit.saturating_add(1);
    let mut decoder = MultiGzDecoder::new(compressed);
    loop {
        // No more memory than there is a share for; the last byte of it tells whether there is more to come.
        let room = share.bytes().max(whole.len() + SMALL).saturating_add(1).min(most);
        if !share.try_grow(room) {
            return Err(share.full());
        }
        whole.reserve_exact(room - whole.len());
        let before = whole.len();
        let part = u64::try_from(room - before).unwrap_or(u64::MAX);
        match decoder.by_ref().take(part).read_to_end(&mut whole) {
            Ok(_) if whole.len() > limit => return Err(too_large(whole.len(), limit)),
            Ok(read) if read < room - before => return Ok(share.hold(whole)),
            Ok(_) => {
                if !share.try_grow(whole.len().saturating_mul(2).min(most)) {
                    return Err(share.full());
                }
            }
            Err(error) => return Err(broken_gzip(&error.to_string())),
        }
    }
}

fn broken_gzip(reason: &str) -> Failure {
    Failure::new(400, "The request's body is not what its Content-Encoding says.")
        .info(format!("It is no gzip, or cut short: {reason}."))
}

/// What only long bodies need is in boxes: memory of this size for each request is found at once, of twice this size
/// it is not.
async fn gather<S>(
    body: &mut S,
    limit: usize,
    announced: Option<usize>,
    bodies: &Arc<Bodies>,
    mut early: Option<&mut Early<'_>>,
) -> Result<Bytes, Failure>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    let share = match announced {
        Some(length) if length > SMALL => match Box::pin(bodies.take(length)).await {
            Ok(share) => {
                if let Some(early) = &mut early {
                    early.begins(length);
                }
                share
            }
            Err(failure) => {
                Box::pin(read_for_courtesy(body)).await;
                return Err(failure);
            }
        },
        _ => bodies.count(announced.unwrap_or(0)),
    };
    // A tiny request arrives in one piece, which is then the body, uncopied.
    let Some(first) = next(body).await? else { return Ok(Bytes::new()) };
    if first.len() > limit {
        return Err(Box::pin(over(body, first.len(), limit)).await);
    }
    let Some(second) = next(body).await? else { return Ok(share.hold(first)) };
    Box::pin(gather_parts(body, limit, share, early, [first, second])).await
}

/// The same for a body that comes in several parts, of which two have come.
async fn gather_parts<S>(
    body: &mut S,
    limit: usize,
    mut share: Share,
    mut early: Option<&mut Early<'_>>,
    [first, second]: [Bytes; 2],
) -> Result<Bytes, Failure>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    let until = Instant::now() + SILENCE + FOR_A_MEGABYTE * u32::try_from(limit >> 20).unwrap_or(u32::MAX);
    let mut whole = BytesMut::with_capacity(share.bytes().max(first.len() + second.len()));
    large_pages::prefer(whole.spare_capacity_mut());
    whole.extend_from_slice(&first);
    let mut length = first.len();
    let mut chunk = Some(second);
    while let Some(bytes) = chunk {
        length += bytes.len();
        if length > share.bytes()
            && let Some(early) = &mut early
        {
            // As many bytes are read as were announced, and this is more.
            early.stop(&mut whole);
        }
        if length > limit {
            return Err(over(body, length, limit).await);
        }
        if length > share.bytes() {
            let more = length.saturating_mul(2).min(limit);
            let grown = if length > SMALL {
                share.grow(more).await
            } else {
                share.add(more);
                Ok(())
            };
            if let Err(failure) = grown {
                read_for_courtesy(body).await;
                return Err(failure);
            }
            whole.reserve(more - whole.len());
            large_pages::prefer(whole.spare_capacity_mut());
        }
        let now = Instant::now();
        if now > until {
            return Err(late());
        }
        chunk = match &mut early {
            Some(early) => {
                early.goes_on(&mut whole, &bytes, now);
                next_in_time(body, early).await?
            }
            None => {
                whole.extend_from_slice(&bytes);
                next(body).await?
            }
        };
    }
    if let Some(early) = early {
        if let Some(whole) = early.whole() {
            return Ok(share.hold(whole));
        }
        early.stop(&mut whole);
    }
    Ok(share.hold(whole.freeze()))
}

/// The next part of a body for which a worker may wait.
async fn next_in_time<S>(body: &mut S, early: &mut Early<'_>) -> Result<Option<Bytes>, Failure>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    if let Some(until) = early.waits_until() {
        if let Ok(come) = tokio::time::timeout_at(until.into(), next(body)).await {
            return come;
        }
        early.give_up();
    }
    next(body).await
}

async fn next<S>(body: &mut S) -> Result<Option<Bytes>, Failure>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    // What has come already needs no clock.
    let coming = match body.next().now_or_never() {
        Some(come) => Ok(come),
        None => {
            let now = Instant::now();
            ticks::timeout_at(now, now + SILENCE, &mut body.next()).await
        }
    };
    match coming {
        Ok(None) => Ok(None),
        Ok(Some(Ok(bytes))) => Ok(Some(bytes)),
        Ok(Some(Err(error))) => Err(Failure::new(400, "The request's body could not be read.")
            .info(format!("It is cut short or malformed: {error}."))),
        Err(_) => Err(Failure::new(408, "The request's body did not arrive.")
            .info(format!("Nothing came for {} seconds.", SILENCE.as_secs()))),
    }
}

fn late() -> Failure {
    Failure::new(408, "The request's body did not arrive.").info("It came too slowly.")
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
