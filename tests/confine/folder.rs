//! The temporary folder of a worker: its own, empty for each request, gone with its process.

use std::path::PathBuf;

use serde_json::json;

use crate::held::{is_refused, start};
use crate::support::{Builder, PATIENCE, Server, processes, wait_for};

/// A server whose temporary files nobody else's mingle with.
fn builder() -> (Builder, PathBuf) {
    let builder = Server::builder();
    let temporary = builder.folder().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    (builder.env("TMPDIR", temporary.display()), temporary)
}

fn folder_of(server: &Server) -> String {
    server.value("import os\nreturn os.getcwd()").trim_matches('"').to_owned()
}

#[track_caller]
fn is_gone(path: &str) {
    let gone = wait_for(PATIENCE, || (!std::path::Path::new(path).exists()).then_some(()));
    assert!(gone.is_some(), "{path} is still there");
}

#[test]
fn what_one_script_writes_no_other_one_finds() {
    let (builder, _) = builder();
    let (server, _) = start(builder.env("TABPY_WORKERS", 1).env("TABPY_MAX_WORKERS", 1));
    for leave in [
        "open('a', 'w').write('x')\nreturn 1",
        "import os\nos.makedirs('b/c/d')\nopen('b/c/d/e', 'w')\nos.symlink('/etc', 'b/link')\nos.symlink('/usr', 'link')\nreturn 1",
        "import tempfile\ntempfile.NamedTemporaryFile(delete=False).write(b'x')\nreturn 1",
        "import os\nos.mkdir('closed', 0)\nos.mkfifo('fifo')\nreturn 1",
        "import os\nopen(os.path.expanduser('~/.x'), 'w')\nraise ValueError",
        "import pandas\npandas.DataFrame({'a': [1]}).to_csv('x.csv')\nreturn 1",
        "for i in range(3000): open(str(i), 'w')\nreturn 1",
        "import os\nfor i in range(300):\n    os.mkdir('d')\n    os.chdir('d')\nreturn 1",
    ] {
        server.evaluate(leave, json!({}));
        assert_eq!(
            server.value("import os\nreturn os.listdir(os.path.expanduser('~')) + os.listdir()"),
            "[]",
            "{leave}"
        );
    }
    assert!(std::path::Path::new("/etc/passwd").exists());
}

#[test]
fn shared_memory_is_not_shared_with_others_where_that_can_be() {
    let (server, _) = start(Server::builder().env("TABPY_WORKERS", 1).env("TABPY_MAX_WORKERS", 1));
    if !server.wait_for_log("confined").contains("own /dev/shm") {
        return;
    }
    let name = format!("tabpy-rs-test-{}", server.pid());
    server.value(&format!("open('/dev/shm/{name}', 'w').write('x')\nreturn 1"));
    assert!(!std::path::Path::new("/dev/shm").join(&name).exists());
    assert_eq!(server.value("import os\nreturn os.listdir('/dev/shm')"), "[]");
}

#[test]
fn every_worker_has_its_own_and_keeps_to_it() {
    let (builder, temporary) = builder();
    let (server, held) = start(builder);
    let own = folder_of(&server);
    assert!(own.starts_with(temporary.canonicalize().unwrap().to_str().unwrap()), "{own}");
    for name in ["HOME", "TMPDIR"] {
        assert_eq!(server.value(&format!("import os\nreturn os.environ['{name}'] == os.getcwd()")), "true");
    }
    for name in ["MPLCONFIGDIR", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "JOBLIB_TEMP_FOLDER"] {
        let within = format!("import os\nreturn os.environ['{name}'].startswith(os.getcwd())");
        assert_eq!(server.value(&within), "true", "{name}");
    }
    let shell = "import subprocess, os\nreturn subprocess.check_output('echo $HOME', shell=True, text=True).strip() == os.getcwd()";
    assert_eq!(server.value(shell), "true");
    if held.landlock > 0 {
        is_refused(&server, "import os\nreturn os.listdir('..')");
        is_refused(&server, "open('../x', 'w')");
    }
    if held.landlock > 1 {
        is_refused(&server, "import os\nos.rename('../fork-server', 'mine')");
    }
}

#[test]
fn it_goes_with_the_process_however_that_ends() {
    let (builder, temporary) = builder();
    // The handle keeps the folder when the last server is gone.
    let (mut server, _) = start(builder.clone().env("TABPY_EVALUATE_TIMEOUT", "1"));
    for end in ["import os\nos._exit(3)", "while True: pass", "import os\nos.abort()"] {
        let own = folder_of(&server);
        let script = format!(
            "import os\nos.makedirs('{own}/a/b', exist_ok=True) if os.getcwd() == '{own}' else None\nopen('left', 'w')\n{end}"
        );
        server.evaluate(&script, json!({}));
        server.still_works();
    }
    let first = folder_of(&server);
    let family = server.processes();
    for process in &family {
        processes::signal(process.pid, rustix::process::Signal::KILL);
    }
    crate::support::server::assert_gone(&family);
    // For a moment there is neither a worker nor a fork server.
    let again = wait_for(PATIENCE, || (server.evaluate("return 1", json!({})).status == 200).then_some(()));
    assert!(again.is_some());
    is_gone(&first);
    // A server that is killed cannot clean up; the next one does.
    let killed = folder_of(&server);
    let family = server.processes();
    server.signal(rustix::process::Signal::KILL);
    assert_eq!(server.wait(), None);
    crate::support::server::assert_gone(&family);
    assert!(std::path::Path::new(&killed).exists());
    let server = server.start_again();
    is_gone(&killed);
    server.shutdown();
    assert_eq!(std::fs::read_dir(temporary).unwrap().count(), 0);
}
