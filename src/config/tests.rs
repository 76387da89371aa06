//! Whole configurations from pairs, as an operator would give them.

use std::path::Path;

use super::*;
use crate::telemetry::Format;

const MACHINE: Machine = Machine { cores: 8, memory: 8 << 30, terminal: false };

fn load(environment: &[(&str, &str)], open: bool) -> anyhow::Result<Config> {
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>()
    };
    let mut environment = pairs(environment);
    environment.push(("XDG_STATE_HOME".to_owned(), "/gone".to_owned()));
    Config::parse(Sources::merge(&environment, &Vec::new(), None)?, open, &MACHINE)
}

fn listens(config: &Config) -> Vec<String> {
    config.listen.iter().map(ToString::to_string).collect()
}

fn error(environment: &[(&str, &str)]) -> String {
    load(environment, false).unwrap_err().to_string()
}

const USER: [(&str, &str); 2] = [("TABPY_USERNAME", "Ann"), ("TABPY_PASSWORD", "s e:cret")];

#[test]
fn with_nothing_set_the_defaults_hold() {
    let config = load(&[], false).unwrap();
    assert_eq!(listens(&config), ["127.0.0.1:9004", "[::1]:9004"]);
    assert!(matches!(config.authentication, Authentication::OpenOnLoopback));
    assert_eq!(config.http.max_request_bytes, 100 * 1024 * 1024);
    assert!(config.http.gzip && !config.http.trust_proxy && config.http.static_path.is_none());
    assert!(config.evaluate.enabled);
    assert_eq!(config.evaluate.timeout, Timeout { duration: Duration::from_secs(30), text: "30".to_owned() });
    assert_eq!(config.query_timeout.text, "300");
    assert_eq!((config.pool.workers, config.pool.max_workers, config.pool.queue_size), (8, 32, 1000));
    assert_eq!((config.pool.max_response_bytes, config.pool.script_output_bytes), (256 << 20, 64 << 10));
    assert_eq!(config.pool.worker_requests, 100_000);
    assert_eq!((config.pool.worker_memory_bytes >> 20, config.pool.script_disk_bytes >> 20), (4016, 512));
    assert_eq!(config.pool.script_processes, 64);
    assert_eq!(config.python.preload, ["numpy", "pandas"]);
    assert_eq!(config.service.state_path, Path::new("/gone/tabpy-rs"));
    assert_eq!((config.log.level, config.log.format), (tracing::Level::INFO, Format::Logfmt));
    assert!(!config.log.details);
    assert_eq!(config.shutdown_timeout, Duration::from_secs(25));
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn on_heroku_the_edge_is_believed_and_timeouts_end_before_its_own() {
    let config = load(&[("DYNO", "web.1"), ("PORT", "5000"), USER[0], USER[1]], false).unwrap();
    assert_eq!((config.evaluate.timeout.text.as_str(), config.query_timeout.text.as_str()), ("25", "25"));
    assert!(config.http.trust_proxy);
    assert_eq!(listens(&config), ["[::]:5000", "0.0.0.0:5000"]);
}

#[test]
fn with_credentials_it_listens_everywhere_unless_told() {
    let config = load(&USER, false).unwrap();
    assert_eq!(listens(&config), ["[::]:9004", "0.0.0.0:9004"]);
    let Authentication::Required { password_file: None, user: Some(user) } = &config.authentication else {
        panic!("{:?}", config.authentication)
    };
    assert_eq!((user.name.as_str(), user.password.reveal()), ("ann", "s e:cret"));
    assert!(!format!("{config:?}").contains("e:cret"));
    let config = load(&[("TABPY_PWD_FILE", "p.txt"), ("TABPY_HOST", "192.0.2.1")], true).unwrap();
    assert_eq!(listens(&config), ["192.0.2.1:9004"]);
    assert!(matches!(config.authentication, Authentication::Required { password_file: Some(_), user: None }));
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn knowingly_open_listens_everywhere_with_one_loud_warning() {
    for config in [load(&[], true), load(&[("TABPY_ALLOW_OPEN", "yes"), ("PORT", "9004")], false)] {
        let config = config.unwrap();
        assert_eq!(listens(&config), ["[::]:9004", "0.0.0.0:9004"]);
        assert!(matches!(config.authentication, Authentication::OpenToAll));
        assert_eq!(config.warnings.len(), 1);
        assert!(config.warnings[0].contains("AUTHENTICATION IS OFF"));
    }
    let config = load(&[("TABPY_HOST", "127.0.0.1")], true).unwrap();
    assert!(matches!(config.authentication, Authentication::OpenOnLoopback));
    assert_eq!(listens(&config), ["127.0.0.1:9004"]);
}

#[test]
fn a_platform_s_port_without_a_password_stops_the_start() {
    let error = error(&[("PORT", "80"), ("TABPY_HOST", "0.0.0.0")]);
    assert!(error.contains("TABPY_USERNAME") && error.contains("TABPY_PASSWORD"), "{error}");
}

#[test]
fn a_public_address_without_a_password_gets_one_made_up() {
    for host in ["0.0.0.0", "::", "[::]"] {
        let config = load(&[("TABPY_HOST", host)], false).unwrap();
        assert_eq!(listens(&config), ["[::]:9004", "0.0.0.0:9004"]);
        let Authentication::MadeUp { path } = &config.authentication else { panic!("{host}") };
        assert!(path.starts_with("/gone/tabpy-rs"));
    }
    for host in ["localhost", "LOCALHOST", "127.0.0.2", "::1", "::ffff:127.0.0.1"] {
        let config = load(&[("TABPY_HOST", host)], false).unwrap();
        assert!(matches!(config.authentication, Authentication::OpenOnLoopback), "{host}");
    }
    assert_eq!(
        listens(&load(&[("TABPY_HOST", "localhost")], false).unwrap()),
        ["127.0.0.1:9004", "[::1]:9004"]
    );
}

#[test]
fn a_password_from_a_file_loses_the_end_of_its_line() {
    let config = load(&[USER[0], ("TABPY_PASSWORD", " pass word \r\n")], false).unwrap();
    let Authentication::Required { user: Some(user), .. } = &config.authentication else { panic!() };
    assert_eq!(user.password.reveal(), " pass word ");
}

#[test]
fn half_a_user_or_an_empty_file_name_stops_the_start() {
    assert!(error(&[USER[0]]).contains("TABPY_PASSWORD is not"));
    assert!(error(&[USER[1], ("TABPY_USERNAME", "")]).contains("TABPY_USERNAME is not"));
    let wrong = error(&[("TABPY_USERNAME", "a:b"), ("TABPY_PASSWORD", "cret")]);
    assert!(wrong.contains("TABPY_USERNAME") && !wrong.contains("cret"), "{wrong}");
    assert!(error(&[("TABPY_PWD_FILE", ""), ("TABPY_ALLOW_OPEN", "true")]).contains("TABPY_PWD_FILE"));
}

#[test]
fn a_value_that_cannot_be_used_names_setting_source_and_what_it_takes() {
    for (name, value) in [
        ("PORT", "http"),
        ("TABPY_PORT", "65536"),
        ("TABPY_HOST", "no such host"),
        ("TABPY_ALLOW_OPEN", "perhaps"),
        ("TABPY_MAX_REQUEST_SIZE_MB", "0"),
        ("TABPY_GZIP_ENABLE", "2"),
        ("TABPY_EVALUATE_TIMEOUT", "nan"),
        ("TABPY_QUERY_TIMEOUT", "-1"),
        ("TABPY_WORKERS", "0"),
        ("WEB_CONCURRENCY", "x"),
        ("TABPY_MAX_WORKERS", "1.5"),
        ("TABPY_QUEUE_SIZE", "-1"),
        ("TABPY_PRELOAD", "numpy, 1x"),
        ("TABPY_SCRIPT_ENV", "A=B"),
        ("TABPY_LOG_LEVEL", "loud"),
        ("TABPY_LOG_FORMAT", "xml"),
        ("TABPY_SHUTDOWN_TIMEOUT", "0"),
        ("TABPY_TRANSFER_PROTOCOL", "ftp"),
    ] {
        let error = error(&[(name, value)]);
        let start = format!("{name} = {value:?} (from the environment) cannot be used: it takes ");
        assert!(error.starts_with(&start), "{error}");
    }
    assert!(error(&[("TABPY_PORT", "tcp://10.0.0.1:9004")]).contains("Kubernetes"));
}

#[test]
fn what_is_not_supported_says_what_to_do_instead() {
    for (name, value, words) in [
        ("TABPY_TRANSFER_PROTOCOL", "HTTPS", "TLS proxy"),
        ("TABPY_ARROW_ENABLE", "true", "set it to false"),
        ("TABPY_OAUTH_ENABLED", "on", "TABPY_PWD_FILE"),
    ] {
        let error = error(&[(name, value)]);
        assert!(error.contains("not supported yet") && error.contains(words), "{error}");
    }
    assert!(load(&[("TABPY_ARROW_ENABLE", "false"), ("TABPY_TRANSFER_PROTOCOL", "http")], false).is_ok());
}

#[test]
fn worker_counts_fit_each_other() {
    let counts = |environment: &[(&str, &str)]| {
        let pool = load(environment, false).unwrap().pool;
        (pool.workers, pool.max_workers)
    };
    assert_eq!(counts(&[("WEB_CONCURRENCY", "3")]), (3, 12));
    assert_eq!(counts(&[("WEB_CONCURRENCY", "3"), ("TABPY_WORKERS", "1")]), (1, 4));
    assert_eq!(counts(&[("TABPY_MAX_WORKERS", "2")]), (2, 2));
    let error = error(&[("TABPY_WORKERS", "4"), ("TABPY_MAX_WORKERS", "2")]);
    assert!(error.starts_with("TABPY_MAX_WORKERS = \"2\""), "{error}");
}

#[test]
fn log_details_are_on_for_anything_but_false() {
    for (value, on) in [("false", false), ("FALSE", false), ("true", true), ("0", true), ("", true)] {
        assert_eq!(load(&[("TABPY_LOG_DETAILS", value)], false).unwrap().log.details, on, "{value:?}");
    }
}

#[test]
fn pages_need_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let config = load(&[("TABPY_STATIC_PATH", path)], false).unwrap();
    assert!(config.http.static_path.is_none());
    assert!(config.warnings.iter().any(|warning| warning.contains("there is no index.html")), "{config:?}");
    std::fs::write(folder.path().join("index.html"), "").unwrap();
    let config = load(&[("TABPY_STATIC_PATH", path)], false).unwrap();
    assert_eq!(config.http.static_path.as_deref(), Some(folder.path()));
}

#[test]
fn lists() {
    let config = load(
        &[
            ("TABPY_PRELOAD", "none"),
            ("TABPY_SCRIPT_ENV", "A, B"),
            ("A", "a"),
            ("C", "c"),
            ("LC_ALL", "C.UTF-8"),
            ("TABPY_PASSWORD", "secret"),
            ("TABPY_USERNAME", "ann"),
        ],
        false,
    )
    .unwrap();
    assert!(config.python.preload.is_empty());
    let environment = [("A".to_owned(), "a".to_owned()), ("LC_ALL".to_owned(), "C.UTF-8".to_owned())];
    assert_eq!(config.python.environment, environment);
    assert_eq!(load(&[("TABPY_PRELOAD", "scipy.stats sklearn")], false).unwrap().python.preload.len(), 2);
}
