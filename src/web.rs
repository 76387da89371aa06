//! The HTTP client of the commands that speak to other machines: deadlines, answers of bounded size, no
//! redirect followed unasked, and one word for each way in which a call fails. It knows neither Tableau
//! nor this server's API. Proxies are those of the environment (`HTTPS_PROXY`, `NO_PROXY`).

pub(crate) mod address;
pub(crate) mod trust;

use std::error::Error as _;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, redirect};
use url::Url;

use self::trust::{Trust, Watching};
use crate::credentials::Secret;

/// No answer that these commands read is longer by far.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// A machine that is there takes a connection in less.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Web {
    client: reqwest::Client,
    /// What the other side showed of itself.
    pub(crate) watching: Arc<Watching>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) took: Duration,
}

/// Why there was no answer.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The name of the host leads nowhere.
    Name,
    /// Nobody listens on the port.
    Refused,
    /// No connection, or no whole answer, in time.
    Slow {
        connected: bool,
    },
    Tls(rustls::Error),
    /// In the middle of the greeting by TLS.
    HungUp,
    /// The other side hung up, or sent what is no HTTP.
    NotHttp(String),
    TooLong,
    Other(String),
}

impl Web {
    pub(crate) fn new(trust: &Trust, patience: Duration) -> anyhow::Result<Self> {
        let (tls, watching) = trust::client_config(trust)?;
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("tabpy-rs/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_PATIENCE.min(patience))
            .timeout(patience)
            .build()?;
        Ok(Self { client, watching })
    }

    pub(crate) fn call(&self, method: Method, url: Url) -> RequestBuilder {
        self.client.request(method, url)
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Answer, Trouble> {
        let begin = Instant::now();
        let mut response = request.send().await.map_err(|error| Trouble::of(&error))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| Trouble::of(&error))? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(Trouble::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body, took: begin.elapsed() })
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Where a redirect leads, made whole.
    pub(crate) fn redirect(&self, from: &Url) -> Option<Url> {
        if !matches!(self.status, 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        from.join(self.header("Location")?).ok()
    }
}

/// A header that no log and no `Debug` shows.
pub(crate) fn sensitive(secret: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(secret.reveal()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl Trouble {
    fn of(error: &reqwest::Error) -> Self {
        let mut cause = error.source();
        let mut innermost = error.to_string();
        while let Some(found) = cause {
            if let Some(tls) = tls_error(found) {
                return Self::Tls(tls.clone());
            }
            match found.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
                Some(ErrorKind::ConnectionRefused) => return Self::Refused,
                Some(ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) if error.is_connect() => {
                    return Self::HungUp;
                }
                _ => {}
            }
            innermost = found.to_string();
            cause = found.source();
        }
        if error.is_timeout() {
            Self::Slow { connected: !error.is_connect() }
        } else if error.is_dns() {
            Self::Name
        } else if error.is_connect() {
            Self::Other(innermost)
        } else {
            Self::NotHttp(innermost)
        }
    }

    /// A clause for the middle of a sentence.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Name => "its name is not known here".to_owned(),
            Self::Refused => "nobody listens on that port".to_owned(),
            Self::Slow { connected: false } => "it took no connection in time".to_owned(),
            Self::Slow { connected: true } => "it did not answer in time".to_owned(),
            Self::Tls(error) => format!("no TLS connection came about ({error})"),
            Self::HungUp => "it hung up when it was greeted in TLS".to_owned(),
            Self::NotHttp(why) => format!("it hung up or does not speak HTTP ({why})"),
            Self::TooLong => "its answer is too long".to_owned(),
            Self::Other(why) => format!("no connection came about ({why})"),
        }
    }
}

/// rustls wraps its errors in `io::Error`, which hides them from `source`.
fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    error.downcast_ref::<rustls::Error>().or_else(|| {
        let inner = error.downcast_ref::<std::io::Error>()?.get_ref()?;
        tls_error(inner)
    })
}
