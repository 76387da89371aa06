//! What a script leaves in its process must not come to life beside other clients' requests.

use serde_json::{Value, json};

use crate::crowd::{asks, teach, together, workers};
use crate::support::Request;

/// Looks for other clients' arguments in its own memory, and writes down what it has found.
const SPY: &str = "import io, re
def spy(*_):
    found = set()
    memory = io.open('/proc/self/mem', 'rb', 0)
    for line in io.open('/proc/self/maps'):
        begin, end = [int(text, 16) for text in line.split()[0].split('-')]
        if ' rw' in line and end - begin < 2 ** 31:
            try:
                memory.seek(begin)
                found |= set(re.findall(b'customer-[0-9]+', memory.read(end - begin)))
            except (OSError, ValueError):
                pass
    io.open('FOLDER/found', 'a').write(repr(sorted(found)) + chr(10))
";

/// Has Python collect what nobody reaches any more.
const COLLECTING: &str = "return len([[x] for x in range(_arg1[0])])";

/// Has Python look for a codec.
const DECODING: &str = "try:\n    return str(b'x', _arg1[0])\nexcept LookupError:\n    return 'none'";

const VICTIM: &str = "return [len(str(x)) for x in _arg1]";

/// Leaves the spy behind, and has it called by one of the scripts that follow. It is told whether that happened.
#[track_caller]
fn no_spy_beside_others(leave: &str) {
    let folder = tempfile::tempdir().unwrap();
    let server = workers(1).env("TABPY_SCRIPT_WRITE", folder.path().display()).start().ready();
    for (script, value) in [(COLLECTING, json!(1)), (DECODING, json!("utf-8")), (VICTIM, json!(1))] {
        teach(&server, &asks(script, value));
    }
    let spy = SPY.replace("FOLDER", &folder.path().display().to_string());
    server.evaluate(&format!("{spy}{leave}\nreturn 1"), json!({})).is(200, "1");
    // Under the name of a known script, one that is compiled only now.
    let [shown, meant] = [VICTIM, "return 'audited'"].map(Value::from);
    let fresh = format!(r#"{{"script": {shown}, "script": {meant}, "data": {{}}}}"#);
    let mut requests =
        vec![asks(COLLECTING, 3000), asks(DECODING, "spy"), Request::post("/evaluate", fresh.into_bytes())];
    requests.extend((100..105).map(|number| asks(VICTIM, format!("customer-{number}"))));
    let answers = together(&server, &requests);
    let texts: Vec<String> = answers[3..].iter().map(crate::support::Response::text).collect();
    assert_eq!(texts, ["[12]"; 5]);
    let found = std::fs::read_to_string(folder.path().join("found")).unwrap_or_default();
    eprintln!("figures: the spy was called {} times", found.lines().count());
    assert!(!found.contains("customer"), "a script that had ended found {found}");
}

/// A generator that refers to itself is ended when Python collects it, and runs its `finally` then.
#[test]
fn a_generators_end_is_not_beside_others() {
    no_spy_beside_others(
        "def g():\n    me = yield\n    try:\n        yield\n    finally:\n        spy()\nx = g()\nnext(x)\nx.send(x)",
    );
}

#[test]
fn an_objects_end_is_not_beside_others() {
    no_spy_beside_others("class A(list):\n    __del__ = spy\na = A()\na.append(a)");
}

/// Registered in a way that nobody sees who reads the script.
#[test]
fn a_codecs_search_is_not_beside_others() {
    no_spy_beside_others(
        "import codecs\n{1: codecs.register}[1](lambda name: spy() if name == 'spy' else None)",
    );
}

#[test]
fn a_hook_for_audits_is_not_beside_others() {
    no_spy_beside_others(
        "import sys\ngetattr(sys, 'addaudit' + 'hook')(lambda event, a: spy() if event == 'compile' and 'audited' in str(a[0]) else None)",
    );
}

/// The judge of scripts is Python, and a script before may have changed what it is made of. Where one is judged to
/// do nothing, what it has printed stays where it is.
#[test]
fn a_judge_that_was_spoilt_judges_nobody() {
    let spoiling = [
        "import ast\n{1: ast.walk}[1].__code__ = (lambda node: []).__code__\nreturn 1",
        "import ast\n{1: ast.iter_child_nodes}[1].__code__ = (lambda node: []).__code__\nreturn 1",
        "import _tabpy_rs_pure as p\n{1: p.is_pure}[1].__code__ = (lambda a, b: True).__code__\nreturn 1",
        "import _tabpy_rs as p\n[vars(p)][0]['is_pure'] = lambda *a: True\nreturn 1",
        "import _tabpy_rs as p\n[p][0].is_pure = lambda *a: True\nreturn 1",
    ];
    for spoil in spoiling {
        let server = workers(1).start().ready();
        server.evaluate(spoil, json!({}));
        let prints = asks("print('here', end='')\nreturn 1", 1).header("TabPy-Details", "true");
        let answer = server.send(&prints);
        assert_eq!(answer.header("TabPy-Output"), Some("aGVyZQ=="), "{answer:?} after {spoil}");
    }
}

/// A worker tells of its first script that does more than compute before it runs it, and what that prints may have
/// come before the server has looked.
#[test]
fn what_the_first_script_of_a_worker_prints_is_not_lost() {
    let server = workers(2).env("TABPY_WORKER_REQUESTS", 1).start().ready();
    let prints = asks("print('here', end='')\nreturn 1", 1).header("TabPy-Details", "true");
    let lost: usize = std::thread::scope(|scope| {
        let print =
            || (0..25).filter(|_| server.send(&prints).header("TabPy-Output") != Some("aGVyZQ==")).count();
        let clients: Vec<_> = (0..6).map(|_| scope.spawn(print)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert_eq!(lost, 0, "of 150");
}

/// Finds its own request's id in its memory, answers that, and goes on to answer whatever comes.
const TAKEOVER: &str = r"import os, re, select, struct, time
ids = []
memory = open('/proc/self/mem', 'rb', 0)
for line in open('/proc/self/maps'):
    begin, end = [int(text, 16) for text in line.split()[0].split('-')]
    if ' rw' in line and end - begin < 2 ** 28:
        try:
            memory.seek(begin)
            text = memory.read(end - begin)
        except (OSError, ValueError, OverflowError):
            continue
        for found in re.finditer(b'QRpt\x02\x00\x00[\x00-\xff]', text):
            header = text[found.start():found.start() + 40]
            ids += struct.unpack('<Q', header[8:16]) if len(header) == 40 else []
def answer(id, body):
    # Fits, not the last, pure.
    os.write(64, struct.pack('<4sIQQII4B4x', b'PRpt', 200, id, len(body), 1, 1, 1, 0, 1, 0) + body)
# What else looks like a header is there once.
answer(max(ids, key=ids.count), b'0')
for _ in range(20):
    select.select([64], [], [])
    came = os.read(64, 65536)
    if not came:
        break
    open('FOLDER/found', 'a').write('one\n' if len(came) == 40 + struct.unpack('<Q', came[16:24])[0] else 'several\n')
    time.sleep(0.05)
    answer(struct.unpack('<Q', came[8:16])[0], b'[666]')
";

/// Nobody can keep a script from that, and its next caller hears what it likes; but one by one.
#[test]
fn who_has_taken_the_wire_is_sent_one_request_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let server = workers(1).env("TABPY_SCRIPT_WRITE", folder.path().display()).start().ready();
    teach(&server, &asks("return [len(str(x)) for x in _arg1]", 1));
    let script = TAKEOVER.replace("FOLDER", &folder.path().display().to_string());
    server.evaluate(&script, json!({}));
    let requests: Vec<Request> = (0..12).map(|number| asks(VICTIM, format!("customer-{number}"))).collect();
    crate::crowd::read(&mut crate::crowd::waiting(&server, &requests));
    let found = std::fs::read_to_string(folder.path().join("found")).unwrap_or_default();
    assert!(found.contains("one"), "it did not work: {found:?}");
    assert!(!found.contains("several"), "{found}");
}
