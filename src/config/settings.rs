//! The one list of settings: name, default and meaning. A `TABPY_` name that is not here is a
//! spelling mistake and gets a warning; each one that is here is in docs/configuration.md, with the same
//! default. What a value must look like is said where it is parsed, not here.

/// Whether this version looks at a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    InForce,
    /// Known, accepted, without effect: setting it is a warning.
    NotYet,
}

/// One row of the list.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub name: &'static str,
    pub default: &'static str,
    pub meaning: &'static str,
    pub standing: Standing,
}

const fn setting(name: &'static str, default: &'static str, meaning: &'static str) -> Setting {
    Setting { name, default, meaning, standing: Standing::InForce }
}

const fn not_yet(name: &'static str, default: &'static str, meaning: &'static str) -> Setting {
    Setting { name, default, meaning, standing: Standing::NotYet }
}

/// Every setting, in the order in which values are checked.
pub const SETTINGS: &[Setting] = &[
    setting("TABPY_TRANSFER_PROTOCOL", "http", "https is not supported yet: put a TLS proxy in front"),
    setting("TABPY_ARROW_ENABLE", "false", "Arrow Flight is not supported yet"),
    setting("TABPY_OAUTH_ENABLED", "false", "OAuth is not supported yet"),
    setting("PORT", "", "the platform's port; wins over TABPY_PORT"),
    setting("TABPY_PORT", "9004", "the port to listen on"),
    setting("TABPY_HOST", "see below", "the address to listen on"),
    setting("TABPY_PWD_FILE", "", "the password file"),
    setting("TABPY_USERNAME", "", "one user beside the password file's"),
    setting("TABPY_PASSWORD", "", "the password of TABPY_USERNAME"),
    setting("TABPY_ALLOW_OPEN", "false", "no authentication, knowingly"),
    setting(
        "TABPY_MAX_REQUEST_SIZE_MB",
        "100; an eighth of the memory where that is less",
        "the largest request, inflated",
    ),
    setting("TABPY_GZIP_ENABLE", "true", "gzip for requests"),
    setting("TABPY_STATIC_PATH", "", "a folder of your own pages, with an index.html"),
    setting(
        "TABPY_TRUST_PROXY",
        "true when DYNO is set (Heroku), else false",
        "believe X-Forwarded-* and X-Request-Id of the proxy in front",
    ),
    setting("TABPY_METRICS_OPEN", "false", "/metrics without credentials"),
    setting("TABPY_EVALUATE_ENABLE", "true", "whether POST /evaluate runs scripts"),
    setting("TABPY_EVALUATE_TIMEOUT", "30; 25 on Heroku", "seconds a script may take"),
    setting("TABPY_QUERY_TIMEOUT", "300; 25 on Heroku", "seconds a deployed function may take"),
    setting("TABPY_WORKERS", "one per core, at least 2, as memory allows", "Python processes kept warm"),
    setting("WEB_CONCURRENCY", "", "the platform's name for TABPY_WORKERS"),
    setting(
        "TABPY_MAX_WORKERS",
        "4 times that, as memory allows",
        "how far the pool grows while all are busy",
    ),
    setting("TABPY_QUEUE_SIZE", "1000", "requests that wait for a worker before 503"),
    setting("TABPY_MAX_RESPONSE_SIZE_MB", "256", "the largest answer of a script"),
    setting("TABPY_SCRIPT_OUTPUT_KB", "64", "how much of what one script prints is logged"),
    setting("TABPY_WORKER_REQUESTS", "100000", "requests after which a worker is replaced"),
    setting(
        "TABPY_PYTHON",
        "VIRTUAL_ENV, else the Python this program is built for",
        "the environment whose packages scripts see",
    ),
    setting("TABPY_PRELOAD", "numpy,pandas", "modules imported before a worker serves"),
    setting("TABPY_SCRIPT_ENV", "", "further environment variables that scripts see"),
    setting("TABPY_CONFINE", "auto", "off: scripts may do whatever the server's user may"),
    setting("TABPY_SCRIPT_READ", "", "further paths that scripts may read"),
    setting("TABPY_SCRIPT_WRITE", "", "further paths that scripts may write"),
    setting("TABPY_SCRIPT_NETWORK", "true", "whether scripts reach the network"),
    setting(
        "TABPY_STATE_PATH",
        "$XDG_STATE_HOME/tabpy-rs, else ~/.local/state/tabpy-rs, else tabpy-state in the working folder",
        "where state.ini and deployed functions lie",
    ),
    setting("TABPY_LOG_LEVEL", "info", "error, warn, info, debug or trace"),
    setting("TABPY_LOG_FORMAT", "pretty on a terminal, else logfmt", "pretty, logfmt or json"),
    setting("TABPY_LOG_DETAILS", "false", "log the caller, the URL and the Tableau user"),
    setting("TABPY_SHUTDOWN_TIMEOUT", "25", "seconds that running requests have at the end"),
    not_yet("TABPY_QUERY_OBJECT_PATH", "", "TabPy's folder of deployed functions"),
    not_yet("TABPY_CERTIFICATE_FILE", "", "certificate for https"),
    not_yet("TABPY_KEY_FILE", "", "key for https"),
    not_yet("TABPY_MINIMUM_TLS_VERSION", "TLSv1_2", "oldest TLS for https"),
    not_yet("TABPY_ARROWFLIGHT_PORT", "13622", "port of Arrow Flight"),
    not_yet("TABPY_OAUTH_ISSUER", "", "OAuth"),
    not_yet("TABPY_OAUTH_JWKS_URI", "", "OAuth"),
    not_yet("TABPY_OAUTH_ALLOW_NONPUBLIC_JWKS", "false", "OAuth"),
    not_yet("TABPY_OAUTH_AUDIENCE", "", "OAuth"),
    not_yet("TABPY_OAUTH_REQUIRED_SCOPES", "", "OAuth"),
    not_yet("TABPY_OAUTH_ENFORCE_ENDPOINT_SCOPES", "false", "OAuth"),
    not_yet("TABPY_OAUTH_QUERY_SCOPE", "", "OAuth"),
    not_yet("TABPY_OAUTH_EVALUATE_SCOPE", "", "OAuth"),
    not_yet("TABPY_OAUTH_DEPLOY_SCOPE", "", "OAuth"),
    not_yet("TABPY_OAUTH_LOG_USER", "false", "OAuth"),
    setting(
        "TABPY_WORKER_MEMORY_MB",
        "half of the machine's or the container's memory, less 160 MB",
        "memory of one worker",
    ),
    setting(
        "TABPY_MAX_FUNCTION_SIZE_MB",
        "100; a quarter of the memory where that is less",
        "the largest deployed function",
    ),
    setting("TABPY_SCRIPT_DISK_MB", "512", "disk one script may fill"),
    setting("TABPY_SCRIPT_PROCESSES", "64", "processes one script may start"),
    setting("TABPY_FUNCTION_VERSIONS", "5", "versions kept of a deployed function"),
    setting("TABPY_FUNCTIONS_PATH", "functions", "folder of functions published at start"),
    setting("TABPY_DATABASE_CONNECTIONS", "4", "connections to the database"),
    setting("DATABASE_URL", "SQLite in the state path", "the database of deployed functions"),
];

