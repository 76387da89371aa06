//! An authority of one's own, one between it and the server, and the server's certificate: what
//! docs/tableau.md tells to make.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

pub(crate) const NAME: &str = "tabpy.example.com";

pub(crate) struct Certificates {
    folder: TempDir,
}

impl Certificates {
    pub(crate) fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let request = |name: &str, subject: &str| {
            let key = format!("{name}-key.pem");
            let csr = format!("{name}.csr");
            openssl(
                path,
                &["req", "-newkey", "rsa:2048", "-nodes", "-keyout", &key, "-out", &csr, "-subj", subject],
            );
        };
        let authority = "basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\n";
        fs::write(path.join("authority.ext"), authority).unwrap();
        fs::write(
            path.join("server.ext"),
            format!("subjectAltName=DNS:{NAME}\nextendedKeyUsage=serverAuth\n"),
        )
        .unwrap();
        request("root", "/CN=Root of the test");
        let own =
            ["x509", "-req", "-in", "root.csr", "-signkey", "root-key.pem", "-days", "2", "-out", "root.pem"];
        openssl(path, &[&own[..], &["-extfile", "authority.ext"]].concat());
        for (name, subject, by, extensions) in [
            ("between", "/CN=Between", "root", "authority.ext"),
            ("server", &*format!("/CN={NAME}"), "between", "server.ext"),
        ] {
            request(name, subject);
            let (csr, out) = (format!("{name}.csr"), format!("{name}.pem"));
            let (ca, key) = (format!("{by}.pem"), format!("{by}-key.pem"));
            let by =
                ["x509", "-req", "-in", &csr, "-CA", &ca, "-CAkey", &key, "-CAcreateserial", "-days", "2"];
            openssl(path, &[&by[..], &["-out", &out, "-extfile", extensions]].concat());
        }
        let read = |name: &str| fs::read_to_string(path.join(name)).unwrap();
        fs::write(path.join("fullchain.pem"), read("server.pem") + &read("between.pem")).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let outcome = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("openssl is missing: scripts/proxies.sh");
    assert!(outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stderr));
}
