//! Whether the client of a request is still there. A client that leaves closes its connection, and
//! nobody wants its answer; but one that only says that it has sent everything looks the same. So a
//! short request is answered in any case, and only what runs for longer is given up.

use std::any::Any;
use std::os::fd::{AsFd as _, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::dev::{Extensions, ServiceRequest};
use actix_web::rt::net::TcpStream;
use rustix::event::PollFlags;

use super::silent::{self, Open, Requests, shows};
use crate::ticks::tick;

/// A second handle to a connection, to look at it while its owner is waiting.
struct Connection {
    handle: Arc<OwnedFd>,
    requests: Rc<Requests>,
}

/// Keeps what is asked for below; called once for each connection, by the thread that has it.
pub fn remember_connection(stream: &dyn Any, extensions: &mut Extensions) {
    if let Some(stream) = stream.downcast_ref::<TcpStream>()
        && let Ok(handle) = stream.as_fd().try_clone_to_owned()
    {
        let handle = Arc::new(handle);
        let requests = silent::watch(&handle);
        extensions.insert(Connection { handle, requests });
    }
}

/// Notes that a request has begun, and that it is over when this is dropped.
pub(super) fn open(request: &ServiceRequest) -> Option<Open> {
    request.conn_data::<Connection>().map(|connection| Open::new(&connection.requests))
}

/// Returns when the client has closed its side for a while; never, as long as it listens.
pub(super) async fn has_left(request: &HttpRequest) {
    let Some(handle) = request.conn_data::<Connection>().map(|connection| Arc::clone(&connection.handle))
    else {
        return std::future::pending().await;
    };
    // A request has run for one to two pauses before the first look.
    tick().await;
    loop {
        tick().await;
        if shows(&handle, PollFlags::RDHUP) {
            return;
        }
    }
}
