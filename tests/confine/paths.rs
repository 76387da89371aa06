//! Files that scripts must not read or write, and what they are told.

use std::os::unix::fs::PermissionsExt as _;

use crate::held::{denied, fork_server, is_refused, start};
use crate::support::{Builder, Server};

const PASSWORDS: &str = "user1 b8a63cf588cd2399da615042de4732f5b121c4d1042acfb91598a56d2dd3e1d7b9f785213262eddbbd00c7a8c9c3e89d7cb98f31d405cc644b1aeba92c3de40b\n";

/// A server with everything that is to be hidden, open to all on loopback.
fn builder() -> Builder {
    Server::builder()
        .file("passwords.txt", PASSWORDS)
        .file(".env", "TABPY_LOG_LEVEL=info\n")
        .state_ini("[Service Info]\nName = secret-name\n")
}

fn read(path: impl std::fmt::Display) -> String {
    format!("return open('{path}').read()")
}

fn write(path: impl std::fmt::Display) -> String {
    format!("open('{path}', 'w').write('x')")
}

#[test]
fn other_files_are_closed_and_the_error_names_the_setting() {
    let (server, held) = start(builder());
    if held.landlock == 0 {
        return;
    }
    let python = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for path in [
        server.path("passwords.txt"),
        server.path(".env"),
        server.path("state/state.ini"),
        python.join("Cargo.toml"),
        "/etc/shadow".into(),
        "/root/.profile".into(),
    ] {
        if path.exists() {
            let info = is_refused(&server, &read(path.display()));
            assert!(
                info.ends_with("(TABPY_SCRIPT_READ names further paths that scripts may read)"),
                "{info}"
            );
        }
    }
    let packages = server.value("import numpy, os\nreturn os.path.dirname(numpy.__file__)");
    for folder in
        ["/usr/lib", "/etc", "/tmp", "/var/tmp", "/dev", "/proc/sys/kernel", packages.trim_matches('"')]
    {
        let info = denied(&server, &write(format!("{folder}/tabpy-rs-test")));
        assert!(!std::path::Path::new(folder).join("tabpy-rs-test").exists());
        if info.starts_with("PermissionError") {
            assert!(
                info.ends_with("(TABPY_SCRIPT_WRITE names further paths that scripts may write)"),
                "{info}"
            );
        }
    }
    let frame =
        format!("import pandas\npandas.DataFrame().to_csv('{}')", server.path("state/state.ini").display());
    let info = is_refused(&server, &frame);
    assert!(info.contains("TABPY_SCRIPT_WRITE"), "{info}");
    for change in ["os.remove", "os.rmdir", "os.listdir"] {
        is_refused(&server, &format!("import os\n{change}('{}')", server.path("state").display()));
    }
    server.still_works();
}

#[test]
fn what_is_hidden_stays_so_in_a_folder_that_is_open() {
    let builder = builder().file("sales.csv", "1");
    let folder = builder.folder().display().to_string();
    let passwords = builder.folder().join("passwords.txt").display().to_string();
    let builder = builder.env("TABPY_PWD_FILE", &passwords).env("TABPY_SCRIPT_WRITE", &folder);
    let server = builder.start();
    let line = server.wait_for_log("TABPY_SCRIPT_WRITE");
    assert!(line.contains("stays closed to scripts"), "{line}");
    server.wait_for_log("confined");
    let evaluate = |script: String| {
        let request = crate::support::Request::evaluate(&script, &serde_json::json!({}));
        server.send(&request.login("user1", "P@ssw0rd"))
    };
    evaluate(read(server.path("sales.csv").display())).is(200, "\"1\"");
    if server.log().contains("no landlock") {
        return;
    }
    for secret in ["passwords.txt", ".env", "state/state.ini"] {
        assert_eq!(evaluate(read(server.path(secret).display())).status, 500, "{secret}");
        assert_eq!(evaluate(write(server.path(secret).display())).status, 500, "{secret}");
    }
}

#[test]
fn modes_of_files_do_not_change() {
    for builder in [builder(), builder().on_an_older_kernel()] {
        let (server, held) = start(builder);
        if !held.seccomp {
            return;
        }
        let file = server.path("passwords.txt");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        for script in [
            format!("import os\nos.chmod('{}', 0o777)", file.display()),
            format!("import os\nos.chmod('{}', 0)", file.display()),
            format!("import subprocess\nsubprocess.run(['chmod', '777', '{}'])", file.display()),
        ] {
            server.value(&script);
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640, "{script}");
        }
    }
}

#[test]
fn environment_and_memory_of_the_server_are_closed() {
    for builder in [builder(), builder().on_an_older_kernel()] {
        let (server, held) = start(builder.env("TABPY_PASSWORD_OF_OTHERS", "s3cret"));
        for process in [server.pid(), fork_server(&server).pid] {
            for name in ["environ", "mem", "maps", "fd/0", "cwd/.env", "root/etc/hostname"] {
                let info = is_refused(&server, &read(format!("/proc/{process}/{name}")));
                assert!(info.contains("Permission denied") || info.contains("not permitted"), "{info}");
            }
        }
        if held.landlock == 0 {
            continue;
        }
        let own = server.value("import os\nreturn os.getpid()");
        for worker in server.processes().iter().filter(|process| process.pid.to_string() != own) {
            let script = format!(
                "import os\nif os.getpid() == {0}: raise PermissionError('own')\nreturn open('/proc/{0}/environ').read()",
                worker.pid
            );
            is_refused(&server, &script);
        }
    }
}
