//! Workers that end in the midst of several requests: whoever was no cause of it gets an answer.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::crowd::{ADD, COUNT, asks, busy, figure, read, teach, together, waiting, worker, workers};
use crate::support::{Connection, Request, processes};

/// Each takes its time, and all together more than the test needs to kill their worker.
const SLOWISH: f64 = 100_000.0;

#[test]
fn a_worker_killed_from_outside_costs_nobody_an_answer() {
    let server = workers(1).start().ready();
    for turn in 0..5 {
        teach(&server, &asks(COUNT, 1));
        let mut sleeper = busy(&server);
        let requests: Vec<Request> = (0..12).map(|place| asks(COUNT, SLOWISH + f64::from(place))).collect();
        let mut all = waiting(&server, &requests);
        sleeper.read().unwrap().is(200, "\"slept\"");
        thread::sleep(Duration::from_millis(4 * turn));
        worker(&server).kill();
        let answers = read(&mut all);
        // The one that was under way may be told so, if it ran alone by then.
        let lost = answers.iter().filter(|answer| answer.status != 200).count();
        assert!(lost <= 1, "{answers:?}");
        for (place, answer) in answers.iter().enumerate().filter(|(_, answer)| answer.status == 200) {
            answer.is(200, &(100_000 + place).to_string());
        }
    }
    server.still_works();
}

/// All of them run in one message: a kill before the first is answered costs nobody anything.
#[test]
fn stopped_and_killed_with_all_of_them() {
    let server = workers(1).start().ready();
    teach(&server, &asks(ADD, 1));
    let mut sleeper = busy(&server);
    let requests: Vec<Request> = (0..8).map(|value| asks(ADD, value)).collect();
    let mut all = waiting(&server, &requests);
    sleeper.read().unwrap().is(200, "\"slept\"");
    let victim = worker(&server);
    processes::signal(victim.pid, Signal::STOP);
    // The warden lets a stopped worker go on; what matters is that answers are right whenever it ends.
    victim.kill();
    for (value, answer) in read(&mut all).into_iter().enumerate() {
        answer.is(200, &format!("[{}]", value + 1));
    }
}

/// Pure scripts that the interpreter does not survive, by the stack that it uses up.
#[test]
fn a_script_that_crashes_has_its_error_and_nobody_else() {
    let server = workers(1).start().ready();
    // Enough for each; to build a generator upon so many more takes seconds.
    let crashes = [
        (1_000_000, "x = [1]\nfor i in range(_arg1[0]): x = filter(None, x)\nreturn list(x)"),
        (1_000_000, "x = ()\nfor i in range(_arg1[0]): x = (x,)\nreturn len({x})"),
        (1_000_000, "x = slice(0)\nfor i in range(_arg1[0]): x = slice(x)\nreturn 1"),
        (200_000, "x = [1]\nfor i in range(_arg1[0]): x = (y for y in x)\nreturn list(x)"),
        (1_000_000, "x = [1]\nfor i in range(_arg1[0]): x = enumerate(x)\nx = 0\nreturn 1"),
    ];
    for (many, crash) in crashes {
        teach(&server, &asks(ADD, 1));
        teach(&server, &asks(crash, 1));
        let requests = [
            asks(ADD, 1),
            asks(crash, many),
            asks(ADD, 2),
            asks(crash, 2),
            asks(crash, many),
            asks(ADD, 3),
            asks(ADD, 4),
        ];
        let answers = together(&server, &requests);
        for (place, wanted) in [(0, "[2]"), (2, "[3]"), (5, "[4]"), (6, "[5]")] {
            answers[place].is(200, wanted);
        }
        assert_eq!(answers[3].status, 200, "{}", answers[3].text());
        for place in [1, 4] {
            // A Python that survives it says that it is nested too deep, or answers.
            let answer = &answers[place];
            assert!(answer.status == 200 || answer.error(500).0 == "Error processing script", "{answer:?}");
        }
    }
    // Each crash takes its worker, once among others and once alone, and no more.
    assert!(figure(&server, "tabpy_workers_ended_total{reason=\"died\"}") <= 20.0);
    server.still_works();
}

/// What was put into an argument is freed after the answer, and may crash then.
#[test]
fn a_crash_after_the_answer_is_nobodys_error() {
    let server = workers(1).start().ready();
    let late = "x = slice(0)\nfor i in range(_arg1[0]): x = slice(x)\n_arg1.append(x)\nreturn 1";
    for _ in 0..3 {
        teach(&server, &asks(ADD, 1));
        teach(&server, &asks(late, 1));
        let requests: Vec<Request> = (0..12)
            .map(|place| if place % 4 == 1 { asks(late, 300_000) } else { asks(ADD, place) })
            .collect();
        for (place, answer) in together(&server, &requests).into_iter().enumerate() {
            let wanted = if place % 4 == 1 { "1".to_owned() } else { format!("[{}]", place + 1) };
            answer.is(200, &wanted);
        }
    }
}

#[test]
fn kills_in_a_storm_of_quick_calls_cost_at_most_those_that_ran_alone() {
    let server = workers(2).start().ready();
    teach(&server, &asks(ADD, 1));
    let lost: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..10)
            .map(|client| {
                let mut connection: Connection = server.connect();
                scope.spawn(move || {
                    (0..200)
                        .filter(|turn| {
                            let answer = connection.send(&asks(ADD, client * 1000 + turn));
                            if answer.status == 200 {
                                answer.is(200, &format!("[{}]", client * 1000 + turn + 1));
                            }
                            answer.status != 200
                        })
                        .count()
                })
            })
            .collect();
        for _ in 0..6 {
            thread::sleep(Duration::from_millis(40));
            worker(&server).kill();
        }
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert!(lost <= 6, "{lost} calls lost to 6 kills");
    server.still_works();
}
