//! `TABPY_SCRIPT_NETWORK=false`.

use std::net::TcpListener;
use std::os::unix::net::{UnixDatagram, UnixListener};

use crate::held::{denied, start};
use crate::support::Server;

#[test]
fn no_socket_leaves_the_machine_and_the_error_says_why() {
    for builder in [Server::builder(), Server::builder().on_an_older_kernel()] {
        let (server, _) = start(builder.env("TABPY_SCRIPT_NETWORK", "false"));
        assert!(server.wait_for_log("confined").contains("network closed"));
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        for script in [
            format!("import socket\nsocket.create_connection(('127.0.0.1', {port}), 5)"),
            "import socket\nsocket.socket(socket.AF_INET6)".to_owned(),
            "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM)".to_owned(),
            "import socket\nsocket.socket(socket.AF_NETLINK, socket.SOCK_RAW)".to_owned(),
            "import socket\nsocket.getaddrinfo('no-such-host.example', 80)".to_owned(),
            format!("import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{port}')"),
            format!("import requests\nrequests.get('http://127.0.0.1:{port}')"),
            format!(
                "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import socket; socket.socket()'], check=True)\nreturn {port}"
            ),
        ] {
            let info = denied(&server, &script);
            let named = info.ends_with("(TABPY_SCRIPT_NETWORK=false closes the network to scripts)");
            assert!(named || script.contains("subprocess"), "{script:?} gave {info}");
        }
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "somebody came through");
        for script in [
            "import multiprocessing as m\nwith m.get_context('fork').Pool(2) as p:\n    return p.map(abs, [-1])[0]",
            "import socket\na, b = socket.socketpair()\na.send(b'x')\nreturn len(b.recv(1))",
            "import asyncio\nasync def f(): return 1\nreturn asyncio.run(f())",
        ] {
            assert_eq!(server.value(script), "1", "{script}");
        }
    }
}

#[test]
fn no_socket_that_has_a_path_is_reached_either() {
    let folder = tempfile::tempdir().unwrap();
    let [path, log] = ["socket", "log"].map(|name| folder.path().join(name));
    let listener = UnixListener::bind(&path).unwrap();
    let datagrams = UnixDatagram::bind(&log).unwrap();
    for socket in [&path, &log] {
        std::fs::set_permissions(socket, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    }
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    listener.set_nonblocking(true).unwrap();
    datagrams.set_nonblocking(true).unwrap();
    let (path, log) = (path.display(), log.display());
    let connect = format!("import socket\nsocket.socket(socket.AF_UNIX).connect('{path}')\nreturn 1");
    for builder in [Server::builder(), Server::builder().on_an_older_kernel()] {
        let (server, _) = start(builder.env("TABPY_SCRIPT_NETWORK", "false"));
        for script in [
            connect.clone(),
            format!("import socket\nsocket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect('{path}')"),
            format!("import socket\nsocket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', '{log}')"),
            // A datagram socket goes where it is told, whoever its other half is.
            format!(
                "import socket\na, b = socket.socketpair(type=socket.SOCK_DGRAM)\na.sendto(b'x', '{log}')"
            ),
            format!("import socket\na, b = socket.socketpair(type=socket.SOCK_RAW)\na.sendto(b'x', '{log}')"),
            "import socket\nsocket.socketpair(socket.AF_INET)".to_owned(),
            "import multiprocessing as m\nm.get_context('forkserver').Process(target=abs, args=(1,)).start()"
                .to_owned(),
            "import multiprocessing as m\nm.get_context('fork').Manager()".to_owned(),
        ] {
            let info = denied(&server, &script);
            let named = info.ends_with("(TABPY_SCRIPT_NETWORK=false closes the network to scripts)");
            assert!(named || script.contains("Manager"), "{script:?} gave {info}");
        }
        denied(&server, &format!("import socket\na, b = socket.socketpair()\na.connect('{path}')"));
        assert_eq!(
            server.value("import socket\na, b = socket.socketpair(type=socket.SOCK_SEQPACKET)\na.send(b'x')\nreturn len(b.recv(1))"),
            "1"
        );
    }
    assert!(listener.accept().is_err(), "somebody came through");
    assert!(datagrams.recv(&mut [0; 1]).is_err(), "something came through");
    // Where the network is allowed, this is what docs/reliability.md says.
    assert_eq!(start(Server::builder()).0.value(&connect), "1");
}
