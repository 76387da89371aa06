//! Chromium, driven by chromedriver's own protocol: no more of it than these tests need.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::support::wait_for;

type Said = std::io::Lines<BufReader<std::process::ChildStdout>>;

pub struct Browser {
    driver: Child,
    port: u16,
    /// Closed, it would end chromedriver at its next line.
    _said: Said,
    session: String,
    _profile: tempfile::TempDir,
}

/// chromedriver, what it goes on to say, and its port. It takes one that is free for one kind of address, and ends where
/// another program has that for the other kind: `None`.
fn launch() -> std::io::Result<Option<(Child, Said, u16)>> {
    let mut driver = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    // The first line only says which port was asked for.
    let port = lines.find_map(|line| {
        let line = line.unwrap();
        line.strip_prefix("ChromeDriver was started successfully on port ")?
            .trim_end_matches('.')
            .parse()
            .ok()
    });
    if port.is_none() {
        driver.wait()?;
    }
    Ok(port.map(|port| (driver, lines, port)))
}

impl Browser {
    /// `None` where there is no Chromium and that is allowed.
    pub fn start(width: u32, dark: bool) -> Option<Self> {
        let Ok(mut launched) = launch() else {
            assert!(std::env::var_os("CI").is_none(), "chromedriver is missing; `make test` installs it");
            eprintln!("SKIPPED: chromedriver is missing");
            return None;
        };
        for _ in 0..4 {
            launched = launched.or_else(|| launch().unwrap());
        }
        let (driver, said, port) = launched.expect("chromedriver names its port");
        let profile = tempfile::tempdir().unwrap();
        let mut arguments: Vec<String> = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
             --disable-background-networking --disable-component-update --disable-sync --disable-dev-shm-usage \
             --hide-scrollbars"
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        arguments.push(format!("--window-size={width},1400"));
        if dark {
            arguments.push("--blink-settings=preferredColorScheme=0".to_owned());
        }
        let mut browser = Self { driver, port, session: String::new(), _said: said, _profile: profile };
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}});
        let session = browser.call("POST", "/session", &wanted);
        browser.session = session["sessionId"].as_str().unwrap_or_else(|| panic!("{session}")).to_owned();
        Some(browser)
    }

    pub fn open(&self, address: &str) {
        self.ask("/url", &json!({"url": address}));
    }

    /// Runs JavaScript in the page; its `return` is the value.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        let answer = self.ask("/execute/sync", &json!({"script": script, "args": []}));
        assert!(answer.get("error").is_none(), "{script}: {answer}");
        answer
    }

    pub fn text(&self, selector: &str) -> String {
        let found =
            self.run(&format!("const e = document.querySelector({selector:?}); return e ? e.innerText : ''"));
        found.as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub fn wait_for_text(&self, selector: &str, wanted: &str) -> String {
        let found = wait_for(Duration::from_secs(15), || {
            Some(self.text(selector)).filter(|text| text.contains(wanted))
        });
        found.unwrap_or_else(|| panic!("no {wanted:?} in {selector}: {}", self.text(selector)))
    }

    pub fn click(&self, selector: &str) {
        self.run(&format!(
            "document.querySelector({selector:?}).scrollIntoView({{block: 'center', behavior: 'instant'}})"
        ));
        let found = self.ask("/element", &json!({"using": "css selector", "value": selector}));
        let element = found.as_object().and_then(|found| found.values().next()).and_then(Value::as_str);
        let element = element.unwrap_or_else(|| panic!("no {selector}: {found}"));
        let clicked = self.ask(&format!("/element/{element}/click"), &json!({}));
        assert!(clicked.is_null(), "{selector}: {clicked}");
    }

    /// Gives a field another value, as typing does.
    pub fn fill(&self, selector: &str, text: &str) {
        self.run(&format!(
            "const e = document.querySelector({selector:?}); e.value = {}; e.dispatchEvent(new Event('input'))",
            json!(text)
        ));
    }

    /// Has a file input hold a file.
    pub fn choose_file(&self, selector: &str, path: &std::path::Path) {
        let found = self.ask("/element", &json!({"using": "css selector", "value": selector}));
        let element = found.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
        self.ask(&format!("/element/{element}/value"), &json!({"text": path.display().to_string()}));
    }

    /// Errors on the console.
    pub fn complaints(&self) -> Vec<String> {
        let entries = self.ask("/se/log", &json!({"type": "browser"}));
        let severe = entries.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    /// Addresses that were asked for, with the bytes that came.
    pub fn requests(&self) -> Vec<(String, u64)> {
        let entries = self.ask("/se/log", &json!({"type": "performance"}));
        let mut asked = Vec::new();
        let mut sizes = std::collections::HashMap::new();
        for entry in entries.as_array().unwrap() {
            let event: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            let (method, parameters) = (&event["message"]["method"], &event["message"]["params"]);
            let id = parameters["requestId"].as_str().unwrap_or_default().to_owned();
            if method == "Network.requestWillBeSent" {
                asked.push((id, parameters["request"]["url"].as_str().unwrap().to_owned()));
            } else if method == "Network.loadingFinished" {
                sizes.insert(id, parameters["encodedDataLength"].as_f64().unwrap_or(0.0) as u64);
            }
        }
        asked.into_iter().map(|(id, url)| (url, sizes.get(&id).copied().unwrap_or(0))).collect()
    }

    /// Keeps a picture of the page among the tests' output.
    pub fn picture(&self, name: &str) {
        let Value::String(encoded) =
            self.call("GET", &format!("/session/{}/screenshot", self.session), &json!(null))
        else {
            panic!("no picture")
        };
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), bytes).unwrap();
    }

    fn ask(&self, path: &str, body: &Value) -> Value {
        self.call("POST", &format!("/session/{}{path}", self.session), body)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        // It keeps connections open whatever it is asked.
        let mut answer = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            answer.read_line(&mut line).unwrap();
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().unwrap()
                }
                None if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body).unwrap();
        serde_json::from_slice::<Value>(&body).unwrap()["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            self.call("DELETE", &format!("/session/{}", self.session), &json!(null));
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
