//! Scripts that close, write to, read from and pass on every descriptor they find, the wire to the
//! server among them: their own call may fail; nobody ever gets an answer that they made up.

use std::thread::sleep;
use std::time::Duration;

use serde_json::json;

use crate::arena::{Act, Arena, ONE, USUAL, rows};

const FAILS_OR_LATE: &[u16] = &[500, 408];
const ANY: &[u16] = &[200, 500, 408];

/// Everything that a frame could look like, without knowing: counts of both byte orders before
/// an answer, statuses, JSON, with and without what was seen on the wire.
macro_rules! forged {
    ($rest:literal) => {
        concat!(
            "import os, struct\ntext = b'{\"forged\": true}'\nframes = [text * 4]\n\
             for order in '<>':\n    for size in 'HIQ':\n        for status in (0, 1, 200):\n            \
             head = struct.pack(order + size, len(text)) + struct.pack(order + size, status)\n            \
             frames += [head + text, head[::-1] + text, head * 4 + text]\n    \
             for words in ((1, 1, 16), (0, 200, 16), (200, 16), (1, 200, 0, 16), (2, 200, 16)):\n        \
             frames += [struct.pack(order + '%dQ' % len(words), *words) + text, struct.pack(order + '%dI' % len(words), *words) + text]\n\
             wires = []\nfor d in range(3, 256):\n    try:\n        os.fstat(d)\n        wires.append(d)\n    except OSError: pass\n\
             def forge():\n    for d in wires:\n        for f in frames:\n            \
             try:\n                os.set_blocking(d, False)\n                os.write(d, f)\n            except OSError: pass\n",
            $rest
        )
    };
}

pub const ACTS: &[Act] = &[
    Act::new("all closed", ANY, "", "import os\nos.closerange(0, 65536)\nreturn 1"),
    Act::new("all but the first three closed", ANY, "", "import os\nos.closerange(3, 65536)\nreturn 1"),
    Act::new(
        "all closed, and a loop",
        FAILS_OR_LATE,
        "",
        "import os\nos.closerange(0, 65536)\nwhile True: pass",
    ),
    Act::new(
        "standard ones closed, and print",
        &[200, 500],
        "",
        "import os\nos.closerange(0, 3)\nprint('x', flush=True)\nreturn 1",
    ),
    Act::new(
        "standard ones closed, others in their place",
        ANY,
        "",
        "import os\nos.closerange(0, 3)\nfor _ in range(3): os.open('/dev/null', os.O_RDWR)\nos.system('true')\nreturn 1",
    ),
    Act::new(
        "/dev/null over all",
        ANY,
        "",
        "import os\nn = os.open('/dev/null', os.O_RDWR)\nfor d in range(256):\n    if d != n:\n        try: os.dup2(n, d)\n        except OSError: pass\nreturn 1",
    ),
    Act::new(
        "a pipe over all",
        ANY,
        "",
        "import os\nr, w = os.pipe()\nfor d in range(3, 256):\n    if d not in (r, w):\n        try:\n            os.fstat(d)\n            os.dup2(w, d)\n        except OSError: pass\nreturn 1",
    ),
    Act::new("a forged answer, then another", ANY, "", forged!("forge()\nreturn 1")),
    Act::new("a forged answer, then none", FAILS_OR_LATE, "", forged!("forge()\nwhile True: pass")),
    Act::new("a forged answer, then death", &[500], "", forged!("forge()\nos._exit(0)")),
    Act::new(
        "a thread that forges later",
        ANY,
        "",
        forged!(
            "import threading, time\ndef later():\n    for _ in range(50):\n        time.sleep(0.02)\n        forge()\nthreading.Thread(target=later, daemon=True).start()\nreturn 1"
        ),
    ),
    Act::new(
        "a child that forges later",
        ANY,
        "",
        forged!(
            "import time\nif os.fork() == 0:\n    for _ in range(50):\n        time.sleep(0.02)\n        forge()\n    os._exit(0)\nreturn 1"
        ),
    ),
    Act::new(
        "a detached child that forges later",
        ANY,
        "",
        forged!(
            "import time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        for _ in range(50):\n            time.sleep(0.02)\n            forge()\n    os._exit(0)\nreturn 1"
        ),
    ),
    Act::new(
        "forged when the process ends",
        ANY,
        "",
        forged!("import atexit\natexit.register(forge)\nreturn 1"),
    ),
    Act::new(
        "garbage without end",
        FAILS_OR_LATE,
        "",
        "import os, time\njunk = b'\\xff' * 2 ** 20\nend = time.time() + 4\nn = 0\nwhile time.time() < end and n < 300:\n    n += 1\n    for d in range(3, 64):\n        try:\n            os.set_blocking(d, False)\n            os.write(d, junk)\n        except OSError: pass\nwhile True: pass",
    ),
    Act::new(
        "zeros, then silence",
        FAILS_OR_LATE,
        "",
        "import os, time\nfor d in range(3, 64):\n    try:\n        os.set_blocking(d, False)\n        os.write(d, b'\\0' * 7)\n    except OSError: pass\ntime.sleep(60)",
    ),
    Act::new(
        "half a frame, then silence",
        FAILS_OR_LATE,
        "",
        "import os, struct, time\nfor d in range(3, 64):\n    try:\n        os.set_blocking(d, False)\n        os.write(d, struct.pack('<4Q', 200, 2 ** 62, 1, 2 ** 62))\n    except OSError: pass\ntime.sleep(60)",
    ),
    Act::new(
        "sockets shut down",
        FAILS_OR_LATE,
        "",
        "import socket, time\nfor d in range(3, 64):\n    try: socket.socket(fileno=d).shutdown(socket.SHUT_RDWR)\n    except OSError: pass\ntime.sleep(60)",
    ),
    Act::new(
        "sockets shut down for writing",
        ANY,
        "",
        "import os, socket\nfor d in range(3, 64):\n    try: socket.socket(fileno=os.dup(d)).shutdown(socket.SHUT_WR)\n    except OSError: pass\nreturn 1",
    ),
    Act::new(
        "descriptors sent to the server",
        ANY,
        "",
        "import os, socket\nfor d in range(3, 64):\n    try: s = socket.socket(fileno=os.dup(d))\n    except OSError: continue\n    s.setblocking(False)\n    n = os.open('/dev/null', os.O_RDWR)\n    for _ in range(100):\n        try: socket.send_fds(s, [b'x'], [n] * 200)\n        except OSError: break\nreturn 1",
    ),
    Act::new(
        "non-blocking wire, large answer",
        ANY,
        "",
        "import os\nfor d in range(3, 64):\n    try: os.set_blocking(d, False)\n    except OSError: pass\nreturn ['x' * 1000] * 20000",
    ),
    Act::new(
        "the wire's buffers made small",
        &[200],
        "",
        "import os, socket\nfor d in range(3, 64):\n    try:\n        s = socket.socket(fileno=os.dup(d))\n        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)\n        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)\n    except OSError: pass\nreturn ['x' * 1000] * 2000",
    ),
    Act::new(
        "all descriptors used up",
        ANY,
        "",
        "import json, os\njson.kept = []\ntry:\n    for _ in range(100000): json.kept.append(os.open('/dev/null', os.O_RDONLY))\nexcept OSError: pass\nreturn len(json.kept)",
    ),
    Act::new(
        "all descriptors used up, and an error",
        &[500],
        "",
        "import json, os\njson.kept = []\nwhile len(json.kept) < 100000: json.kept.append(os.open('/dev/null', os.O_RDONLY))\nraise ValueError('x')",
    ),
    Act::new(
        "a read of the wire that waits",
        FAILS_OR_LATE,
        "",
        "import os\nfor d in range(3, 64):\n    try:\n        os.set_blocking(d, True)\n        os.read(d, 10)\n    except OSError: pass\nwhile True: pass",
    ),
];

