//! Who is let in: the password file, the user from the environment, and the same closed door for
//! everybody else.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::processes::Process;
use crate::support::{Builder, PATIENCE, Request, Server, basic, wait_for};

/// `user1` / `P@ssw0rd`, the example of TabPy's documentation.
const USER1: &str = "user1 b8a63cf588cd2399da615042de4732f5b121c4d1042acfb91598a56d2dd3e1d7b9f785213262eddbbd00c7a8c9c3e89d7cb98f31d405cc644b1aeba92c3de40b";
/// `ada` / `countess`. These were made with Python's `hashlib.pbkdf2_hmac`.
const ADA: &str = "ada 77941c9e17d2647554ed8f85602007fcaa3a9b7a5f228efc4a47226b79361482616ddeafa1df3077a1e7ac94ce2d5a8742c1bca78c9e8dfcb6cf377574ea31d8";
/// `ada` / `changed`.
const ADA_CHANGED: &str = "ada 0da97344f241a5e0bdc25d72f6cf7bc6124d6d1fc505c98fd649c1481a10237a5bc9e83b4ac208d76e732678a41d24f8f056085a43ebf5176bd1904fe29d1bea";
/// `grace` / `co:lon:pass`.
const GRACE: &str = "grace 3db8860be1dba49919543793f0ba5e26229a17b3ed313bead4c4aa00467d811b851b4afebdf202c418351e9c3e480c430eef7f75480eb1edabe5e71adde88ac0";
/// `ada lovelace` / `countess`, quoted as Python's `csv` reads it.
const QUOTED: &str = "\"ada lovelace\" d062edd8ce59528525eae7d9ef20b7a5cb5dbd929ac692f5711d054b9364285c4b276ca9b683a3b992d659beea366e658bee9c76271c66f517920c6bc09fa43a";
/// `zoe` / `pässwörd`.
const ZOE: &str = "zoe 93828e2b502b21f31fb523638383ce4b08d207345499d13c280d2ded7a82ebaace73dd8de699cffb40ede60ca4a8249581a573e52f9864d5d528bc981c5b78af";

const REFUSED: &str = r#"{"message": "Invalid credentials provided.", "info": "Unauthorized request."}"#;

fn closed() -> Builder {
    Server::builder().password_file(&format!("{USER1}\n{ADA}\n"))
}

fn status(server: &Server, user: &str, password: &str) -> u16 {
    server.send(&Request::get("/info").login(user, password)).status
}

#[track_caller]
fn works_for(server: &Server, user: &str, password: &str) {
    assert_eq!(status(server, user, password), 200);
    server.send(&Request::evaluate("return 1", &json!({})).login(user, password)).is(200, "1");
}

#[test]
fn without_credentials_every_door_but_the_probes_is_closed() {
    let server = closed().start().ready();
    let name = server.send(&Request::get("/info").login("user1", "P@ssw0rd")).json()["name"].clone();
    let challenge = format!("Basic realm=\"{}\"", name.as_str().unwrap());
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/index.html"),
        ("GET", "/info"),
        ("POST", "/evaluate"),
        ("GET", "/status"),
        ("GET", "/endpoints"),
        ("GET", "/endpoints/"),
        ("GET", "/endpoints/x"),
        ("POST", "/endpoints"),
        ("PUT", "/endpoints/x"),
        ("DELETE", "/endpoints/x"),
        ("GET", "/query/x"),
        ("POST", "/query/x"),
        ("GET", "/configurations/endpoint_upload_destination"),
        ("GET", "/no-such-path"),
        ("GET", "/evaluate"),
        ("DELETE", "/info"),
        ("GET", "/metrics"),
    ] {
        let response = server.send(&Request::new(method, path).body("{}"));
        assert_eq!((response.status, response.text().as_str()), (401, REFUSED), "{method} {path}");
        assert_eq!(response.header("WWW-Authenticate"), Some(challenge.as_str()), "{method} {path}");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    for path in ["/", "/evaluate", "/info", "/query/x"] {
        server.send(&Request::new("OPTIONS", path)).is(200, "{}");
    }
    works_for(&server, "user1", "P@ssw0rd");
}

