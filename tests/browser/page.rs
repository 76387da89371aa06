use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::driver::Browser;
use crate::support::{Request, Server, wait_for};

fn server() -> Server {
    Server::builder().env("TABPY_USERNAME", "ann").env("TABPY_PASSWORD", "secret").start().ready()
}

/// Signs in as the browser's own window does, and opens the page without the password in its address.
fn sign_in(browser: &Browser, server: &Server) {
    browser.open(&format!("http://ann:secret@localhost:{}/", server.port()));
    browser.open(&format!("http://localhost:{}/", server.port()));
    browser.wait_for_text("h1", "TabPy");
}

#[test]
fn without_the_password_there_is_nothing_to_see() {
    let server = server();
    let Some(browser) = Browser::start(1200, false) else { return };
    browser.open(&format!("http://ann:wrong@localhost:{}/", server.port()));
    let shown = browser.text("body");
    assert!(!shown.contains("Workers") && !shown.contains("Connect"), "{shown}");
    sign_in(&browser, &server);
    let shown = browser.text("#server");
    for fact in
        ["required: user name and password", "allowed, up to 30 s", "Python packages that scripts can import"]
    {
        assert!(shown.contains(fact), "{fact} is not in {shown}");
    }
    let connect = browser.text("#connect");
    assert!(connect.contains("localhost") && connect.contains(&server.port().to_string()), "{connect}");
    browser.picture("page");
}

