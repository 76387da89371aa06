//! Scripts that look for secrets and try doors: the environment of every process, the password
//! file, the state folder, the server's memory. They run in a PID namespace of the test's own, so
//! that no process but the server's can be looked at, and tell only whether they got through.

use std::fs;

use crate::arena::{Arena, PASSWORD, USER, USUAL, is_on_an_older_kernel};
use crate::support::Builder;

/// A secret that is in the server's environment, and nowhere else.
const TOKEN: &str = "token-of-the-platform-4711";

fn settings(builder: Builder) -> Builder {
    let hash = "b8a63cf588cd2399da615042de4732f5b121c4d1042acfb91598a56d2dd3e1d7b9f785213262eddbbd00c7a8c9c3e89d7cb98f31d405cc644b1aeba92c3de40b";
    builder
        .env("PLATFORM_TOKEN", TOKEN)
        .env("MINE_ALLOWED", "yes")
        .env("TABPY_SCRIPT_ENV", "MINE_ALLOWED")
        .password_file(&format!("user1 {hash}\n"))
        .state_ini("[Service Info]\nName = Prying\n")
}

fn confined() -> Option<Arena> {
    if std::env::var("HOSTILE_CONFINE").is_ok_and(|value| value == "off") {
        eprintln!("skipped: confinement is switched off");
        return None;
    }
    Arena::walled(USUAL, settings)
}

/// The same, where paths can be closed.
fn confined_by_landlock() -> Option<Arena> {
    if is_on_an_older_kernel() {
        eprintln!("skipped: without Landlock a script reads and writes what its user may");
        return None;
    }
    confined()
}

/// The words that a script may look for, written so that the script's own text does not hold them.
fn needles() -> String {
    let hide = |word: &str| word.bytes().map(|byte| (byte ^ 0x2a).to_string()).collect::<Vec<_>>().join(", ");
    format!(
        "[bytes(b for b in n) for n in ([{}], [{}], [{}])]",
        hide(TOKEN),
        hide(PASSWORD),
        hide("b8a63cf588cd2399da615042de4732")
    )
}