#[test]
fn info_tells_that_authentication_is_required_and_only_then() {
    let server = closed().start();
    let info = server.send(&Request::get("/info").login("ada", "countess")).json();
    let wanted = json!({"required": true, "methods": {"basic-auth": {}}});
    assert_eq!(info["versions"]["v1"]["features"]["authentication"], wanted);
    let open = Server::start().get("/info").json();
    assert!(open["versions"]["v1"]["features"].get("authentication").is_none(), "{open}");
}

#[test]
fn names_are_without_case_and_passwords_with() {
    let server = Server::builder()
        .password_file(&format!(
            "# a comment\n\n{}\n{QUOTED}\r\n   \n{GRACE}\n{ZOE}\n",
            USER1.replacen("user1", "User1", 1).replace("b8a63cf588cd", "B8A63CF588CD")
        ))
        .start()
        .ready();
    for (user, password) in [
        ("user1", "P@ssw0rd"),
        ("USER1", "P@ssw0rd"),
        ("uSeR1", "P@ssw0rd"),
        ("ada lovelace", "countess"),
        ("Ada Lovelace", "countess"),
        ("grace", "co:lon:pass"),
        ("zoe", "pässwörd"),
    ] {
        works_for(&server, user, password);
    }
    for (user, password) in [
        ("user1", "p@ssw0rd"),
        ("user1", "P@ssw0rd "),
        ("user1", ""),
        ("user1 ", "P@ssw0rd"),
        ("", "P@ssw0rd"),
        ("", ""),
        ("grace", "co"),
        ("grace:co", "lon:pass:"),
        ("user2", "P@ssw0rd"),
        ("#", "a"),
        ("ada", "countess"),
    ] {
        server.send(&Request::get("/info").login(user, password)).is(401, REFUSED);
    }
    works_for(&server, "user1", "P@ssw0rd");
}

#[test]
fn odd_authorization_headers_are_refused_or_understood() {
    let server = closed().start().ready();
    let good = basic("user1", "P@ssw0rd");
    let token = good.strip_prefix("Basic ").unwrap();
    for value in [format!("basic {token}"), format!("BASIC {token}"), format!("bAsIc {token}")] {
        assert_eq!(server.send(&Request::get("/info").header("Authorization", value)).status, 200);
    }
    let long = format!("Basic {}", "QUFB".repeat(1000));
    for value in [
        "",
        "Basic",
        "Basic ",
        "Basic !!!!",
        "Basic dXNlcjE=",
        "Basic Og==",
        "Basic /////w==",
        "Bearer abc",
        "Digest username=\"user1\"",
        token,
        &format!("Bearer {token}"),
        &format!("Basic {token} {token}"),
        &format!("Basic{token}"),
        &long,
        "Basic \u{e9}\u{e9}",
    ] {
        let response = server.send(&Request::get("/info").header("Authorization", value));
        assert_eq!((response.status, response.text().as_str()), (401, REFUSED), "{value:?}");
        assert!(response.header("WWW-Authenticate").is_some());
    }
    // Two headers: whichever counts, a wrong one beside a right one opens nothing by surprise.
    let two = Request::get("/info").header("Authorization", basic("x", "y")).header("Authorization", good);
    assert!([400, 401].contains(&server.send(&two).status));
    works_for(&server, "user1", "P@ssw0rd");
}

#[test]
fn nothing_of_a_refused_request_runs() {
    let server = closed().start().ready();
    let script = "print('ran-without-credentials')\nreturn 1";
    server.evaluate(script, json!({})).is(401, REFUSED);
    server.send(&Request::evaluate(script, &json!({})).login("user1", "wrong")).is(401, REFUSED);
    // A refused body is not parsed either.
    server.post("/evaluate", "not json").is(401, REFUSED);
    works_for(&server, "ada", "countess");
    assert!(!server.log().contains("ran-without-credentials"));
}

