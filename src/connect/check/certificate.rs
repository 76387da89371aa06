//! Why a certificate is not believed, and what to do. What rustls says of it is put beside the chain that
//! the server sent: who issued whom tells a missing intermediate from an authority of one's own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CertificateError, Error};
use webpki::EndEntityCert;

use super::Rules;
use crate::connect::report::Report;
use crate::web::address::ServerAddress;
use crate::web::trust::{SOON, Shown, Trust, believes};

pub(super) fn good(shown: Option<&Shown>, rules: &Rules, report: &mut Report) {
    if rules.insecure && !rules.cloud {
        let remedy = "leave --insecure out; --ca-file names an authority of your own";
        return report.warn("certificate", "not checked, as --insecure says", remedy);
    }
    let days = SOON.as_secs() / (24 * 60 * 60);
    if shown.is_some_and(|shown| shown.ends_soon) {
        let detail = format!("good, but for less than {days} days more");
        return report.warn("certificate", detail, "renew it, and see to it that it renews itself");
    }
    let by = if rules.cloud { "the public authorities" } else { "this machine" };
    report.ok("certificate", format!("believed by {by}, for more than {days} days"));
}

/// What is wrong, and its remedy.
pub(super) fn explain(
    error: &Error,
    shown: Option<&Shown>,
    server: &ServerAddress,
    rules: &Rules,
) -> (String, String) {
    let host = server.host();
    match error {
        Error::InvalidCertificate(error) => invalid(error, shown, host, rules),
        Error::InvalidMessage(_) => (
            format!("what listens on port {} of {host} speaks no TLS", server.port()),
            "if that port is the server's own, put it behind a proxy or platform that speaks TLS; else check the port".to_owned(),
        ),
        Error::AlertReceived(_) | Error::PeerIncompatible(_) => (
            format!("no TLS connection came about ({error})"),
            format!("the proxy must speak TLS 1.2 or 1.3 and know the name {host}"),
        ),
        error => (format!("no TLS connection came about ({error})"), "look at the proxy's log".to_owned()),
    }
}

fn invalid(error: &CertificateError, shown: Option<&Shown>, host: &str, rules: &Rules) -> (String, String) {
    let now = date(UnixTime::now());
    let clock = format!("; if this machine's clock ({now}) is wrong, set it");
    match error {
        CertificateError::Expired => {
            ("the certificate has ended".to_owned(), format!("renew it and load it into the proxy{clock}"))
        }
        CertificateError::ExpiredContext { not_after, .. } => (
            format!("the certificate ended on {}", date(*not_after)),
            format!("renew it and load it into the proxy{clock}"),
        ),
        CertificateError::NotValidYet => {
            ("the certificate is not valid yet".to_owned(), format!("wait, or have it issued again{clock}"))
        }
        CertificateError::NotValidYetContext { not_before, .. } => (
            format!("the certificate is valid only from {}", date(*not_before)),
            format!("wait, or have it issued again{clock}"),
        ),
        CertificateError::NotValidForName => (
            format!("the certificate is not for {host}"),
            format!("use the name that it is for, or get one for {host}"),
        ),
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<String> = presented.iter().map(|name| plain(name)).collect();
            let names = if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") };
            (
                format!("the certificate is for {names}, not for {host}"),
                format!("use a name that it is for, or get one for {host}"),
            )
        }
        CertificateError::UnknownIssuer | CertificateError::Other(_) => not_believed(shown, rules),
        error => (format!("the certificate is not good ({error})"), "have it issued again".to_owned()),
    }
}

fn not_believed(shown: Option<&Shown>, rules: &Rules) -> (String, String) {
    let public =
        "get a certificate of a public authority (Let's Encrypt's are free), which Tableau Cloud demands";
    let Some(shown) = shown else {
        return ("nobody here knows who issued the certificate".to_owned(), public.to_owned());
    };
    let links: Vec<Link> = shown.chain.iter().filter_map(Link::of).collect();
    let (Some(own), Some(last)) = (links.first(), links.last()) else {
        return ("the certificate cannot be read".to_owned(), "have it issued again".to_owned());
    };
    if own.is_self_signed() {
        let remedy = match rules.cloud {
            true => public.to_owned(),
            false => {
                "add it to the authorities of the machine that runs Tableau Server, and here with --ca-file"
                    .to_owned()
            }
        };
        return ("the certificate is self-signed".to_owned(), remedy);
    }
    let issuer = last.issuer.as_deref().unwrap_or("somebody without a name");
    let private = Trust::System { ca_file: rules.ca_file.clone() };
    if rules.cloud && believes(&private, shown) {
        let detail =
            format!("the certificate comes from {issuer}, whom this machine believes, but not the public");
        return (detail, format!("{public}; a proxy on this machine's way that opens TLS looks the same"));
    }
    let authority = match rules.cloud {
        true => format!("{issuer} is an authority of your own: {public}"),
        false => format!(
            "{issuer} is an authority of your own: add its certificate to the machine that runs Tableau Server, and here with \
             --ca-file"
        ),
    };
    if last.is_self_signed() {
        return (format!("the chain ends in {issuer}, whom nobody here believes"), authority);
    }
    let count = links.len();
    let sent =
        if count == 1 { "its own certificate alone".to_owned() } else { format!("{count} certificates") };
    (
        format!(
            "the chain is incomplete: the server sends {sent}, and that of the issuer {issuer} is missing"
        ),
        format!("have the proxy send the whole chain (fullchain.pem, not cert.pem); or, if {authority}"),
    )
}

/// Who a certificate is for and who issued it.
struct Link {
    same: bool,
    issuer: Option<String>,
}

impl Link {
    fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let certificate = EndEntityCert::try_from(certificate).ok()?;
        let (issuer, subject) = (certificate.issuer(), certificate.subject());
        Some(Self { same: issuer == subject, issuer: common_name(issuer).or_else(|| organization(issuer)) })
    }

    fn is_self_signed(&self) -> bool {
        self.same
    }
}

fn common_name(name: &[u8]) -> Option<String> {
    attribute(name, 3)
}

fn organization(name: &[u8]) -> Option<String> {
    attribute(name, 10)
}

/// The text that follows the object identifier 2.5.4.`number` in a distinguished name, if it is a short
/// one. The bytes are the certificate's: they are looked at, and believed in nothing.
fn attribute(name: &[u8], number: u8) -> Option<String> {
    let identifier = [0x06, 0x03, 0x55, 0x04, number];
    let start = name.windows(identifier.len()).position(|window| window == identifier)? + identifier.len();
    // A type, a length below 128, and the text.
    let (&[_, length], rest) = name.get(start..)?.split_first_chunk::<2>()?;
    let text = rest.get(..usize::from(length))?;
    String::from_utf8(text.to_vec()).ok().filter(|text| !text.is_empty())
}

/// `DnsName("a.example")`, as rustls shows it, without its wrapping.
fn plain(name: &str) -> String {
    match name.split_once("(\"").and_then(|(_, rest)| rest.strip_suffix("\")")) {
        Some(inner) => inner.to_owned(),
        None => name.to_owned(),
    }
}

fn date(time: UnixTime) -> String {
    let seconds = time.as_secs();
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(SystemTime::UNIX_EPOCH);
    // The formatter knows years of four digits.
    if seconds < 253_402_300_800 {
        httpdate::fmt_http_date(time)
    } else {
        "a day after the year 9999".to_owned()
    }
}
