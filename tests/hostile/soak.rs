//! Everything at once: hostile scripts at random for a minute (`SOAK_SECONDS`) beside 8 clients
//! that do nothing wrong. None of their calls fails, every hostile one gets its one clean answer,
//! and at the end the server is as small as it was. The seed is printed and can be given again.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::arena::{Act, Arena, DEADLINE, PASSWORD, USER, Workers};
use crate::good_client::GoodClient;
use crate::support::{Builder, PATIENCE, wait_for};
use crate::{
    bombs, descriptors, endings, endless, floods, forks, killing, left_over, memory, recursion, state,
};

const GOOD_CLIENTS: usize = 8;
const ATTACKERS: usize = 4;
const WORKERS: Workers = Workers(4, 16);

fn settings(builder: Builder) -> Builder {
    builder
        .env("TABPY_WORKER_MEMORY_MB", "300")
        .env("TABPY_SCRIPT_DISK_MB", "32")
        .env("TABPY_SCRIPT_PROCESSES", "32")
        .env("TABPY_SCRIPT_OUTPUT_KB", "16")
        .env("TABPY_MAX_RESPONSE_SIZE_MB", "8")
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Name and script of everything hostile; killers only where nothing outside can be reached.
fn scripts(walled: bool) -> Vec<(&'static str, &'static str)> {
    let tables: [&[Act]; 18] = [
        endings::EXCEPTIONS,
        endings::HOSTILE_EXCEPTIONS,
        endings::DEATHS,
        endings::AFTERWARDS,
        endings::ANSWERS,
        endless::LOOPS,
        endless::SLEEPS,
        memory::TAKES,
        recursion::PYTHON,
        recursion::C,
        forks::TOO_MANY,
        forks::LEFT,
        forks::THREADS,
        bombs::BOMBS,
        descriptors::ACTS,
        floods::OUTPUT,
        floods::ANSWERS,
        floods::DISKS,
    ];
    let mut scripts: Vec<_> = tables.concat().iter().map(|act| (act.name, act.script)).collect();
    let left = left_over::ACTS.iter().filter(|act| !act.script.contains("VICTIM"));
    scripts.extend(left.map(|act| (act.name, act.script)));
    let messes = [state::BUILTINS, state::MODULES, state::NAMES, state::INTERPRETER, state::PROCESS];
    scripts.extend(messes.concat().iter().map(|mess| (mess.0, mess.1)));
    if walled {
        scripts.extend(killing::ACTS.iter().map(|act| (act.name, act.script)));
    }
    scripts
}

/// Numbers that look random enough, from a seed.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides).unwrap()).unwrap()
    }
}

#[test]
fn soak() {
    let seconds = number("SOAK_SECONDS").unwrap_or(60);
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let seed = number("SOAK_SEED").unwrap_or(clock);
    let walled = Arena::walled(WORKERS, settings);
    // Without confinement the killers end the server at once, and the soak shows nothing else.
    let killers = walled.is_some() && number("SOAK_KILLERS") != Some(0);
    let scripts = scripts(killers);
    let arena = walled.unwrap_or_else(|| Arena::start(WORKERS, settings));
    eprintln!("figures: soak: {} scripts, SOAK_SECONDS={seconds} SOAK_SEED={seed}", scripts.len());
    let marker = arena.marker();
    let good: Vec<GoodClient> =
        (1..GOOD_CLIENTS).map(|_| GoodClient::start(arena.server().port(), USER, PASSWORD)).collect();
    let end = Instant::now() + Duration::from_secs(seconds);
    let (answers, wrong) = (Mutex::new(BTreeMap::<u16, usize>::new()), Mutex::new(Vec::new()));
    let peak = Mutex::new((0, 0));
    std::thread::scope(|scope| {
        for attacker in 0..u64::try_from(ATTACKERS).unwrap() {
            let (arena, scripts, marker, answers, wrong) = (&arena, &scripts, &marker, &answers, &wrong);
            let mut dice = Dice((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(attacker));
            scope.spawn(move || {
                while Instant::now() < end {
                    let (name, script) = scripts[dice.throw(scripts.len())];
                    let leaves = dice.throw(8) == 0;
                    let asked = Instant::now();
                    match attack(arena, &script.replace("MARK", marker), leaves) {
                        Ok(status) => *answers.lock().unwrap().entry(status).or_default() += 1,
                        Err(text) => {
                            wrong.lock().unwrap().push(format!("{name}: {text} after {:?}", asked.elapsed()))
                        }
                    }
                }
            });
        }
        while Instant::now() < end {
            let now = arena.now();
            let mut peak = peak.lock().unwrap();
            *peak = (peak.0.max(now.memory), peak.1.max(now.processes));
            std::thread::sleep(Duration::from_millis(500));
        }
    });
    let mut calls: Vec<_> = good.iter().map(GoodClient::take).collect();
    drop(good);
    calls.push(arena.good_calls());
    let count: usize = calls.iter().map(|calls| calls.times.len()).sum();
    let slowest = calls.iter().map(|calls| calls.slowest()).max().unwrap();
    let failures: Vec<String> =
        calls.iter().flat_map(|c| c.failures.iter().chain(&c.turned_away)).cloned().collect();
    let clean = wait_for(2 * PATIENCE, || arena.left_behind(&marker).is_empty().then_some(()));
    let now = arena.now();
    let peak = peak.into_inner().unwrap();
    eprintln!(
        "figures: soak: {count} good calls, slowest {} ms, median {} ms, {} failed; hostile answers {:?}; memory {} -> {} MB (peak {}), processes {} -> {} (peak {})",
        slowest.as_millis(),
        calls.last().unwrap().median().as_millis(),
        failures.len(),
        answers.into_inner().unwrap(),
        arena.before().memory / 1024,
        now.memory / 1024,
        peak.0 / 1024,
        arena.before().processes,
        now.processes,
        peak.1,
    );
    let wrong = wrong.into_inner().unwrap();
    let mut complaints: Vec<String> =
        failures.into_iter().take(20).map(|text| format!("good call: {text}")).collect();
    complaints.extend(wrong.into_iter().take(20).map(|text| format!("hostile call: {text}")));
    if clean.is_none() {
        complaints.extend(arena.left_behind(&marker));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    arena.holds("soak", &marker);
}

/// One hostile call. Its status, or what was wrong with the answer; a client that leaves has none.
fn attack(arena: &Arena, script: &str, leaves: bool) -> Result<u16, String> {
    drop(
        std::net::TcpStream::connect(("127.0.0.1", arena.server().port()))
            .map_err(|error| error.to_string())?,
    );
    let mut connection = arena.begin(script);
    if leaves {
        std::thread::sleep(Duration::from_millis(300));
        return Ok(0);
    }
    connection.set_patience(Duration::from_secs(DEADLINE) + PATIENCE);
    let answer = connection.read().map_err(|error| format!("no answer: {error}"))?;
    let text: String = answer.text().chars().take(300).collect();
    match answer.status {
        200 => Ok(200),
        408 | 500 => {
            let body: serde_json::Value =
                serde_json::from_slice(&answer.body).map_err(|error| format!("{error}: {text}"))?;
            let is_error =
                body["message"].is_string() && (body["info"].is_string() || body["info"].is_object());
            is_error.then_some(answer.status).ok_or(text)
        }
        status => Err(format!("{status} {text}")),
    }
}