#[test]
fn credentials_without_authentication_are_not_acceptable() {
    let server = Server::start().ready();
    let text = r#"{"message": "Username or password provided when authentication not available.", "info": "Not Acceptable"}"#;
    server.send(&Request::get("/info").login("user1", "P@ssw0rd")).is(406, text);
    server.send(&Request::evaluate("return 1", &json!({})).login("a", "b")).is(406, text);
    server.still_works();
}

#[test]
fn a_bad_password_file_stops_the_start() {
    let hash = USER1.split(' ').nth(1).unwrap();
    for (what, text) in [
        ("three fields", format!("{USER1} extra\n")),
        ("one field", "user1\n".into()),
        ("a user twice", format!("{USER1}\n{USER1}\n")),
        ("a user twice in two cases", format!("{USER1}\n{}\n", USER1.replacen('u', "U", 1))),
        ("an empty hash", "user1 \n".into()),
        ("no user", "# nobody\n\n".into()),
        ("nothing", String::new()),
        ("two spaces", format!("user1  {hash}\n")),
    ] {
        let exit = Server::builder().password_file(&text).try_start();
        assert_eq!(exit.code, Some(2), "{what}: {}", exit.stderr);
        assert!(exit.stderr.contains("passwords.txt"), "{what}: {}", exit.stderr);
        assert!(!exit.stderr.contains(&hash[..32]), "{what}: the hash leaks: {}", exit.stderr);
    }
    let exit = Server::builder().env("TABPY_PWD_FILE", "no/such/file.txt").try_start();
    assert_eq!(exit.code, Some(2), "{}", exit.stderr);
    assert!(exit.stderr.contains("TABPY_PWD_FILE"), "{}", exit.stderr);
}

