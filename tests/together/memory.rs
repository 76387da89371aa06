//! Pure scripts that take more memory than they may: theirs is the error, in the limit's words.

use crate::crowd::{ADD, asks, teach, together, workers};
use crate::support::Server;

fn limited() -> Server {
    workers(1).env("TABPY_WORKER_MEMORY_MB", "200").env("TABPY_EVALUATE_TIMEOUT", "15").start().ready()
}

#[test]
fn too_much_memory_is_its_own_clients_error() {
    let server = limited();
    for greedy in [
        "x = 'a' * (_arg1[0] * 10 ** 6)\ny = x + x\nreturn len(y)",
        "x = []\nwhile len(x) < _arg1[0] * 10 ** 5: x.append([len(x)])\nreturn len(x)",
        "return len(list(range(_arg1[0] * 10 ** 5)))",
        "return len('{' + f'{1:>{_arg1[0] * 10 ** 6}}')",
        "return len('\\t'.expandtabs(_arg1[0] * 10 ** 6))",
        "try:\n    x = 'a' * (_arg1[0] * 10 ** 6)\n    y = x * 9\nexcept:\n    x = 0\nreturn [str(x)] * 2 + 'a'",
    ] {
        teach(&server, &asks(ADD, 1));
        for _ in 0..2 {
            server.send(&asks(greedy, 0));
        }
        let requests = [
            asks(ADD, 1),
            asks(greedy, 2000),
            asks(ADD, 2),
            asks(greedy, 0),
            asks(ADD, 3),
            asks(greedy, 2001),
        ];
        let answers = together(&server, &requests);
        for (place, wanted) in [(0, "[2]"), (2, "[3]"), (4, "[4]")] {
            answers[place].is(200, wanted);
        }
        for place in [1, 5] {
            let (message, info) = answers[place].error(500);
            // The last one hides it behind an error of its own.
            let is_told = info.to_string().contains("TABPY_WORKER_MEMORY_MB");
            assert!(is_told || greedy.starts_with("try"), "{greedy:?}: {message} {info}");
        }
    }
    server.still_works();
}
