//! nginx and Caddy as docs/tableau.md has them: https with the whole chain before a server on loopback.

use std::path::Path;

use serde_json::json;

use crate::certificates::{Certificates, NAME};
use crate::curl::{Answer, curl};
use crate::proxy::{Proxy, deployed, program};
use crate::support::{Server, port};

struct Edge {
    server: Server,
    certificates: Certificates,
    http: u16,
    https: u16,
    _proxy: Proxy,
}

fn server() -> Server {
    Server::builder()
        .env("TABPY_TRUST_PROXY", "true")
        .env("TABPY_HOST", "127.0.0.1")
        .env("TABPY_USERNAME", "ada")
        .env("TABPY_PASSWORD", "countess")
        .env("TABPY_LOG_DETAILS", "true")
        .start()
        .ready()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn nginx() -> Option<Edge> {
    let program = program("nginx")?;
    let (server, certificates) = (server(), Certificates::make());
    let (http, https) = (port::free(), port::free());
    let (chain, key) = (certificates.path("fullchain.pem"), certificates.path("server-key.pem"));
    let site = deployed(
        "nginx.conf",
        &[
            ("127.0.0.1:9004", &server.host()),
            ("    listen [::]:80;\n    listen 443 ssl;\n    listen [::]:443 ssl;\n", "    listen 443 ssl;\n"),
            ("listen 80;", &format!("listen 127.0.0.1:{http};")),
            ("listen 443 ssl;", &format!("listen 127.0.0.1:{https} ssl;")),
            ("/etc/ssl/tabpy/fullchain.pem", text(&chain)),
            ("/etc/ssl/tabpy/key.pem", text(&key)),
        ],
    );
    // What Debian's nginx.conf has around a site, all of it in one folder.
    let main = "daemon off;\npid nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n\
                client_body_temp_path body;\nproxy_temp_path proxy;\nfastcgi_temp_path fastcgi;\n\
                uwsgi_temp_path uwsgi;\nscgi_temp_path scgi;\ninclude site.conf;\n}\n";
    let arguments = ["-p", ".", "-e", "stderr", "-c", "nginx.conf"];
    let files = [("nginx.conf", main), ("site.conf", &*site)];
    let proxy = Proxy::start(&program, &arguments, &files, &[http, https]);
    Some(Edge { server, certificates, http, https, _proxy: proxy })
}

fn caddy() -> Option<Edge> {
    let program = program("caddy")?;
    let (server, certificates) = (server(), Certificates::make());
    let (http, https) = (port::free(), port::free());
    let (chain, key) = (certificates.path("fullchain.pem"), certificates.path("server-key.pem"));
    let site = deployed(
        "Caddyfile",
        &[
            ("127.0.0.1:9004", &server.host()),
            (
                "# tls /etc/ssl/tabpy/fullchain.pem /etc/ssl/tabpy/key.pem",
                &format!("tls {} {}", text(&chain), text(&key)),
            ),
        ],
    );
    let ports = format!("{{\n\tadmin off\n\thttp_port {http}\n\thttps_port {https}\n}}\n");
    let arguments = ["run", "--config", "Caddyfile", "--adapter", "caddyfile"];
    let proxy = Proxy::start(&program, &arguments, &[("Caddyfile", &(ports + &site))], &[http, https]);
    Some(Edge { server, certificates, http, https, _proxy: proxy })
}

impl Edge {
    fn address(&self, path: &str) -> String {
        format!("https://{NAME}:{}{path}", self.https)
    }

    #[track_caller]
    fn ask(&self, url: &str, arguments: &[&str]) -> Answer {
        let root = self.certificates.path("root.pem");
        curl(&root, url, arguments).unwrap_or_else(|code| panic!("curl ended with {code} for {url}"))
    }

    #[track_caller]
    fn evaluate(&self, script: &str, arguments: &[&str]) -> Answer {
        let body = json!({"script": script, "data": {}}).to_string();
        let own = ["--user", "ada:countess", "--data", &body];
        self.ask(&self.address("/evaluate"), &[&own[..], arguments].concat())
    }

    fn https_works_with_the_whole_chain(&self) {
        let answer = self.evaluate("return 1", &[]);
        assert_eq!((answer.status, answer.body.as_str()), (200, "1"));
        assert_eq!(answer.header("strict-transport-security"), Some("max-age=31536000"));
        let answer = self.ask(&self.address("/info"), &[]);
        assert_eq!(answer.status, 401);
        assert!(answer.header("www-authenticate").is_some_and(|value| value.starts_with("Basic ")));
        // Whoever does not know the authority refuses: 60 is curl's code for that.
        let stranger = Certificates::make();
        assert_eq!(curl(&stranger.path("root.pem"), &self.address("/info"), &[]).err(), Some(60));
    }

    fn what_a_client_forges_does_not_count(&self) {
        let forged = [
            "--header",
            "X-Forwarded-For: 203.0.113.9",
            "--header",
            "X-Forwarded-Proto: http",
            "--header",
            "X-Forwarded-Host: evil.example",
            "--header",
            "X-Request-Id: forged-id",
            "--header",
            "TabPy-User: forger",
        ];
        assert_eq!(self.evaluate("return 1", &forged).body, "1");
        let line = self.server.wait_for_log("forger");
        assert!(line.contains("caller=127.0.0.1"), "{line}");
        assert!(!self.server.log().contains("forged-id"), "{}", self.server.log());
    }

    fn its_own_pages_may_run_scripts_and_no_others(&self) {
        let own = format!("Origin: https://{NAME}:{}", self.https);
        assert_eq!(self.evaluate("return 1", &["--header", &own]).status, 200);
        for origin in
            ["Origin: https://evil.example".to_owned(), format!("Origin: http://{NAME}:{}", self.https)]
        {
            assert_eq!(self.evaluate("return 1", &["--header", &origin]).status, 403, "{origin}");
        }
    }

    fn a_body_of_some_megabytes_gets_through(&self) {
        let file = self.certificates.path("body");
        let values = vec!["0123456789"; 300_000];
        std::fs::write(&file, json!({"script": "return len(_arg1)", "data": {"_arg1": values}}).to_string())
            .unwrap();
        let body = format!("@{}", text(&file));
        let arguments = ["--user", "ada:countess", "--data-binary", &body];
        let answer = self.ask(&self.address("/evaluate"), &arguments);
        assert_eq!((answer.status, answer.body.as_str()), (200, "300000"));
    }

    fn a_page_by_plain_http_leads_to_https(&self) {
        let answer = self.ask(&format!("http://{NAME}:{}/", self.http), &[]);
        assert_eq!(answer.status, 308);
        assert!(answer.header("location").is_some_and(|to| to.starts_with(&format!("https://{NAME}"))));
    }

    fn holds(&self) {
        self.https_works_with_the_whole_chain();
        self.what_a_client_forges_does_not_count();
        self.its_own_pages_may_run_scripts_and_no_others();
        self.a_body_of_some_megabytes_gets_through();
        self.a_page_by_plain_http_leads_to_https();
    }
}

#[test]
fn nginx_as_documented() {
    let Some(edge) = nginx() else { return };
    edge.holds();
    // It passes plain http on, and the server refuses it.
    let url = format!("http://{NAME}:{}/evaluate", edge.http);
    let answer = edge.ask(&url, &["--user", "ada:countess", "--data", r#"{"script": "return 1"}"#]);
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains("HTTPS only"), "{}", answer.body);
}

#[test]
fn caddy_as_documented() {
    let Some(edge) = caddy() else { return };
    edge.holds();
    // It leads plain http to https by itself, whatever the method.
    let url = format!("http://{NAME}:{}/evaluate", edge.http);
    assert_eq!(edge.ask(&url, &["--data", r#"{"script": "return 1"}"#]).status, 308);
}
