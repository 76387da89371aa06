//! Ports for servers of a test's own.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// A port that nobody has, and that no test beside this one will choose: each process has its own place
/// to begin, below the ports that the kernel gives to connections. A server may take its time to bind it.
pub(crate) fn free() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut ports = std::iter::repeat_with(|| {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        u16::try_from(10_000 + (std::process::id() * 37 + step) % 20_000).unwrap()
    });
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}
