//! Whether the client of a request is still there. A client that leaves closes its connection, and
//! nobody wants its answer; but one that only says that it has sent everything looks the same. So a
//! short request is answered in any case, and only what runs for longer is given up.

use std::any::Any;
use std::os::fd::{AsFd as _, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::Notify;

/// Between looks. A request has run for one to two of them before the first.
const PAUSE: Duration = Duration::from_secs(1);

thread_local! {
    /// The moments at which all requests of this thread look: a timer for each tiny one would cost more than that.
    static TICKS: Rc<Notify> = ticking();
}

fn ticking() -> Rc<Notify> {
    let ticks = Rc::new(Notify::new());
    let given = Rc::clone(&ticks);
    actix_web::rt::spawn(async move {
        loop {
            tokio::time::sleep(PAUSE).await;
            given.notify_waiters();
        }
    });
    ticks
}

/// A second handle to a connection, to look at it while its owner is waiting.
struct Connection(Arc<OwnedFd>);

/// Keeps what [`has_left`] will need; called once for each connection.
pub fn remember_connection(stream: &dyn Any, extensions: &mut Extensions) {
    if let Some(stream) = stream.downcast_ref::<TcpStream>()
        && let Ok(handle) = stream.as_fd().try_clone_to_owned()
    {
        extensions.insert(Connection(Arc::new(handle)));
    }
}

/// Returns when the client has closed its side for a while; never, as long as it listens.
pub(super) async fn has_left(request: &HttpRequest) {
    let Some(handle) = request.conn_data::<Connection>().map(|connection| Arc::clone(&connection.0)) else {
        return std::future::pending().await;
    };
    let ticks = TICKS.with(Rc::clone);
    ticks.notified().await;
    loop {
        ticks.notified().await;
        let mut watched = [PollFd::new(&*handle, PollFlags::RDHUP)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if poll(&mut watched, Some(&now)).is_ok_and(|ready| ready > 0) {
            return;
        }
    }
}
