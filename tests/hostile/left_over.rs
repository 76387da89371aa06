//! Files that scripts leave, in all shapes that make removing hard or dangerous: the next script
//! finds nothing, nothing stays, and nothing outside the script's own folder is touched.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::arena::{Act, Arena, ONE, rows};
use crate::footprint::marked_paths;
use crate::support::{PATIENCE, wait_for};

const DONE: &[u16] = &[200];
const ANY: &[u16] = &[200, 500];

/// `VICTIM` is a folder of the server's owner with a file in it.
pub const ACTS: &[Act] = &[
    Act::new(
        "a file",
        DONE,
        "1",
        "import tempfile\ntempfile.NamedTemporaryFile(delete=False, suffix='MARK').write(b'x')\nreturn 1",
    ),
    Act::new("a file in the working folder", ANY, "", "open('MARK', 'w').write('x')\nreturn 1"),
    Act::new("a file in /tmp", ANY, "", "open('/tmp/MARK', 'w').write('x')\nreturn 1"),
    Act::new("a file in /dev/shm", ANY, "", "open('/dev/shm/MARK', 'w').write('x')\nreturn 1"),
    Act::new(
        "shared memory",
        ANY,
        "",
        "from multiprocessing import shared_memory\nshared_memory.SharedMemory('MARK', create=True, size=4096)\nreturn 1",
    ),
    Act::new(
        "folders in folders",
        DONE,
        "1",
        "import os, tempfile\nd = os.path.join(tempfile.mkdtemp('MARK'), *'abcdefgh')\nos.makedirs(d)\nopen(d + '/MARK', 'w').write('x')\nreturn 1",
    ),
    Act::new(
        "3,000 folders deep",
        ANY,
        "",
        "import os, tempfile\nos.chdir(tempfile.mkdtemp('MARK'))\nfor _ in range(3000):\n    os.mkdir('d')\n    os.chdir('d')\nreturn 1",
    ),
    Act::new(
        "1,000 files",
        DONE,
        "1",
        "import os, tempfile\nd = tempfile.mkdtemp('MARK')\nfor n in range(1000): open('%s/%d' % (d, n), 'w').close()\nreturn 1",
    ),
    Act::new(
        "folders that may not be read",
        DONE,
        "1",
        "import os, tempfile\nd = tempfile.mkdtemp('MARK')\nos.makedirs(d + '/a/b')\nopen(d + '/a/b/MARK', 'w').close()\nos.chmod(d + '/a/b', 0)\nos.chmod(d + '/a', 0)\nos.chmod(d, 0)\nreturn 1",
    ),
    Act::new(
        "the temporary folder itself",
        ANY,
        "",
        "import os, tempfile\nos.chmod(tempfile.gettempdir(), 0)\nreturn 1",
    ),
    Act::new(
        "the temporary folder renamed",
        ANY,
        "",
        "import os, shutil, tempfile\nd = tempfile.gettempdir()\nos.rename(d, d + 'MARK')\nreturn 1",
    ),
    Act::new(
        "a link in place of the temporary folder",
        ANY,
        "",
        "import os, tempfile\nd = tempfile.gettempdir()\nos.chdir('/')\ntry: os.rmdir(d)\nexcept OSError: os.rename(d, d + 'MARK')\nos.symlink('VICTIM', d)\nreturn 1",
    ),
    Act::new(
        "a file in the home folder",
        ANY,
        "",
        "import os\nopen(os.path.expanduser('~/.MARK'), 'w').write('x')\nreturn 1",
    ),
    Act::new(
        "odd names",
        DONE,
        "1",
        "import os, tempfile\nd = tempfile.mkdtemp('MARK').encode()\nfor n in (b'\\xff\\xfe', b'a\\nb', b'-rf', b' ', b'...', b'x' * 255): open(d + b'/' + n, 'w').close()\nreturn 1",
    ),
    Act::new(
        "odd things",
        DONE,
        "1",
        "import os, socket, tempfile\nd = tempfile.mkdtemp('MARK')\nos.mkfifo(d + '/fifo')\nos.chdir(d)\nsocket.socket(socket.AF_UNIX).bind('s')\nos.symlink('/nowhere', 'dangling')\nos.symlink('.', 'circle')\nos.mkfifo('MARK')\nreturn 1",
    ),
    Act::new(
        "a link to a folder of another",
        DONE,
        "1",
        "import os, tempfile\nd = tempfile.mkdtemp('MARK')\nos.symlink('VICTIM', d + '/link')\nos.symlink('VICTIM', tempfile.gettempdir() + '/link')\nos.symlink('VICTIM/file', tempfile.gettempdir() + '/file')\nreturn 1",
    ),
    Act::new(
        "a hard link",
        ANY,
        "",
        "import os, tempfile\nos.link('VICTIM/file', tempfile.gettempdir() + '/MARK')\nos.chmod(tempfile.gettempdir() + '/MARK', 0)\nreturn 1",
    ),
    Act::new(
        "a file that is locked and mapped",
        DONE,
        "1",
        "import fcntl, json, mmap, tempfile\nf = tempfile.NamedTemporaryFile(delete=False, suffix='MARK')\nf.write(b'x' * 4096)\nf.flush()\nfcntl.flock(f, fcntl.LOCK_EX)\njson.kept = mmap.mmap(f.fileno(), 4096)\nreturn 1",
    ),
    Act::new(
        "files from a child that goes on",
        ANY,
        "",
        "import os, tempfile, time\nd = tempfile.gettempdir()\nif os.fork() == 0:\n    os.setsid()\n    for n in range(100):\n        try: open('%s/MARK-%d' % (d, n), 'w').close()\n        except OSError: pass\n        time.sleep(0.02)\n    os._exit(0)\nreturn 1",
    ),
    Act::new(
        "files when the script dies",
        &[500],
        "",
        "import os, tempfile\ntempfile.NamedTemporaryFile(delete=False, suffix='MARK').write(b'x')\nos._exit(1)",
    ),
    Act::new(
        "files when the script is late",
        &[408],
        "",
        "import tempfile\nf = tempfile.NamedTemporaryFile(delete=False, suffix='MARK')\nf.write(b'x' * 100000)\nf.flush()\nwhile True: pass",
    ),
];

