//! From a running server to a connection of the site, in all the forms that Tableau has.

use serde_json::json;

use crate::authority::Authority;
use crate::command::{Run, TABPY_PASSWORD, TABPY_USER};
use crate::http::{Reply, serve};
use crate::tableau::{Behaviour, SITE_ID, Shape, Tableau, VERSION, WORKBOOK};
use crate::terminator::{Guarded, Terminator};

const SERVER: &str = "https://tabpy.example.com";

fn connect(tableau: &Tableau) -> Run {
    Run::new(&["connect", "--tableau", &tableau.address()]).token().login()
}

/// What is made for `SERVER`.
fn item(name: &str) -> serde_json::Value {
    json!({
        "host": "tabpy.example.com", "port": 443, "is_auth_enabled": true, "is_ssl_enabled": true,
        "username": TABPY_USER, "password": TABPY_PASSWORD,
        "connection_brief": {"connection_name": name, "connection_type": "TABPY"},
    })
}

#[test]
fn a_running_server_becomes_a_connection_of_the_site() {
    let guarded = Guarded::start();
    let tableau = Tableau::start();
    let run = || connect(&tableau).arg(guarded.address()).arg("--ca-file").arg(guarded.ca_file());
    let said = run().ends_with(0);
    let steps: Vec<String> =
        said.lines().map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect();
    let expected = [
        "ok name",
        "ok certificate",
        "ok answer",
        "ok authentication",
        "ok password",
        "ok script",
        "ok speed",
        "ok tableau",
        "ok sign",
        "ok site",
        "ok connection",
        "ok sign",
    ];
    assert_eq!(steps, expected, "{said}");
    assert!(said.contains("created tabpy-rs") && said.contains("Tableau Server 2024.1.0"), "{said}");
    let made = tableau.connections();
    assert_eq!(made.len(), 1);
    let mut expected = item("tabpy-rs");
    expected["host"] = json!("localhost");
    expected["port"] = json!(guarded.terminator.port);
    assert_eq!(made.values().next().unwrap(), &expected);

    // Again: the same connection, not a second one.
    let said = run().ends_with(0);
    assert!(said.contains("updated tabpy-rs"), "{said}");
    assert_eq!(tableau.connections(), made);
    assert_eq!(guarded.server.get("/healthz").status, 200);
}

#[test]
fn the_calls_are_these_and_no_others() {
    let tableau = Tableau::start();
    connect(&tableau).arg(SERVER).arg("--skip-checks").ends_with(0);
    let settings = "/api/-/settings/site/extensions/analytics";
    assert_eq!(
        tableau.calls(),
        [
            "GET /api/2.4/serverinfo".to_owned(),
            format!("POST /api/{VERSION}/auth/signin"),
            format!("GET {settings}"),
            format!("GET {settings}/connections"),
            format!("POST {settings}/connections"),
            format!("POST /api/{VERSION}/auth/signout"),
        ]
    );
}

#[test]
fn every_form_of_tableau_is_understood() {
    for shape in [Shape::Documented, Shape::Other, Shape::Silent] {
        let tableau = Tableau::that(Behaviour { shape, site_off: true, ..Behaviour::default() });
        let run = || {
            connect(&tableau)
                .arg(SERVER)
                .arg("--skip-checks")
                .arg("--enable-site")
                .arg("--workbook")
                .arg("Sales & Profit")
        };
        let said = run().ends_with(0);
        assert!(said.contains("created tabpy-rs (ba5da1b3-"), "{shape:?}: {said}");
        assert!(said.contains("were off for the site, and are on now"), "{shape:?}: {said}");
        assert!(run().ends_with(0).contains("updated tabpy-rs (ba5da1b3-"), "{shape:?}");
        assert_eq!(tableau.connections().into_values().collect::<Vec<_>>(), [item("tabpy-rs")], "{shape:?}");
        let luid = tableau.connections().into_keys().next().unwrap();
        assert_eq!(
            tableau.selected().into_iter().collect::<Vec<_>>(),
            [(WORKBOOK.to_owned(), luid)],
            "{shape:?}"
        );
        assert!(tableau.enabled());

        let list = connect(&tableau).arg("--list").arg("--json").json(0);
        assert_eq!(list["connections"][0]["connection_name"], "tabpy-rs", "{list}");
        let said = connect(&tableau).arg("--list").ends_with(0);
        assert!(said.contains("TABPY       tabpy-rs"), "{said}");

        connect(&tableau).arg("--remove").arg("--workbook").arg(WORKBOOK).ends_with(0);
        assert!(tableau.selected().is_empty() && !tableau.connections().is_empty());
        connect(&tableau).arg("--remove").ends_with(0);
        assert!(tableau.connections().is_empty());
    }
}

