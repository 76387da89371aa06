//! Who is let in, and on which addresses that makes listening safe. A server without credentials
//! stays on loopback unless its operator said otherwise in so many words; nothing here asks anybody
//! anything, and no socket is opened.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};

use super::raw::Raw;
use super::sources::Sources;
use super::values::Value;
use super::{Authentication, EnvironmentUser};
use crate::credentials::{Secret, UserName};

const ALL: [IpAddr; 2] = [IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)];
const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

const OPEN_TO_ALL: &str = "AUTHENTICATION IS OFF: everybody who can reach this server can run Python on it. Set \
     TABPY_USERNAME and TABPY_PASSWORD, or TABPY_PWD_FILE, to ask for a password";

/// The addresses, and how requests are admitted there.
pub(super) fn decide(
    sources: &Sources,
    raw: &Raw,
    disable_auth_warning: bool,
    state_path: &Path,
    warnings: &mut Vec<String>,
) -> anyhow::Result<(Vec<SocketAddr>, Authentication)> {
    let platform = Value::new(sources, "PORT", &raw.port);
    let own = Value::new(sources, "TABPY_PORT", &raw.tabpy_port);
    let port = match port(&platform)? {
        Some(port) => port,
        None => port(&own)?.unwrap_or(9004),
    };
    let host_value = Value::new(sources, "TABPY_HOST", &raw.tabpy_host);
    let host =
        host_value.text().map(|text| addresses(text).ok_or_else(|| unknown_host(&host_value))).transpose()?;
    let on_loopback = host.as_ref().is_some_and(|host| host.iter().all(|ip| ip.to_canonical().is_loopback()));
    let password_file = password_file(sources, raw)?;
    let user = user(sources, raw)?;
    let open = Value::new(sources, "TABPY_ALLOW_OPEN", &raw.tabpy_allow_open).boolean(false)?;

    let (authentication, default) = if password_file.is_some() || user.is_some() {
        (Authentication::Required { password_file, user }, ALL)
    } else if open || disable_auth_warning {
        if on_loopback {
            (Authentication::OpenOnLoopback, LOOPBACK)
        } else {
            warnings.push(OPEN_TO_ALL.to_owned());
            (Authentication::OpenToAll, ALL)
        }
    } else if platform.text().is_some() {
        bail!(
            "PORT is set, so this server is to be reached from elsewhere, but it has no password: set TABPY_USERNAME and \
             TABPY_PASSWORD (or TABPY_PWD_FILE), or TABPY_ALLOW_OPEN=true to let everybody run Python on it"
        )
    } else if host.is_some() && !on_loopback {
        (Authentication::MadeUp { path: state_path.join("made-up-password.txt") }, ALL)
    } else {
        (Authentication::OpenOnLoopback, LOOPBACK)
    };
    let listen = host.unwrap_or_else(|| default.to_vec());
    Ok((listen.into_iter().map(|ip| SocketAddr::new(ip, port)).collect(), authentication))
}

fn port(value: &Value<'_>) -> anyhow::Result<Option<u16>> {
    let Some(text) = value.text() else { return Ok(None) };
    if text.starts_with("tcp://") {
        bail!(
            "{}. Kubernetes sets it so for a service called tabpy: say `enableServiceLinks: false` in the pod, or rename \
             the service",
            value.wrong("a port number")
        );
    }
    let number = value.integer(0, u16::MAX.into())?;
    Ok(number.and_then(|number| u16::try_from(number).ok()))
}

/// The addresses of a host: a number, `localhost`, or a name that the system's resolver knows.
fn addresses(host: &str) -> Option<Vec<IpAddr>> {
    if host.eq_ignore_ascii_case("localhost") {
        return Some(LOOPBACK.to_vec());
    }
    let number = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(ip) = number.parse::<IpAddr>() {
        return Some(if ip.is_unspecified() { ALL.to_vec() } else { vec![ip] });
    }
    let mut found: Vec<IpAddr> = (host, 0).to_socket_addrs().ok()?.map(|address| address.ip()).collect();
    found.sort();
    found.dedup();
    if found.is_empty() { None } else { Some(found) }
}

fn unknown_host(value: &Value<'_>) -> anyhow::Error {
    value.wrong("an address such as 0.0.0.0 or 127.0.0.1, localhost, or a host name that can be resolved")
}

fn password_file(sources: &Sources, raw: &Raw) -> anyhow::Result<Option<PathBuf>> {
    // An empty name is more likely a variable that went missing than the wish to have no password.
    match raw.tabpy_pwd_file.as_deref().map(str::trim) {
        Some("") => bail!(
            "TABPY_PWD_FILE (from {}) is set but empty: give the path of the password file, or unset it",
            sources.origin("TABPY_PWD_FILE")
        ),
        Some(path) => Ok(Some(PathBuf::from(path))),
        None => Ok(None),
    }
}

fn user(sources: &Sources, raw: &Raw) -> anyhow::Result<Option<EnvironmentUser>> {
    let (name, password) = match (&raw.tabpy_username, &raw.tabpy_password) {
        (None, None) => return Ok(None),
        (Some(name), Some(password)) => (name, password),
        (Some(_), None) => bail!("TABPY_USERNAME is set but TABPY_PASSWORD is not: set both, or neither"),
        (None, Some(_)) => bail!("TABPY_PASSWORD is set but TABPY_USERNAME is not: set both, or neither"),
    };
    let name = UserName::new(name).map_err(|why| {
        anyhow!("TABPY_USERNAME (from {}) cannot be used: {why}", sources.origin("TABPY_USERNAME"))
    })?;
    Ok(Some(EnvironmentUser { name, password: Secret::of_line(password) }))
}
