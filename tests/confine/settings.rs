//! `TABPY_CONFINE`, and what the log says.

use crate::held::start;
use crate::support::Server;

#[test]
fn off_turns_it_off_and_leaves_the_folder() {
    let builder = Server::builder().file("notes.txt", "mine").env("TABPY_CONFINE", "off");
    let (server, held) = start(builder);
    assert!(held.landlock == 0 && !held.seccomp);
    assert!(server.wait_for_log("confined").contains("off"));
    let script = format!("return open('{}').read()", server.path("notes.txt").display());
    assert_eq!(server.value(&script), "\"mine\"");
    assert_eq!(server.value("import os\nreturn os.environ['HOME'] == os.getcwd()"), "true");
    assert_eq!(server.value("return open('/proc/self/status').read().count('NoNewPrivs:\\t0')"), "1");
}

#[test]
fn one_line_of_the_log_says_what_holds() {
    let (server, held) = start(Server::builder());
    let line = server.wait_for_log("confined");
    assert!(line.contains("no capabilities") && line.contains("network allowed"), "{line}");
    assert_eq!(server.log().matches("confined").count(), 1);
    assert!(held.landlock > 0 || line.contains("no landlock ("), "{line}");
    let (server, held) = start(Server::builder().on_an_older_kernel());
    assert_eq!(held.landlock, 0);
    let line = server.wait_for_log("confined");
    assert!(line.contains("no landlock (this kernel lacks it), seccomp, no capabilities"), "{line}");
}

#[test]
fn doubtful_paths_are_warnings_and_wrong_values_stop_the_start() {
    let builder = Server::builder().env("TABPY_SCRIPT_READ", "/no/such/place");
    builder.start().wait_for_log("there is no /no/such/place");
    let builder = Server::builder();
    let state = builder.folder().join("state").display().to_string();
    let line = builder.env("TABPY_SCRIPT_READ", state).start().wait_for_log("TABPY_SCRIPT_READ");
    assert!(line.contains("opens") && line.contains("name another place"), "{line}");
    for (name, value) in [("TABPY_CONFINE", "strict"), ("TABPY_SCRIPT_NETWORK", "perhaps")] {
        let exit = Server::builder().env(name, value).try_start();
        assert_eq!(exit.code, Some(2));
        assert!(exit.stderr.contains(name), "{}", exit.stderr);
    }
}