#[test]
fn an_open_server_is_registered_without_a_user() {
    let tableau = Tableau::start();
    let run = Run::new(&[
        "connect",
        "--tableau",
        &tableau.address(),
        "http://tabpy.intranet:9004/py/",
        "--skip-checks",
    ]);
    run.token().arg("--name").arg("Team Python").ends_with(0);
    assert_eq!(
        tableau.connections().into_values().collect::<Vec<_>>(),
        [json!({
            "host": "tabpy.intranet/py", "port": 9004, "is_auth_enabled": false, "is_ssl_enabled": false,
            "connection_brief": {"connection_name": "Team Python", "connection_type": "TABPY"},
        })]
    );
}

#[test]
fn a_dry_run_changes_nothing_and_shows_each_call_without_its_secrets() {
    let tableau = Tableau::that(Behaviour { site_off: true, ..Behaviour::default() });
    let run = connect(&tableau).arg(SERVER).arg("--skip-checks").arg("--dry-run").arg("--enable-site");
    let said = run.arg("--workbook").arg("Sales & Profit").ends_with(0);
    assert!(tableau.connections().is_empty() && tableau.selected().is_empty() && !tableau.enabled());
    let shown: Vec<&str> =
        said.lines().filter_map(|line| line.trim().strip_prefix("call")).map(str::trim).collect();
    let url = tableau.url();
    let settings = format!("{url}/api/-/settings/site/extensions/analytics");
    let body = "{\"connection_brief\":{\"connection_name\":\"tabpy-rs\",\"connection_type\":\"TABPY\"},\
                \"host\":\"tabpy.example.com\",\"is_auth_enabled\":true,\"is_ssl_enabled\":true,\"password\":\"***\",\
                \"port\":443,\"username\":\"tableau\"}";
    let signin = "{\"credentials\":{\"personalAccessTokenName\":\"ci token\",\"personalAccessTokenSecret\":\"***\",\
                  \"site\":{\"contentUrl\":\"sales\"}}}";
    let mapping = format!("{{\"connection_luid\":\"(the new one)\",\"workbook_luid\":\"{WORKBOOK}\"}}");
    assert_eq!(
        shown,
        [
            format!("POST {url}/api/{VERSION}/auth/signin {signin}"),
            format!("GET {settings}"),
            format!("not made: PUT {settings} {{\"enabled\":true}}"),
            format!("GET {url}/api/{VERSION}/sites/{SITE_ID}/workbooks?pageSize=1000&pageNumber=1"),
            format!("GET {settings}/connections"),
            format!("not made: POST {settings}/connections {body}"),
            format!("not made: PUT {settings}/workbooks/{WORKBOOK}/selected_connection {mapping}"),
            format!("POST {url}/api/{VERSION}/auth/signout"),
        ]
    );
}

