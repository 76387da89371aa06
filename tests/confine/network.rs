//! `TABPY_SCRIPT_NETWORK=false`.

use std::net::TcpListener;

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
