//! An answer's body: in one piece, or, if it is long, in those in which it came. What a slow client does not take
//! waits here: never in the worker, which is given to the next request as soon as it has said everything.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;

use crate::heap;

pub enum Body {
    Whole(Bytes),
    Parts(Parts),
}

/// The parts of a body, each of which is let go of when it was sent; those that share memory free it together.
pub struct Parts {
    length: usize,
    left: std::vec::IntoIter<Bytes>,
}

impl Body {
    /// All of it in one piece.
    pub fn whole(self) -> Bytes {
        match self {
            Self::Whole(bytes) => bytes,
            Self::Parts(mut parts) => {
                let mut whole = BytesMut::with_capacity(parts.length);
                for part in parts.left.by_ref() {
                    whole.extend_from_slice(&part);
                }
                whole.freeze()
            }
        }
    }
}

impl Parts {
    pub(super) fn new(parts: Vec<Bytes>) -> Self {
        Self { length: parts.iter().map(Bytes::len).sum(), left: parts.into_iter() }
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
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.get_mut().left.next().map(Ok))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn a_body_is_the_same_in_parts_and_whole() {
        let parts = || Parts::new(vec![Bytes::from_static(b"ab"), Bytes::from_static(b"cde")]);
        assert_eq!(parts().length(), 5);
        assert_eq!(Body::Parts(parts()).whole(), "abcde");
        let streamed: Vec<_> = parts().map(|part| part.unwrap()).collect().await;
        assert_eq!(streamed, ["ab", "cde"]);
    }
}
