//! Connections on which no request comes. The HTTP library closes one between two requests, and one whose first
//! headers do not come whole; but for the headers of a later request it waits without end, and a connection is a
//! descriptor. So a thread of the front looks at its connections from time to time, and closes those that have been
//! open for nothing for longer than both waits take.

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{Shutdown, shutdown};
use tokio::task::AbortHandle;

use crate::ticks::repeat;

/// Who closes sooner loses requests: a platform's router keeps its connections open for about 90 s.
pub const KEEP_ALIVE: Duration = Duration::from_secs(95);

/// A client must have sent its headers by then.
pub const HEADERS: Duration = Duration::from_secs(15);

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Watch {
    connections: Vec<Watched>,
    looking: Option<AbortHandle>,
}

thread_local! {
    static WATCH: RefCell<Watch> = RefCell::default();
}

/// What is known of one connection, which nobody else keeps open.
struct Watched {
    requests: Weak<Requests>,
    handle: std::sync::Weak<OwnedFd>,
    begun: u64,
    since: Instant,
}

/// The requests of one connection: those that have begun, and those that are not over.
#[derive(Default)]
pub(super) struct Requests {
    begun: Cell<u64>,
    open: Cell<u32>,
}

/// A request that is not over.
pub(super) struct Open(Rc<Requests>);

impl Open {
    pub(super) fn new(requests: &Rc<Requests>) -> Self {
        requests.begun.set(requests.begun.get().wrapping_add(1));
        requests.open.set(requests.open.get() + 1);
        Self(Rc::clone(requests))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
    }
}

/// Looks after a connection of this thread until it is closed.
pub(super) fn watch(handle: &Arc<OwnedFd>) -> Rc<Requests> {
    let requests = Rc::<Requests>::default();
    WATCH.with_borrow_mut(|watch| {
        watch.connections.push(Watched::new(&requests, handle));
        repeat(&mut watch.looking, PAUSE, || WATCH.with_borrow_mut(|watch| watch.look(Instant::now())));
    });
    requests
}

impl Watched {
    fn new(requests: &Rc<Requests>, handle: &Arc<OwnedFd>) -> Self {
        let (requests, handle) = (Rc::downgrade(requests), Arc::downgrade(handle));
        Self { requests, handle, begun: 0, since: Instant::now() }
    }
}

impl Watch {
    fn look(&mut self, now: Instant) {
        self.connections.retain_mut(|connection| {
            let (Some(requests), Some(handle)) = (connection.requests.upgrade(), connection.handle.upgrade())
            else {
                return false;
            };
            // There is room to write once the client has taken nearly all that it was sent; an answer that is still being
            // taken is as good as a request.
            if requests.open.get() > 0
                || requests.begun.get() != connection.begun
                || !shows(&handle, PollFlags::OUT)
            {
                (connection.begun, connection.since) = (requests.begun.get(), now);
            }
            let silent = now - connection.since > KEEP_ALIVE + HEADERS;
            if silent {
                tracing::debug!("a connection is closed: the headers of its next request did not come");
                // Its owner finds it closed, and gives it up.
                let _ = shutdown(&*handle, Shutdown::Both);
            }
            !silent
        });
    }
}

/// Whether a connection is in this state now.
pub(super) fn shows(handle: &OwnedFd, state: PollFlags) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(handle, state)], Some(&now)).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// A connection that is looked after, and the client's end of it.
    fn connection() -> (Watch, Rc<Requests>, Arc<OwnedFd>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_nonblocking(true).unwrap();
        let handle = Arc::new(OwnedFd::from(listener.accept().unwrap().0));
        let requests = Rc::<Requests>::default();
        let watched = Watched::new(&requests, &handle);
        (Watch { connections: vec![watched], looking: None }, requests, handle, client)
    }

    fn is_closed(client: &mut TcpStream) -> bool {
        client.read(&mut [0; 16]).is_ok_and(|read| read == 0)
    }

    #[test]
    fn one_on_which_nothing_comes_is_closed() {
        let (mut watch, requests, _handle, mut client) = connection();
        let began = Instant::now();
        drop(Open::new(&requests));
        for seconds in [5, 60, 114] {
            watch.look(began + Duration::from_secs(seconds));
            assert!(!is_closed(&mut client), "after {seconds} s");
        }
        watch.look(began + Duration::from_secs(116));
        assert!(is_closed(&mut client) && watch.connections.is_empty());
    }

    #[test]
    fn one_with_a_request_stays_open_however_long_that_takes() {
        let (mut watch, requests, _handle, mut client) = connection();
        let began = Instant::now();
        let request = Open::new(&requests);
        watch.look(began + Duration::from_secs(1000));
        drop(request);
        watch.look(began + Duration::from_secs(1109));
        assert!(!is_closed(&mut client));
        watch.look(began + Duration::from_secs(1111));
        assert!(is_closed(&mut client));
    }

    #[test]
    fn one_whose_client_takes_its_time_for_the_answer_stays_open() {
        let (mut watch, _requests, handle, mut client) = connection();
        let mut answer = TcpStream::from(handle.try_clone().unwrap());
        answer.set_nonblocking(true).unwrap();
        while answer.write(&[b'x'; 65536]).is_ok() {}
        watch.look(Instant::now() + Duration::from_secs(1000));
        assert!(!is_closed(&mut client) && watch.connections.len() == 1);
    }

    #[test]
    fn one_that_is_closed_is_forgotten() {
        let (mut watch, _requests, handle, mut client) = connection();
        drop(handle);
        assert!(is_closed(&mut client), "it was kept open");
        watch.look(Instant::now());
        assert!(watch.connections.is_empty());
    }
}