#[test]
fn values_are_copied_and_the_check_passes() {
    let server = server();
    let Some(browser) = Browser::start(1200, false) else { return };
    sign_in(&browser, &server);
    browser.click("#connect code[data-copy] + button");
    let copied = wait_for(Duration::from_secs(5), || {
        let label = browser.text("#connect code[data-copy] + button");
        (label != "Copy").then_some(label)
    });
    assert!(copied.is_some_and(|label| label == "Copied" || label.starts_with("Marked")));
    browser.click("#check");
    browser.wait_for_text("#check-steps", "Tableau's probe \"return int(1)\" gives 1");
    browser.wait_for_text("#check-steps", "No HTTPS");
    let failed = browser.run("return document.querySelectorAll('#check-steps .fail').length");
    assert_eq!(failed, 1, "{}", browser.text("#check-steps"));
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn scripts_are_tried() {
    let server = server();
    let Some(browser) = Browser::start(1200, false) else { return };
    sign_in(&browser, &server);
    browser.click("#run");
    let outcome = browser.wait_for_text("#outcome", "Printed");
    for part in ["Sales", "31.25", "62.5", "rows: 3"] {
        assert!(outcome.contains(part), "{part} is not in {outcome}");
    }
    let times = browser.text("#times");
    assert!(["queue", "python", "total"].iter().all(|part| times.contains(part)), "{times}");
    browser.picture("script");
    browser.fill("#script", "x = 1\nreturn 1 / 0");
    browser.click("#run");
    browser.wait_for_text("#outcome", "ZeroDivisionError : division by zero (line 2: return 1 / 0)");
    assert_eq!(browser.text("#lines mark"), "▸2");
    browser.fill("#script", "return [1, 2]");
    browser.click("#run");
    browser.wait_for_text("#outcome", "The result has 2 values for 3 rows. Tableau takes 1 or 3, and");
    browser.fill("#columns", "Sales\n1\n");
    browser.click("#run");
    browser.wait_for_text("#outcome", "The result has 2 values for 1 row. Tableau takes 1, and");
    // Text of all kinds is shown as text.
    browser.fill("#columns", "<img src=x onerror=\"window.harmed = 1\">\n\u{202e}evil\n");
    browser
        .fill("#script", "print('<script>window.harmed = 1</script>')\nreturn ['<b>' * 400000, '\\u202e']");
    browser.click("#run");
    browser.wait_for_text("#outcome", "<script>window.harmed = 1</script>");
    assert_eq!(
        browser.run("return window.harmed === undefined && !document.querySelector('#outcome img')"),
        true
    );
    assert!(browser.text("#outcome").len() < 10_000);
    // The error of a wrong script is an answer with status 500, which Chromium writes to the console.
    let unexpected: Vec<String> =
        browser.complaints().into_iter().filter(|line| !line.contains("status of 500")).collect();
    assert_eq!(unexpected, [""; 0]);
}

#[test]
fn functions_are_uploaded_called_and_restored() {
    let server = server();
    let Some(browser) = Browser::start(1200, false) else { return };
    sign_in(&browser, &server);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("double.py");
    for factor in [2, 3] {
        let source = format!(
            "def double(x: list) -> list:\n    \"\"\"<b>Doubles</b> & more.\"\"\"\n    return [v * {factor} for v in x]\n"
        );
        std::fs::write(&file, source).unwrap();
        browser.run("document.getElementById('upload').open = true");
        browser.fill("#upload-name", "double");
        browser.choose_file("#upload-file", &file);
        browser.click("#upload-form button");
        browser.wait_for_text("#upload-outcome", &format!("double is in force as version {}", factor - 1));
    }
    let card = browser.wait_for_text("#functions-list", "version 2");
    for part in [
        "<b>Doubles</b> & more.",
        "return tabpy.query('double', _arg1)['response']",
        "MODEL_EXTENSION_REAL(\"double\", \"x\"",
    ] {
        assert!(card.contains(part), "{part} is not in {card}");
    }
    browser.run("for (const d of document.querySelectorAll('.function details')) d.open = true");
    browser.fill(".function textarea", "{\"x\": [1, 4]}");
    browser.click(".function details button:not(.plain)");
    browser.wait_for_text("#functions-list", "[3,12]");
    browser.click(".function table button.plain");
    browser.wait_for_text("#functions-list", "version 3");
    let answer =
        server.send(&Request::post("/query/double", r#"{"data": {"x": [1]}}"#).login("ann", "secret"));
    assert!(answer.text().contains("\"response\": [2]"), "{}", answer.text());
    browser.fill("#search", "nothing like it");
    browser.wait_for_text("#functions-list", "No function has that");
    std::fs::write(&file, "import nothing_of_that_name\ndef broken(): pass\n").unwrap();
    browser.fill("#upload-name", "broken");
    browser.choose_file("#upload-file", &file);
    browser.click("#upload-form button");
    browser.wait_for_text("#upload-outcome", "nothing_of_that_name");
    browser.picture("functions");
}

#[test]
fn charts_move_and_errors_are_listed() {
    let server = server();
    let Some(browser) = Browser::start(1200, false) else { return };
    sign_in(&browser, &server);
    browser.wait_for_text("#errors", "None");
    let before = browser.run("return document.querySelector('#charts polyline').getAttribute('points')");
    for _ in 0..20 {
        let call = json!({"script": "raise KeyError('a secret')", "data": {}}).to_string();
        server.send(&Request::post("/evaluate", call).login("ann", "secret")).error(500);
    }
    let errors = browser.wait_for_text("#errors", "KeyError");
    assert!(errors.contains("line 1") && !errors.contains("secret"), "{errors}");
    let after = browser.run("return document.querySelector('#charts polyline').getAttribute('points')");
    assert_ne!(before, after);
    browser.run("document.querySelector('#live').scrollIntoView({behavior: 'instant'})");
    browser.picture("live");
}

/// By the rules that axe-core checks, in both colour schemes, with everything that the page can show.
#[test]
fn axe_finds_nothing() {
    let axe = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv-node/node_modules/axe-core/axe.min.js");
    let axe = std::fs::read_to_string(&axe).expect("axe-core is missing: make test creates it");
    let server = server();
    for dark in [false, true] {
        let Some(browser) = Browser::start(1200, dark) else { return };
        sign_in(&browser, &server);
        browser.click("#try-form button[type=submit]");
        browser.wait_for_text("#charts", "Memory");
        for path in ["/", "/docs"] {
            if path != "/" {
                browser.open(&format!("http://localhost:{}{path}", server.port()));
            }
            browser.run(&axe);
            let found = browser.run(
                "return axe.run().then(r => r.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html).slice(0, 3).join(' ')))",
            );
            assert_eq!(found, json!([]), "{path}, dark: {dark}");
            assert_eq!(browser.complaints(), [""; 0]);
        }
        browser.picture(if dark { "docs-dark" } else { "docs" });
    }
}

/// Calls of `return 1` in a second and a half.
fn calls(server: &Server) -> usize {
    let mut connection = server.connect();
    let request = Request::evaluate("return 1", &json!({})).login("ann", "secret");
    let begin = Instant::now();
    let mut calls = 0;
    while begin.elapsed() < Duration::from_millis(1500) {
        connection.send(&request).is(200, "1");
        calls += 1;
    }
    calls
}

#[test]
fn scripts_run_beside_an_open_page() {
    let server = server();
    let Some(browser) = Browser::start(1200, false) else { return };
    browser.open("about:blank");
    let before = calls(&server);
    sign_in(&browser, &server);
    browser.wait_for_text("#charts", "Memory");
    std::thread::sleep(Duration::from_secs(1));
    let beside = calls(&server);
    eprintln!("figures: calls in 1.5 s without the page {before}, while it is open {beside}");
    assert!(beside > 0);
}

#[test]
fn it_is_small_loads_nothing_from_elsewhere_and_fits_a_phone_in_the_dark() {
    let server = server();
    let Some(browser) = Browser::start(400, true) else { return };
    sign_in(&browser, &server);
    browser.wait_for_text("#charts", "Memory");
    let here = format!("http://localhost:{}/", server.port());
    let requests = browser.requests();
    let foreign: Vec<&String> = requests
        .iter()
        .map(|(url, _)| url)
        .filter(|url| !url.starts_with(&here) && !url.contains("@localhost") && url.starts_with("http"))
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    let of_page = |url: &str| url == here || url.contains("/assets/");
    let bytes: u64 = requests.iter().filter(|(url, _)| of_page(url)).map(|(_, bytes)| bytes).sum();
    let paint =
        browser.run("return performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? -1");
    eprintln!("figures: the page takes {bytes} bytes, first paint after {paint} ms");
    assert!((1000..60_000).contains(&bytes), "{bytes}");
    assert_eq!(browser.run("return matchMedia('(prefers-color-scheme: dark)').matches"), true);
    let too_wide =
        browser.run("return document.documentElement.scrollWidth > document.documentElement.clientWidth");
    assert_eq!(too_wide, false);
    assert_eq!(browser.complaints(), [""; 0]);
    browser.picture("phone");
}
