//! What operators look at: counters, histograms and gauges in Prometheus' text form, and the last minutes
//! for the server's own page. Labels come from short lists, never from what a client wrote; nothing here
//! holds a script, its data or a user's name.

mod recent;

use std::collections::BTreeSet;
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};
pub use recent::{Note, Point, Recent};

/// The process's one set of figures.
pub static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// The `Content-Type` of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Functions beyond so many are counted together.
const MOST_FUNCTIONS: usize = 200;

/// Seconds: a tiny call takes a tenth of a millisecond, a timeout half a minute or more.
const BUCKETS: [f64; 16] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    queued: Histogram,
    together: IntCounter,
    calls: IntCounterVec,
    ended: IntCounterVec,
    workers: IntGaugeVec,
    waiting: IntGauge,
    memory: IntGauge,
    functions: Mutex<BTreeSet<String>>,
    pub recent: Recent,
}

/// The figures of one pattern of the URL table, at hand: to look them up takes longer than to count.
#[derive(Debug)]
pub struct Route {
    pub pattern: String,
    fine: OnceLock<IntCounter>,
    durations: OnceLock<Histogram>,
}

/// Why a worker process is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Its script had to be stopped: the deadline passed, or the client left, or several at once took too long.
    Stopped,
    /// It ended while a script ran, by the script's own doing.
    Died,
    /// Its script took more than it may of memory, disk or processes.
    Limited,
    /// A script left what no other script should meet.
    Spoilt,
    /// It has served `TABPY_WORKER_REQUESTS`, or has long run nothing but pure scripts, which a new one serves better.
    Served,
    /// It was not needed any more, held too much memory, was found ended, or was to read a body that stopped coming.
    Idle,
}

/// The moment's figures of the pool.
#[derive(Debug, Clone, Copy, Default)]
pub struct Levels {
    pub idle: usize,
    pub busy: usize,
    pub waiting: usize,
    /// Bytes, of all processes together.
    pub memory: u64,
}

impl Metrics {
    fn new() -> Self {
        let counter =
            |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        // The names and labels below are constants, so that none of these can fail.
        let fresh = || -> prometheus::Result<Self> {
            let metrics = Self {
                registry: Registry::new(),
                requests: counter("tabpy_requests_total", "Requests answered", &["route", "status"])?,
                durations: HistogramVec::new(
                    HistogramOpts::new(
                        "tabpy_request_duration_seconds",
                        "Time from a request's headers to its answer",
                    )
                    .buckets(BUCKETS.to_vec()),
                    &["route"],
                )?,
                queued: Histogram::with_opts(
                    HistogramOpts::new("tabpy_queue_seconds", "Time that requests waited for a worker")
                        .buckets(BUCKETS.to_vec()),
                )?,
                together: IntCounter::new(
                    "tabpy_requests_together_total",
                    "Requests that a worker answered together with others",
                )?,
                calls: counter(
                    "tabpy_function_calls_total",
                    "Calls of /query by function",
                    &["function", "status"],
                )?,
                ended: counter(
                    "tabpy_workers_ended_total",
                    "Worker processes that ended, by reason",
                    &["reason"],
                )?,
                workers: IntGaugeVec::new(Opts::new("tabpy_workers", "Worker processes"), &["state"])?,
                waiting: IntGauge::new("tabpy_queue_length", "Requests that wait for a worker")?,
                memory: IntGauge::new(
                    "tabpy_memory_bytes",
                    "Memory of the server and its workers, shared parts once",
                )?,
                functions: Mutex::default(),
                recent: Recent::default(),
            };
            metrics.register()?;
            Ok(metrics)
        };
        fresh().unwrap_or_else(|error| unreachable!("{error}"))
    }

    fn register(&self) -> prometheus::Result<()> {
        self.registry.register(Box::new(self.requests.clone()))?;
        self.registry.register(Box::new(self.durations.clone()))?;
        self.registry.register(Box::new(self.queued.clone()))?;
        self.registry.register(Box::new(self.together.clone()))?;
        self.registry.register(Box::new(self.calls.clone()))?;
        self.registry.register(Box::new(self.ended.clone()))?;
        self.registry.register(Box::new(self.workers.clone()))?;
        self.registry.register(Box::new(self.waiting.clone()))?;
        self.registry.register(Box::new(self.memory.clone()))?;
        for reason in Ended::ALL {
            self.ended.with_label_values(&[reason.label()]).inc_by(0);
        }
        Ok(())
    }