#[test]
fn nothing_stays_and_nothing_else_goes() {
    rows(
        ACTS.iter().map(|act| (act.name, act)),
        // Shorter than the good client's patience, which waits for the late one's worker.
        || Arena::start(ONE, |builder| builder.env("TABPY_EVALUATE_TIMEOUT", "4")),
        |arena, act| {
            let victim = arena.server().path("victim");
            std::fs::create_dir_all(&victim).unwrap();
            std::fs::write(victim.join("file"), "precious").unwrap();
            let script = act.script.replace("VICTIM", &victim.display().to_string());
            let marker = arena.marker();
            let answer = arena.evaluate(&script.replace("MARK", &marker), json!({}));
            crate::arena::judge(act, &answer);
            let question = "import os, tempfile\nd = tempfile.gettempdir()\nreturn [os.listdir(d), os.listdir('.') if os.getcwd().startswith(d) else [], os.access(d, os.W_OK), tempfile.mkdtemp()[:1]]";
            assert_eq!(arena.value(question), r#"[[], [], true, "/"]"#, "what the next script finds");
            if act.answers == [408] {
                // Whoever waits for the only worker until then is asked to come later.
                arena.recovers(act.name, &marker);
            } else {
                arena.holds(act.name, &marker);
            }
            assert_eq!(std::fs::read_to_string(victim.join("file")).unwrap(), "precious");
        },
    );
}

/// A server that was killed could not clean up; the next one with the same folder does.
#[test]
fn files_of_a_killed_server_do_not_stay_for_good() {
    let mut arena = Arena::start(ONE, |builder| builder);
    let marker = arena.marker();
    let mut running = arena.begin(&format!(
        "import os, tempfile, time\nf = tempfile.NamedTemporaryFile(delete=False, suffix='{marker}')\n\
         f.write(b'x' * 1000)\nf.flush()\nos.fsync(f.fileno())\ntime.sleep(1)\nprint('written', flush=True)\ntime.sleep(60)"
    ));
    running.set_patience(Duration::from_millis(1500));
    assert!(running.read().is_err(), "it ended too early");
    let mut server = arena.take_server();
    server.signal(Signal::KILL);
    assert_eq!(server.wait(), None);
    let server = server.start_again();
    let folder = server.path("");
    let gone = wait_for(PATIENCE, || marked_paths(&marker, server.pid(), &folder).is_empty().then_some(()));
    assert!(gone.is_some(), "{:?}", marked_paths(&marker, server.pid(), &folder));
}
