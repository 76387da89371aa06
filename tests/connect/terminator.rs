//! A TLS terminator before a server that speaks HTTP, as a platform's edge is. It looks at nothing that
//! passes.

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::authority::{Authority, Identity};
use crate::command::{TABPY_PASSWORD, TABPY_USER};
use crate::support::Server;

pub(crate) struct Terminator {
    pub(crate) port: u16,
    // Ends the connections when dropped.
    _runtime: tokio::runtime::Runtime,
}

impl Terminator {
    /// Before the server on that port of this machine.
    pub(crate) fn before(port: u16, identity: Identity) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(identity.server_config()));
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let own = listener.local_addr().unwrap().port();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut outside) = acceptor.accept(stream).await else { return };
                    let Ok(mut inside) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    let _closed = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
                });
            }
        });
        Self { port: own, _runtime: runtime }
    }

    pub(crate) fn address(&self) -> String {
        format!("https://localhost:{}", self.port)
    }
}

/// The real server with a password, behind TLS that an authority of its own vouches for.
pub(crate) struct Guarded {
    pub(crate) server: Server,
    pub(crate) terminator: Terminator,
    folder: TempDir,
    pub(crate) authority: Authority,
}

impl Guarded {
    pub(crate) fn start() -> Self {
        let builder =
            Server::builder().env("TABPY_USERNAME", TABPY_USER).env("TABPY_PASSWORD", TABPY_PASSWORD);
        Self::before(builder.start().ready())
    }

    pub(crate) fn before(server: Server) -> Self {
        let authority = Authority::new();
        let terminator = Terminator::before(server.port(), authority.good("localhost"));
        Self { server, terminator, folder: tempfile::tempdir().unwrap(), authority }
    }

    pub(crate) fn address(&self) -> String {
        self.terminator.address()
    }

    pub(crate) fn ca_file(&self) -> PathBuf {
        self.authority.file(self.folder.path())
    }
}