pub(super) fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// The setting that was probably meant by a name nobody knows.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let name = name.to_uppercase();
    let tolerance = 1 + name.len() / 8;
    let ranked = SETTINGS.iter().map(|setting| (distance(&name, setting.name), setting.name));
    ranked.filter(|(distance, _)| *distance <= tolerance).min().map(|(_, name)| name)
}

/// How many letters must be added, dropped or changed to turn one name into the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, left) in one.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in other.bytes().enumerate() {
            let change = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const PAGE: &str = include_str!("../../docs/configuration.md");

    /// The names of settings in a text.
    fn named(text: &str) -> BTreeSet<&str> {
        let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let other = ["PORT", "WEB_CONCURRENCY", "DATABASE_URL"];
        words.filter(|word| word.starts_with("TABPY_") && *word != "TABPY_" || other.contains(word)).collect()
    }

    /// Of those with a standing.
    fn names(standing: Standing) -> BTreeSet<&'static str> {
        SETTINGS.iter().filter(|setting| setting.standing == standing).map(|setting| setting.name).collect()
    }

    #[test]
    fn the_page_has_each_setting_with_its_default_and_no_other() {
        let (tables, without_effect) = PAGE.split_once("## Known, without effect").unwrap();
        let (without_effect, _) = without_effect.split_once("\n\nThose that stop").unwrap();
        assert_eq!(named(without_effect), names(Standing::NotYet));
        let known: BTreeSet<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
        assert_eq!(named(PAGE).difference(&known).collect::<Vec<_>>(), Vec::<&&str>::new());
        let mut rows = BTreeSet::new();
        for row in tables.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            let mut first = cells[0].split('`').filter(|part| known.contains(part));
            let Some(setting) = first.next().and_then(find) else { continue };
            assert_eq!(cells[1].replace('`', ""), setting.default, "the default of {}", setting.name);
            rows.extend(named(cells[0]));
        }
        assert_eq!(rows, names(Standing::InForce));
    }

    #[test]
    fn what_is_read_is_known() {
        let fields = include_str!("raw.rs").lines().filter_map(|line| {
            line.trim().strip_prefix("pub(super) ")?.strip_suffix(": Option<String>,").map(str::to_uppercase)
        });
        let settings = fields.filter(|name| !crate::config::sources::SURROUNDINGS.contains(&name.as_str()));
        let read: BTreeSet<String> = settings.collect();
        let missing: Vec<_> = read.iter().filter(|name| find(name).is_none()).collect();
        assert!(missing.is_empty(), "{missing:?}");
        let unread: Vec<_> =
            names(Standing::InForce).into_iter().filter(|name| !read.contains(*name)).collect();
        assert!(unread.is_empty(), "{unread:?}");
    }

    #[test]
    fn a_name_is_there_once() {
        let names: BTreeSet<_> = SETTINGS.iter().map(|setting| setting.name).collect();
        assert_eq!(names.len(), SETTINGS.len());
    }

    #[test]
    fn a_slip_of_the_pen_finds_its_setting() {
        assert_eq!(nearest("TABPY_PWDFILE"), Some("TABPY_PWD_FILE"));
        assert_eq!(nearest("TABPY_EVALUATE_TIME_OUT"), Some("TABPY_EVALUATE_TIMEOUT"));
        assert_eq!(nearest("tabpy_port"), Some("TABPY_PORT"));
        assert_eq!(nearest("TABPY_SERVICE_HOST"), None);
    }
}