    /// One request has been answered.
    pub fn answered(&self, route: &Route, status: u16, duration: Duration) {
        let counter = || {
            let mut text = [0; 3];
            self.requests.with_label_values(&[route.pattern.as_str(), digits(status, &mut text)])
        };
        if status == 200 {
            route.fine.get_or_init(counter).inc();
        } else {
            counter().inc();
        }
        let durations = || self.durations.with_label_values(&[route.pattern.as_str()]);
        route.durations.get_or_init(durations).observe(duration.as_secs_f64());
    }

    /// A request has waited for its worker.
    pub fn queued(&self, wait: Duration) {
        self.queued.observe(wait.as_secs_f64());
    }

    /// So many requests were answered by one worker at once.
    pub fn together(&self, requests: usize) {
        self.together.inc_by(u64::try_from(requests).unwrap_or(u64::MAX));
    }

    /// A deployed function was called.
    pub fn called(&self, function: &str, status: u16) {
        let mut known = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        let function = if known.contains(function) {
            function
        } else if matches!(status, 200 | 500) && known.len() < MOST_FUNCTIONS {
            // Other answers are given to names that nobody has deployed, too.
            known.insert(function.to_owned());
            function
        } else {
            "(other)"
        };
        let mut text = [0; 3];
        self.calls.with_label_values(&[function, digits(status, &mut text)]).inc();
    }

    pub fn ended(&self, reason: Ended) {
        self.ended.with_label_values(&[reason.label()]).inc();
    }

    /// How many workers have ended for each reason.
    pub fn ends(&self) -> [(&'static str, u64); Ended::ALL.len()] {
        Ended::ALL.map(|reason| (reason.label(), self.ended.with_label_values(&[reason.label()]).get()))
    }

    /// Everything, in Prometheus' text form.
    pub fn text(&self, levels: Levels) -> anyhow::Result<Vec<u8>> {
        let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.workers.with_label_values(&["idle"]).set(number(levels.idle));
        self.workers.with_label_values(&["busy"]).set(number(levels.busy));
        self.waiting.set(number(levels.waiting));
        self.memory.set(i64::try_from(levels.memory).unwrap_or(i64::MAX));
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

impl Route {
    pub fn new(pattern: String) -> Self {
        Self { pattern, fine: OnceLock::new(), durations: OnceLock::new() }
    }
}

impl Ended {
    const ALL: [Self; 6] = [Self::Stopped, Self::Died, Self::Limited, Self::Spoilt, Self::Served, Self::Idle];

    fn label(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Died => "died",
            Self::Limited => "limited",
            Self::Spoilt => "spoilt",
            Self::Served => "served",
            Self::Idle => "idle",
        }
    }
}

/// A status as its three digits, without allocating.
fn digits(status: u16, text: &mut [u8; 3]) -> &str {
    for (digit, place) in text.iter_mut().zip([100, 10, 1]) {
        *digit = b'0' + u8::try_from(status / place % 10).unwrap_or(0);
    }
    std::str::from_utf8(text).unwrap_or("000")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_in_the_text_and_labels_are_bounded() {
        let metrics = Metrics::new();
        let route = Route::new("/evaluate".to_owned());
        metrics.answered(&route, 200, Duration::from_millis(3));
        metrics.answered(&route, 408, Duration::from_secs(31));
        metrics.queued(Duration::from_micros(10));
        metrics.ended(Ended::Died);
        metrics.called("nobody's", 404);
        metrics.called("nobody's", 413);
        for number in 0..300 {
            metrics.called(&format!("f{number}"), 200);
        }
        let levels = Levels { idle: 2, busy: 1, waiting: 4, memory: 1 << 20 };
        let text = String::from_utf8(metrics.text(levels).unwrap()).unwrap();
        for line in [
            "tabpy_requests_total{route=\"/evaluate\",status=\"408\"} 1",
            "tabpy_request_duration_seconds_bucket{route=\"/evaluate\",le=\"0.005\"} 1",
            "tabpy_request_duration_seconds_bucket{route=\"/evaluate\",le=\"+Inf\"} 2",
            "tabpy_queue_seconds_count 1",
            "tabpy_workers_ended_total{reason=\"died\"} 1",
            "tabpy_workers_ended_total{reason=\"spoilt\"} 0",
            "tabpy_function_calls_total{function=\"f0\",status=\"200\"} 1",
            "tabpy_function_calls_total{function=\"(other)\",status=\"404\"} 1",
            "tabpy_function_calls_total{function=\"(other)\",status=\"413\"} 1",
            "tabpy_function_calls_total{function=\"(other)\",status=\"200\"} 100",
            "tabpy_workers{state=\"busy\"} 1",
            "tabpy_queue_length 4",
            "tabpy_memory_bytes 1048576",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_status_is_three_digits() {
        assert_eq!(digits(503, &mut [0; 3]), "503");
        assert_eq!(digits(200, &mut [0; 3]), "200");
    }
}
