//! An answer's body: whole, or, if it is long, on its way. What has come of it is passed on while the rest
//! is still coming, and what a slow client does not take waits here: never in the worker, which is given to
//! the next request as soon as it has said everything.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::heap;

pub enum Body {
    Whole(Bytes),
    Parts(Parts),
}

/// A body of known length that has not come whole yet.
pub struct Parts {
    length: usize,
    missing: usize,
    coming: UnboundedReceiver<Bytes>,
}

impl Body {
    /// Waits for the rest, if there is one.
    pub async fn whole(self) -> io::Result<Bytes> {
        match self {
            Self::Whole(bytes) => Ok(bytes),
            Self::Parts(mut parts) => {
                let mut whole = BytesMut::with_capacity(parts.length);
                while let Some(part) = parts.next().await {
                    whole.extend_from_slice(&part?);
                }
                Ok(whole.freeze())
            }
        }
    }
}

impl Parts {
    /// A body of so many bytes, and where they are to be put; no more are than that.
    pub(super) fn new(length: usize) -> (UnboundedSender<Bytes>, Self) {
        let (sender, coming) = unbounded_channel();
        (sender, Self { length, missing: length, coming })
    }

    pub fn length(&self) -> usize {
        self.length
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        heap::freed(self.length);
    }
}

impl Stream for Parts {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        this.coming.poll_recv(context).map(|part| match part {
            Some(part) => {
                this.missing = this.missing.saturating_sub(part.len());
                Some(Ok(part))
            }
            None if this.missing == 0 => None,
            None => {
                this.missing = 0;
                Some(Err(io::Error::new(ErrorKind::UnexpectedEof, "the worker ended while it answered")))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_comes_whole_or_is_an_error() {
        let (sender, parts) = Parts::new(5);
        sender.send(Bytes::from_static(b"ab")).unwrap();
        sender.send(Bytes::from_static(b"cde")).unwrap();
        drop(sender);
        assert_eq!(Body::Parts(parts).whole().await.unwrap(), "abcde");
        let (sender, parts) = Parts::new(5);
        sender.send(Bytes::from_static(b"abcd")).unwrap();
        drop(sender);
        assert_eq!(Body::Parts(parts).whole().await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}
