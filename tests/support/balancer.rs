//! Debian's haproxy before some servers, as deploy/haproxy.cfg sets it up. It ends with its handle.

use std::fmt::Write as _;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{PATIENCE, port, wait_for};

pub struct Balancer {
    _folder: TempDir,
    port: u16,
    child: Child,
}

impl Balancer {
    #[track_caller]
    pub fn start(servers: &[u16]) -> Self {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/haproxy.cfg");
        let example = std::fs::read_to_string(example).unwrap();
        let port = port::free();
        let mut settings = String::new();
        for line in example.lines().filter(|line| !line.trim_start().starts_with("server ")) {
            let line = line.replace("bind :9004", &format!("bind 127.0.0.1:{port}"));
            settings += &format!("{line}\n");
            if line.contains("option httpchk") {
                // On loopback, a server answers only to that name.
                settings += "    http-check send hdr Host localhost\n";
            }
        }
        for server in servers {
            writeln!(settings, "    server tabpy-{server} 127.0.0.1:{server}").unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("haproxy.cfg");
        std::fs::write(&path, settings).unwrap();
        let program = ["/usr/sbin/haproxy", "/usr/local/sbin/haproxy"];
        let program = program.into_iter().find(|path| std::path::Path::new(path).exists());
        let program = program.expect("haproxy is missing: `make prepare` installs Debian's package");
        let child = Command::new(program)
            .arg("-db")
            .arg("-f")
            .arg(path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let balancer = Self { _folder: folder, port, child: child.unwrap() };
        let listens = wait_for(PATIENCE, || std::net::TcpStream::connect(("127.0.0.1", port)).ok().map(drop));
        assert!(listens.is_some(), "haproxy does not listen");
        balancer
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}