#[test]
fn json_says_all_that_the_lines_say() {
    let tableau = Tableau::start();
    let done = connect(&tableau).arg(SERVER).arg("--skip-checks").arg("--json").json(0);
    assert_eq!(
        (&done["ok"], &done["exit_code"], &done["error"]),
        (&json!(true), &json!(0), &json!(null)),
        "{done}"
    );
    let luid = tableau.connections().into_keys().next().unwrap();
    assert_eq!(
        done["connections"],
        json!([{
            "site": "sales", "connection_luid": luid, "connection_name": "tabpy-rs", "connection_type": "TABPY",
            "done": "created",
        }])
    );
    let steps: Vec<&str> =
        done["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["server", "tableau", "sign in", "site setting", "connection", "sign out"]);

    let failed = Run::new(&["connect", "--tableau", &tableau.address(), "--list", "--json"])
        .env("TABLEAU_TOKEN_NAME", "ci token")
        .env("TABLEAU_TOKEN_VALUE", "wrong")
        .json(4);
    assert_eq!((&failed["ok"], &failed["exit_code"]), (&json!(false), &json!(4)), "{failed}");
    assert!(failed["error"].as_str().unwrap().contains("401001"), "{failed}");
}

#[test]
fn check_signs_in_with_each_credential_and_changes_nothing() {
    let tableau = Tableau::start();
    let run = || {
        Run::new(&["connect", "--tableau", &tableau.address(), "--check", "--skip-checks", SERVER]).login()
    };
    for (run, words) in [
        (run().token(), "the personal access token ci token"),
        (run().password(), "the password of ann@example.com"),
        (run().app(), "the connected app a1b2c3-client for ann@example.com"),
    ] {
        assert!(run.ends_with(0).contains(words), "{words}");
    }
    assert_eq!(tableau.sign_ins(), 3);
    assert!(tableau.calls().iter().all(|call| !call.contains("/settings/")));
}

#[test]
fn the_address_and_the_site_may_come_from_the_environment() {
    let tableau = Tableau::start();
    for (address, site) in [(tableau.address(), ""), (tableau.url(), "sales")] {
        let run = Run::new(&["connect", "--list"]).token();
        run.env("TABLEAU_URL", address).env("TABLEAU_SITE", site).ends_with(0);
    }
}

#[test]
fn a_tableau_below_a_path_is_spoken_to_there() {
    let tableau = Tableau::that(Behaviour { prefix: "/bi", ..Behaviour::default() });
    let run = Run::new(&["connect", "--list", "--tableau", &format!("{}/bi/#/site/sales", tableau.url())]);
    run.token().ends_with(0);
}

#[test]
fn an_address_that_leads_elsewhere_is_followed_once() {
    for status in [301, 302, 303, 307, 308] {
        let tableau =
            Tableau::that(Behaviour { prefix: "/new", moved: Some((status, "")), ..Behaviour::default() });
        connect(&tableau).arg("--list").ends_with(0);
        let calls = tableau.calls();
        assert_eq!(calls[..2], ["GET /api/2.4/serverinfo", "GET /new/api/2.4/serverinfo"]);
    }
}

#[test]
fn a_sign_in_that_is_led_elsewhere_is_posted_again() {
    for status in [301, 302, 303, 307, 308] {
        let moved = Some((status, "/auth/signin"));
        let tableau = Tableau::that(Behaviour {
            prefix: "/new",
            moved,
            serverinfo_anywhere: true,
            ..Behaviour::default()
        });
        connect(&tableau).arg("--list").ends_with(0);
        let calls = tableau.calls();
        let expected = [
            "GET /api/2.4/serverinfo".to_owned(),
            format!("POST /api/{VERSION}/auth/signin"),
            format!("POST /new/api/{VERSION}/auth/signin"),
        ];
        assert_eq!(calls[..3], expected);
        let requests = tableau.requests();
        assert_eq!(requests[1].body, requests[2].body);
    }
}

#[test]
fn http_that_leads_to_https_is_followed_there() {
    let tableau = Tableau::start();
    let authority = Authority::new();
    let terminator = Terminator::before(tableau.port(), authority.good("localhost"));
    let target = terminator.address();
    let plain = serve(move |request| Some(Reply::redirect(301, &format!("{target}{}", request.target))));
    let run = Run::new(&[
        "connect",
        "--list",
        "--tableau",
        &format!("http://localhost:{}/#/site/sales", plain.port),
    ]);
    let file = authority.file(run.folder());
    let said = run.token().arg("--ca-file").arg(file).ends_with(0);
    assert!(said.contains(&format!("at {}", terminator.address())), "{said}");
}

#[test]
fn several_sites_of_one_server_get_a_connection_each() {
    let tableau = Tableau::start();
    let run = Run::new(&["connect", "--tableau", &tableau.url(), "--skip-checks", SERVER, "--json"])
        .token()
        .login();
    let done = run.arg("--site").arg("sales").arg("--site").arg("marketing").json(0);
    let made: Vec<(&str, &str)> = done["connections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|connection| (connection["site"].as_str().unwrap(), connection["done"].as_str().unwrap()))
        .collect();
    // The stand-in's sites share their connections.
    assert_eq!(made, [("sales", "created"), ("marketing", "updated")]);
    assert!(tableau.calls().contains(&format!("POST /api/{VERSION}/auth/switchSite")));
    assert_eq!(tableau.sign_ins(), 1);
    let run =
        Run::new(&["connect", "--tableau", &tableau.url(), "--list", "--site", "sales", "--site", "none"]);
    crate::command::sentence(
        &run.token().ends_with(4),
        &["does not switch to the site none", "404000", "--site"],
    );
}