#[test]
fn nobody_gets_a_made_up_answer() {
    rows(
        ACTS.iter().map(|act| (act.name, act)),
        || Arena::start(USUAL, |builder| builder),
        |arena, act| {
            let answer = arena.perform(act);
            if act.name.starts_with("the wire's") {
                assert!(answer.body.len() > 2_000_000);
            }
            for value in 0..100 {
                let answer = arena.evaluate("return _arg1", json!({"_arg1": [value]}));
                answer.is(200, &format!("[{value}]"));
            }
        },
    );
}

/// One worker, so that what is left meets the next request for certain.
#[test]
fn no_later_call_is_answered_by_what_an_earlier_one_left() {
    let late = ACTS.iter().filter(|act| act.name.contains("later") || act.name.starts_with("a forged"));
    rows(
        late.map(|act| (act.name, act)),
        || Arena::start(ONE, |builder| builder),
        |arena, act| {
            let marker = arena.marker();
            arena.answer(act, &marker);
            for value in 0..20 {
                let answer =
                    arena.evaluate("import time\ntime.sleep(0.05)\nreturn _arg1", json!({"_arg1": [value]}));
                answer.is(200, &format!("[{value}]"));
            }
            arena.holds(act.name, &marker);
        },
    );
}

#[test]
fn nobody_reads_the_next_request() {
    let arena = Arena::start(ONE, |builder| builder);
    let readers = [
        "import os, threading\ndef listen(d):\n    while True:\n        try: print('overheard', os.read(d, 65536), flush=True)\n        except OSError: return\nfor d in range(3, 64): threading.Thread(target=listen, args=(d,), daemon=True).start()\nreturn 1",
        "import os, socket, select\nif os.fork() == 0:\n    import time\n    end = time.time() + 4\n    while time.time() < end:\n        for d in range(3, 64):\n            try:\n                s = socket.socket(fileno=os.dup(d))\n                print('overheard', s.recv(65536, socket.MSG_PEEK | socket.MSG_DONTWAIT), flush=True)\n            except OSError: pass\n        time.sleep(0.01)\n    os._exit(0)\nreturn 1",
    ];
    for script in readers {
        let answer = arena.evaluate(script, json!({}));
        assert!([200, 408, 500].contains(&answer.status), "{}", answer.text());
        for _ in 0..20 {
            let answer = arena.evaluate("return len(_arg1[0])", json!({"_arg1": ["a-secret-of-another"]}));
            answer.is(200, "19");
        }
        sleep(Duration::from_millis(500));
        let log = arena.server().log();
        let overheard = log.lines().find(|line| line.contains("overheard") && line.contains("a-secret-of"));
        assert!(overheard.is_none(), "{overheard:?}");
        arena.holds("listening", &arena.marker());
    }
}
