//! Passwords and other people's variables must not reach the log, the scripts or their processes.

use serde_json::json;

use crate::support::{Request, Server, basic};

const PASSWORD: &str = "corr3ct-horse-battery";
const WRONG: &str = "wr0ng-horse-battery";

#[test]
fn no_secret_is_logged_or_handed_to_a_worker() {
    let server = Server::builder()
        .env("TABPY_USERNAME", "ada")
        .env("TABPY_PASSWORD", PASSWORD)
        .env("AWS_SECRET_ACCESS_KEY", "aws-s3cret")
        .env("TABPY_LOG_DETAILS", "true")
        .env("TABPY_LOG_LEVEL", "trace")
        .start()
        .ready();
    let environment = "import os\nreturn dict(os.environ)";
    let answer = server.send(&Request::evaluate(environment, &json!({})).login("ada", PASSWORD));
    assert_eq!(answer.status, 200, "{}", answer.text());
    for secret in [PASSWORD, "TABPY_PASSWORD", "aws-s3cret", "AWS_SECRET_ACCESS_KEY"] {
        assert!(!answer.text().contains(secret), "a script sees {secret}");
    }
    assert!(answer.json().get("PATH").is_some(), "{}", answer.text());
    let secret_argument = json!({"_arg1": ["customer-data-4711"]});
    server.send(&Request::evaluate("return _arg1", &secret_argument).login("ada", PASSWORD));
    assert_eq!(server.send(&Request::get("/info").login("ada", WRONG)).status, 401);
    assert_eq!(server.send(&Request::get(&format!("/info?password={PASSWORD}"))).status, 401);
    let failing = Request::evaluate("raise ValueError('x')", &json!({})).login("ada", PASSWORD);
    assert_eq!(server.send(&failing).status, 500);

    let workers = server.processes();
    assert!(!workers.is_empty());
    for worker in workers {
        for text in [worker.environment(), worker.command_line()] {
            for secret in [PASSWORD, "aws-s3cret"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
    }
    let log = server.log();
    let tokens = [basic("ada", PASSWORD), basic("ada", WRONG)].map(|value| value.replace("Basic ", ""));
    for secret in [WRONG, &tokens[0], &tokens[1], "customer-data-4711", "aws-s3cret"] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
    // The one that the test put into a URL is not the server's to hide; nowhere else may it be.
    let leaks: Vec<&str> =
        log.lines().filter(|line| line.contains(PASSWORD) && !line.contains("?password=")).collect();
    assert!(leaks.is_empty(), "{leaks:?}");
}

#[test]
fn a_password_in_an_ini_file_or_dot_env_stays_out_too() {
    let builder = Server::builder().file(".env", format!("TABPY_USERNAME=ada\nTABPY_PASSWORD={PASSWORD}\n"));
    let server = builder.start().ready();
    server.send(&Request::evaluate("return 1", &json!({})).login("ada", PASSWORD)).is(200, "1");
    for worker in server.processes() {
        assert!(!worker.environment().contains(PASSWORD));
    }
    assert!(!server.log().contains(PASSWORD));
}

#[test]
fn scripts_see_the_variables_that_they_need() {
    let server = Server::builder()
        .env("TZ", "Europe/Paris")
        .env("LANG", "C.UTF-8")
        .env("HTTPS_PROXY", "http://proxy.example:3128")
        .env("OMP_NUM_THREADS", "1")
        .env("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
        .env("COMPANY_TOKEN", "not-for-scripts")
        .env("MY_REGION", "eu-west")
        .env("TABPY_SCRIPT_ENV", "MY_REGION")
        .start()
        .ready();
    let seen = server.evaluate("import os\nreturn dict(os.environ)", json!({})).json();
    for (name, value) in [
        ("TZ", "Europe/Paris"),
        ("LANG", "C.UTF-8"),
        ("HTTPS_PROXY", "http://proxy.example:3128"),
        ("OMP_NUM_THREADS", "1"),
        ("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"),
        ("MY_REGION", "eu-west"),
    ] {
        assert_eq!(seen[name], json!(value), "{name} in {seen}");
    }
    assert!(seen.get("COMPANY_TOKEN").is_none(), "{seen}");
    assert!(seen.get("TABPY_STATE_PATH").is_none(), "{seen}");
}