#[test]
fn a_changed_password_file_is_read_again() {
    let server = closed().start().ready();
    works_for(&server, "ada", "countess");
    works_for(&server, "user1", "P@ssw0rd");
    let path = server.path("passwords.txt");
    std::fs::write(&path, format!("{ADA_CHANGED}\n{GRACE}\n")).unwrap();
    let seen = wait_for(PATIENCE, || (status(&server, "grace", "co:lon:pass") == 200).then_some(()));
    assert!(seen.is_some(), "the new user never came");
    works_for(&server, "ada", "changed");
    // Verified before, wrong now: a remembered verification must not outlive its entry.
    server.send(&Request::get("/info").login("ada", "countess")).is(401, REFUSED);
    server.send(&Request::get("/info").login("user1", "P@ssw0rd")).is(401, REFUSED);

    // Replaced by a rename, as editors and tabpy-user do.
    let other = server.path("passwords.new");
    std::fs::write(&other, format!("{USER1}\n")).unwrap();
    std::fs::rename(&other, &path).unwrap();
    let seen = wait_for(PATIENCE, || (status(&server, "user1", "P@ssw0rd") == 200).then_some(()));
    assert!(seen.is_some(), "the renamed file was never read");
    server.send(&Request::get("/info").login("grace", "co:lon:pass")).is(401, REFUSED);

    for broken in ["user1\n", "", "a b c d\n"] {
        std::fs::write(&path, broken).unwrap();
        let end = Instant::now() + Duration::from_secs(2);
        while Instant::now() < end {
            works_for(&server, "user1", "P@ssw0rd");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    server.wait_for_log("passwords.txt");
    std::fs::remove_file(&path).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    works_for(&server, "user1", "P@ssw0rd");
    std::fs::write(&path, format!("{GRACE}\n")).unwrap();
    let seen = wait_for(PATIENCE, || (status(&server, "grace", "co:lon:pass") == 200).then_some(()));
    assert!(seen.is_some(), "a mended file was never read");
    server.send(&Request::get("/info").login("user1", "P@ssw0rd")).is(401, REFUSED);
}

#[test]
fn a_user_from_the_environment_stands_beside_and_over_the_file() {
    let server = closed().env("TABPY_USERNAME", "Root").env("TABPY_PASSWORD", "from:the env").start().ready();
    works_for(&server, "root", "from:the env");
    works_for(&server, "ada", "countess");

    let server = closed().env("TABPY_USERNAME", "ADA").env("TABPY_PASSWORD", "other").start().ready();
    works_for(&server, "ada", "other");
    works_for(&server, "user1", "P@ssw0rd");
    server.send(&Request::get("/info").login("ada", "countess")).is(401, REFUSED);
    server.wait_for_line("a warning that names the user", |line| {
        line.to_lowercase().contains("warn") && line.contains("TABPY_USERNAME")
    });
    // It stays so when the file is read again.
    std::fs::write(server.path("passwords.txt"), format!("{ADA}\n{GRACE}\n")).unwrap();
    let seen = wait_for(PATIENCE, || (status(&server, "grace", "co:lon:pass") == 200).then_some(()));
    assert!(seen.is_some());
    works_for(&server, "ada", "other");
    server.send(&Request::get("/info").login("ada", "countess")).is(401, REFUSED);

    let server =
        Server::builder().env("TABPY_USERNAME", "solo").env("TABPY_PASSWORD", "alone").start().ready();
    works_for(&server, "solo", "alone");
    server.get("/info").is(401, REFUSED);
}

#[test]
fn one_of_the_two_alone_stops_the_start() {
    for (given, missing) in [("TABPY_USERNAME", "TABPY_PASSWORD"), ("TABPY_PASSWORD", "TABPY_USERNAME")] {
        let exit = Server::builder().env(given, "s3cret-value").try_start();
        assert_eq!(exit.code, Some(2), "{}", exit.stderr);
        assert!(exit.stderr.contains(given) && exit.stderr.contains(missing), "{}", exit.stderr);
        if given == "TABPY_PASSWORD" {
            assert!(!exit.stderr.contains("s3cret-value"), "{}", exit.stderr);
        }
    }
}

#[test]
fn an_unknown_user_takes_as_long_as_a_known_one() {
    let server = closed().start().ready();
    let process = Process::of(server.pid()).unwrap();
    let work = |user: &str| {
        let before = process.worked();
        for round in 0..20 {
            assert_eq!(status(&server, user, &format!("wrong {round}")), 401);
        }
        process.worked() - before
    };
    // What the clock shows is the processor's time, and on a busy machine the others'.
    let (known, unknown) = (work("ada"), work("nobody"));
    eprintln!("figures: 20 trials {known} and {unknown} hundredths of a second");
    assert!(known > 10, "twenty trials took {known} hundredths of a second of a processor");
    assert!(known.max(unknown) * 2 < known.min(unknown) * 3, "{known} and {unknown} hundredths of a second");
}

#[test]
fn guessing_does_not_lock_out_the_known() {
    let server = closed().start().ready();
    works_for(&server, "ada", "countess");
    let end = Instant::now() + Duration::from_secs(4);
    std::thread::scope(|scope| {
        for guesser in 0..8 {
            let server = &server;
            scope.spawn(move || {
                let mut connection = server.connect();
                let mut round = 0;
                while Instant::now() < end {
                    round += 1;
                    let guess = Request::get("/info").login("ada", &format!("guess {guesser} {round}"));
                    let response = connection.send(&guess);
                    // It may be told to come later, but never let in or dropped.
                    assert!([401, 429, 503].contains(&response.status), "{response:?}");
                    response.error(response.status);
                }
            });
        }
        let mut connection = server.connect();
        connection.set_patience(PATIENCE);
        let mut served = 0;
        while Instant::now() < end {
            let request = Request::evaluate("return 1", &json!({})).login("ada", "countess");
            connection.send(&request).is(200, "1");
            served += 1;
        }
        assert!(served > 20, "only {served} calls of a verified user in four seconds");
    });
}

#[test]
fn a_connection_is_not_trusted_for_its_past() {
    let server = closed().start().ready();
    let mut connection = server.connect();
    for _ in 0..3 {
        assert_eq!(connection.send(&Request::get("/info").login("ada", "countess")).status, 200);
        connection.send(&Request::get("/info")).is(401, REFUSED);
        connection.send(&Request::get("/info").login("ada", "counteSs")).is(401, REFUSED);
        connection.send(&Request::get("/info").login("user1", "countess")).is(401, REFUSED);
    }
}
