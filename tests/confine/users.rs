//! The same as an ordinary user. Where the tests run as one already, all others have shown it.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use crate::held::{fork_server, is_refused, start};
use crate::support::{Builder, Server};

const NOBODY: u32 = 65534;

/// A Python that this user may run, of the version that the server is linked to.
fn python() -> Option<String> {
    let own = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python").display().to_string();
    let version = Command::new(&own).args(["-c", VERSION]).output().unwrap().stdout;
    let usable = |python: &String| {
        let mut command = Command::new(python);
        command.uid(NOBODY).gid(NOBODY).args(["-c", VERSION]).current_dir("/").stderr(Stdio::null());
        command.output().is_ok_and(|output| output.status.success() && output.stdout == version)
    };
    let system = format!("/usr/bin/python{}", String::from_utf8_lossy(&version).trim());
    [own, system].into_iter().find(usable)
}

const VERSION: &str = "import sys, encodings; print('%d.%d' % sys.version_info[:2])";

fn builder() -> Option<Builder> {
    if !rustix::process::getuid().is_root() {
        return None;
    }
    let python = python()?;
    let builder = Server::builder().env("TABPY_PYTHON", python).env("TABPY_PRELOAD", "none");
    Some(builder.file("passwords.txt", "secret").user(NOBODY))
}

#[test]
fn an_ordinary_users_server_is_as_closed_as_roots() {
    let Some(builder) = builder() else { return };
    for builder in [builder.clone(), builder.on_an_older_kernel()] {
        let (server, held) = start(builder);
        assert_eq!(server.value("import os\nreturn os.getuid()"), NOBODY.to_string());
        for process in [server.pid(), fork_server(&server).pid] {
            is_refused(&server, &format!("return open('/proc/{process}/environ').read()"));
            is_refused(&server, &format!("return open('/proc/{process}/mem', 'rb').read(1)"));
            is_refused(&server, &format!("import os\nos.kill({process}, 9)"));
        }
        if held.landlock > 0 {
            let path = server.path("passwords.txt");
            is_refused(&server, &format!("return open('{}').read()", path.display()));
            is_refused(&server, &format!("open('{}', 'w')", server.path("state/x").display()));
        }
        for (script, answer) in [
            ("import subprocess\nreturn subprocess.check_output(['echo', 'x'], text=True)", "\"x\\n\""),
            (
                "import multiprocessing as m\nwith m.get_context('fork').Pool(2) as p:\n    return p.map(abs, [-1])",
                "[1]",
            ),
            (
                "import multiprocessing as m\nwith m.get_context('spawn').Pool(1) as p:\n    return p.map(abs, [-1])",
                "[1]",
            ),
            ("import os\nopen('a', 'w')\nreturn os.listdir()", "[\"a\"]"),
            ("import os\nreturn os.listdir()", "[]"),
            ("import os\nreturn len(os.listdir('/proc/self/fd')) > 2", "true"),
        ] {
            assert_eq!(server.value(script), answer, "{script}");
        }
    }
}