#[test]
fn the_environment_of_no_process_shows_a_secret() {
    let Some(arena) = confined() else { return };
    let script = format!(
        "import os\nhidden = bytes(b ^ 0x2a for b in range(256))\nfound = []\n\
         for p in os.listdir('/proc'):\n    if p.isdigit() or p in ('self', 'thread-self'):\n        \
         for name in ('environ', 'cmdline'):\n            \
         try: text = open('/proc/%s/%s' % (p, name), 'rb').read().translate(hidden)\n            except OSError: continue\n            \
         found += [p + ' ' + name for n in {} if n in text]\nreturn found",
        needles()
    );
    assert_eq!(arena.value(&script), "[]");
    let own = "import os\nreturn [sorted(k for k in os.environ if k.startswith(('TABPY', 'PLATFORM', 'DATABASE'))), os.environ.get('MINE_ALLOWED'), os.environ.get('PATH', '') != '']";
    assert_eq!(arena.value(own), r#"[[], "yes", true]"#);
    arena.holds("environments", &arena.marker());
}

#[test]
fn the_memory_of_a_worker_holds_no_secret() {
    let Some(arena) = confined() else { return };
    let script = format!(
        "hidden = bytes(b ^ 0x2a for b in range(256))\nneedles = {}\nfound = []\nm = open('/proc/self/mem', 'rb', 0)\n\
         for line in open('/proc/self/maps'):\n    span, rights = line.split()[:2]\n    a, b = (int(x, 16) for x in span.split('-'))\n    \
         if 'rw' not in rights or b - a > 64 * 2 ** 20: continue\n    \
         try:\n        m.seek(a)\n        text = m.read(b - a).translate(hidden)\n    except (OSError, ValueError, OverflowError): continue\n    \
         found += [line.strip() for n in needles if n in text]\nreturn found",
        needles()
    );
    assert_eq!(arena.value(&script), "[]");
    arena.holds("own memory", &arena.marker());
}

#[test]
fn the_memory_and_descriptors_of_other_processes_are_closed() {
    let Some(arena) = confined() else { return };
    for (name, script) in [
        (
            "mem",
            "import os\nopened = []\nfor p in os.listdir('/proc'):\n    if p.isdigit() and int(p) != os.getpid():\n        for f in ('mem', 'environ', 'maps', 'auxv'):\n            try:\n                with open('/proc/%s/%s' % (p, f), 'rb', 0) as o:\n                    if f == 'mem': o.seek(0)\n                    opened.append(p + '/' + f)\n            except OSError: pass\nreturn opened",
        ),
        (
            "descriptors",
            "import os\nopened = []\nfor p in os.listdir('/proc'):\n    if p.isdigit() and int(p) != os.getpid():\n        try: numbers = os.listdir('/proc/%s/fd' % p)\n        except OSError: continue\n        for d in numbers:\n            try: opened.append('%s %s %s' % (p, d, os.readlink('/proc/%s/fd/%s' % (p, d))))\n            except OSError: pass\n            try: opened.append('%s %s %s' % (p, d, open('/proc/%s/fd/%s' % (p, d), 'rb', 0)))\n            except OSError: pass\nreturn opened",
        ),
        (
            "folders",
            "import os\nopened = []\nfor p in os.listdir('/proc'):\n    if p.isdigit() and int(p) != os.getpid():\n        for f in ('cwd', 'root', 'exe'):\n            try: opened.append(len(os.listdir('/proc/%s/%s/' % (p, f))))\n            except OSError: pass\nreturn opened",
        ),
        (
            "ptrace",
            "import ctypes, os\nc = ctypes.CDLL(None, use_errno=True)\nwon = []\nfor p in os.listdir('/proc'):\n    if p.isdigit() and int(p) != os.getpid():\n        if c.ptrace(0x4206, int(p), 0, 0) == 0: won.append(p)\nreturn won",
        ),
        (
            "process_vm_readv",
            "import ctypes, os\nc = ctypes.CDLL(None, use_errno=True)\nwon = []\nb = ctypes.create_string_buffer(16)\nlocal = (ctypes.c_size_t * 2)(ctypes.addressof(b), 16)\nfor p in os.listdir('/proc'):\n    if p.isdigit() and int(p) != os.getpid():\n        try: a = int(open('/proc/%s/maps' % p).read(12), 16)\n        except (OSError, ValueError): a = 0x400000\n        if c.process_vm_readv(int(p), local, 1, (ctypes.c_size_t * 2)(a, 16), 1, 0) > 0: won.append(p)\nreturn won",
        ),
        (
            "pidfd_getfd",
            "import ctypes, os\nc = ctypes.CDLL(None)\nwon = []\nfor p in os.listdir('/proc'):\n    if p.isdigit() and int(p) != os.getpid():\n        f = c.syscall(434, int(p), 0)\n        if f >= 0:\n            won += ['%s %d' % (p, d) for d in range(3, 32) if c.syscall(438, f, d, 0) >= 0]\nreturn won",
        ),
    ] {
        assert_eq!(arena.value(script), "[]", "{name}");
        arena.holds(name, &arena.marker());
    }
}

#[test]
fn files_of_the_server_are_out_of_reach_and_the_error_names_the_setting() {
    let Some(arena) = confined_by_landlock() else { return };
    let server = arena.server();
    fs::write(server.path("state/precious"), "precious").unwrap();
    fs::write(server.path(".env"), "X=1\n").unwrap();
    let mut failures = Vec::new();
    for (name, path) in [
        ("password file", server.path("passwords.txt")),
        ("state.ini", server.path("state/state.ini")),
        ("state folder", server.path("state/precious")),
        (".env", server.path(".env")),
        ("shadow", "/etc/shadow".into()),
        ("another home", "/root/.profile".into()),
    ] {
        let path = path.display();
        // Nothing of a file is told, only that it could be opened.
        let read = format!("f = open('{path}', 'rb')\nreturn 'opened'");
        let write = format!("f = open('{path}', 'r+b')\nreturn 'opened'");
        for (what, script, setting) in
            [("read", read, "TABPY_SCRIPT_READ"), ("written", write, "TABPY_SCRIPT_")]
        {
            let answer = arena.evaluate(&script, serde_json::json!({}));
            if answer.status == 200 {
                failures.push(format!("{name} can be {what}"));
            } else if !["No such file", "Read-only file system", setting]
                .iter()
                .any(|text| answer.text().contains(text))
            {
                failures.push(format!("{name}, {what}: the error names no {setting}: {}", answer.text()));
            }
        }
    }
    for name in ["state", "."] {
        let path = server.path(name).display().to_string();
        let answer =
            arena.evaluate(&format!("import os\nreturn len(os.listdir('{path}'))"), serde_json::json!({}));
        if answer.status == 200 {
            failures.push(format!("{name} can be listed"));
        }
        let answer = arena.evaluate(
            &format!("import os\nos.rename('{path}/state.ini', '{path}/other')"),
            serde_json::json!({}),
        );
        if answer.status == 200 {
            failures.push(format!("a file of {name} can be renamed"));
        }
    }
    arena.holds("files of the server", &arena.marker());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A file without a name leaves nothing behind where it can be made.
#[test]
fn nothing_but_the_own_folder_can_be_written() {
    let Some(arena) = confined_by_landlock() else { return };
    let mut open = Vec::new();
    let environment = format!("{}/.venv/lib", env!("CARGO_MANIFEST_DIR"));
    let state = arena.server().path("state").display().to_string();
    // Not /dev/shm, which is the worker's own or open to all: multiprocessing needs it.
    for folder in ["/", "/tmp", "/var/tmp", "/etc", "/usr/lib", "/root", "/run", &environment, &state] {
        let script =
            format!("import os\nos.close(os.open('{folder}', os.O_TMPFILE | os.O_WRONLY))\nreturn 'written'");
        let answer = arena.evaluate(&script, serde_json::json!({}));
        if answer.status == 200 {
            open.push(format!("{folder} can be written"));
        } else if ["/tmp", &state].contains(&folder) && !answer.text().contains("TABPY_SCRIPT_WRITE") {
            open.push(format!("{folder}: no TABPY_SCRIPT_WRITE in {}", answer.text()));
        }
    }
    arena.holds("writing", &arena.marker());
    assert!(open.is_empty(), "{}", open.join("\n"));
}

#[test]
fn paths_that_the_operator_allows_are_allowed() {
    let Some(arena) = Arena::walled(USUAL, |builder| {
        let shared = builder.folder().join("shared");
        fs::create_dir(&shared).unwrap();
        fs::create_dir(builder.folder().join("output")).unwrap();
        fs::write(shared.join("table.csv"), "a,b\n1,2\n").unwrap();
        let output = builder.folder().join("output").display().to_string();
        settings(builder).env("TABPY_SCRIPT_READ", shared.display()).env("TABPY_SCRIPT_WRITE", output)
    }) else {
        return;
    };
    let path = |name: &str| arena.server().path(name).display().to_string();
    assert_eq!(
        arena.value(&format!("return int(pd.read_csv('{}')['b'].sum())", path("shared/table.csv"))),
        "2"
    );
    assert_eq!(arena.value(&format!("return open('{}', 'w').write('abc')", path("output/result"))), "3");
    let answer = arena.evaluate(&format!("open('{}', 'w')", path("shared/new")), serde_json::json!({}));
    if std::env::var("HOSTILE_CONFINE").is_err() && !is_on_an_older_kernel() {
        assert_eq!(answer.status, 500, "a path for reading can be written");
    }
    fs::remove_file(arena.server().path("output/result")).unwrap();
    arena.holds("allowed paths", &arena.marker());
}

#[test]
fn a_worker_has_no_privileges() {
    let Some(arena) = confined() else { return };
    let script = "return [line.split()[1].strip('0') for line in open('/proc/self/status') if line.startswith(('CapEff', 'CapPrm', 'CapInh', 'CapAmb', 'NoNewPrivs'))]";
    assert_eq!(arena.value(script), r#"["", "", "", "", "1"]"#);
    for script in [
        "import os\nos.setuid(12346)\nreturn os.getuid()",
        "import os\nos.chroot('/usr')",
        "import ctypes, tempfile\nif ctypes.CDLL(None).mount(b'none', tempfile.mkdtemp().encode(), b'tmpfs', 0, None): raise OSError('refused')",
        "import os\nos.setpriority(os.PRIO_PROCESS, 0, -10)",
        "import os, resource\nresource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1000, 1000))",
    ] {
        arena.evaluate(script, serde_json::json!({})).error(500);
    }
    arena.holds("privileges", &arena.marker());
}

#[test]
fn the_network_can_be_cut() {
    let arena = Arena::start(USUAL, |builder| builder.env("TABPY_SCRIPT_NETWORK", "false"));
    let port = arena.server().port();
    for script in [
        format!("import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)"),
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.sendto(b'x', ('127.0.0.1', 9))".into(),
        "import socket\ns = socket.socket(socket.AF_INET6)\ns.bind(('::1', 0))".into(),
    ] {
        let (message, info) = arena.evaluate(&script, serde_json::json!({})).error(500);
        assert!(format!("{message} {info}").contains("TABPY_SCRIPT_NETWORK"), "{message} {info}");
    }
    // Python's own helpers use sockets within the machine.
    assert_eq!(
        arena.value("import socket\na, b = socket.socketpair()\na.send(b'x')\nreturn b.recv(1).decode()"),
        "\"x\""
    );
    arena.holds("no network", &arena.marker());
}

#[test]
fn confinement_can_be_switched_off() {
    let arena = Arena::start(USUAL, |builder| builder.env("TABPY_CONFINE", "off"));
    let path = arena.server().path("note");
    fs::write(&path, "read me").unwrap();
    assert_eq!(arena.value(&format!("return open('{}').read()", path.display())), "\"read me\"");
    arena.holds("confinement off", &arena.marker());
}

#[test]
fn the_log_says_at_start_how_scripts_are_confined() {
    let arena = Arena::start(USUAL, |builder| builder);
    let log = arena.server().log().to_lowercase();
    assert!(log.contains("landlock") || log.contains("confine"), "{log}");
    assert!(!log.contains(PASSWORD) && !log.contains(USER.to_uppercase().as_str()));
}
