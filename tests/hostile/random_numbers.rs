//! Workers are copies of one process; the random numbers that they give must not be.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::arena::{Act, Arena, ONE, Workers};

const DRAW: &str = "import numpy, os, random, secrets, tempfile, uuid\n\
    return [random.random(), random.Random().random(), float(numpy.random.rand()), float(numpy.random.default_rng().random()), \
    int(numpy.random.randint(2 ** 62)), random.getrandbits(64), str(uuid.uuid4()), str(uuid.uuid1()), secrets.token_hex(16), \
    random.sample(range(10 ** 9), 2)]";

fn distinct(draws: &[Value]) {
    let kinds = draws[0].as_array().unwrap().len();
    for kind in 0..kinds {
        let values: BTreeSet<String> = draws.iter().map(|draw| draw[kind].to_string()).collect();
        assert_eq!(values.len(), draws.len(), "generator {kind} repeats itself: {values:?}");
    }
}

#[test]
fn workers_draw_different_numbers() {
    let arena = Arena::start(Workers(4, 4), |builder| builder);
    let mut draws = Vec::new();
    for _ in 0..3 {
        // All at once, so that they run in different workers.
        let script = format!("import time\ntime.sleep(0.5)\n{DRAW}");
        let mut crowd: Vec<_> = (0..3).map(|_| arena.begin(&script)).collect();
        for connection in &mut crowd {
            let answer = arena.read(connection).unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
            draws.push(answer.json());
        }
    }
    distinct(&draws);
    arena.holds("random numbers", &arena.marker());
}

#[test]
fn a_worker_that_replaces_another_draws_other_numbers() {
    let arena = Arena::start(ONE, |builder| builder);
    let death = Act::new("death", &[500], "", "import os\nos._exit(1)");
    let mut draws = Vec::new();
    for _ in 0..5 {
        draws.push(arena.evaluate(DRAW, json!({})).json());
        arena.answer(&death, &arena.marker());
    }
    distinct(&draws);
    arena.holds("random numbers after deaths", &arena.marker());
}

/// What one script seeds is not the next one's luck.
#[test]
fn a_seed_is_the_scripts_own() {
    let arena = Arena::start(ONE, |builder| builder);
    let mut draws = Vec::new();
    for _ in 0..3 {
        arena
            .evaluate("import random, numpy\nrandom.seed(1)\nnumpy.random.seed(1)\nreturn 1", json!({}))
            .is(200, "1");
        draws.push(arena.evaluate(DRAW, json!({})).json());
    }
    distinct(&draws);
    // And within one script it works as ever.
    let seeded = "import random, numpy\nrandom.seed(1)\nnumpy.random.seed(1)\nreturn [random.random(), float(numpy.random.rand())]";
    assert_eq!(arena.value(seeded), "[0.13436424411240122, 0.417022004702574]");
    assert_eq!(arena.value(seeded), "[0.13436424411240122, 0.417022004702574]");
}

#[test]
fn children_of_a_script_work_with_their_own_numbers() {
    let arena = Arena::start(ONE, |builder| builder);
    let script = "import multiprocessing, random\nwith multiprocessing.get_context('fork').Pool(2) as p:\n    return sorted(p.map(abs, [-1, -2]))";
    assert_eq!(arena.value(script), "[1, 2]");
    arena.holds("a pool of processes", &arena.marker());
}
