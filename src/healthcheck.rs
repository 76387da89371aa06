//! `tabpy-rs healthcheck`: asks the server on this machine whether it is alive, for platforms whose
//! images have no curl. It needs neither Python nor credentials.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::config::{Arguments, Config};

const PATIENCE: Duration = Duration::from_secs(5);

/// Fails with what is wrong.
pub fn run(port: Option<u16>, arguments: &Arguments) -> anyhow::Result<()> {
    let config = Config::load(arguments)?;
    let addresses: Vec<SocketAddr> =
        config.listen.iter().map(|address| reachable(*address, port.unwrap_or(address.port()))).collect();
    let port = addresses.first().context("there is no address to ask")?.port();
    let path = format!("{}/healthz", config.service.subdirectory);
    let stream = connect(&addresses).with_context(|| format!("no server answers on port {port}"))?;
    let status = ask(stream, &path).with_context(|| format!("the server on port {port} did not answer"))?;
    if status != "200" {
        bail!("the server on port {port} answered {status} to {path}");
    }
    Ok(())
}

/// Where a server that listens there can be asked from this machine.
fn reachable(listening: SocketAddr, port: u16) -> SocketAddr {
    let ip = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, port)
}

/// The first address that takes the connection; a machine may lack one of the protocols.
fn connect(addresses: &[SocketAddr]) -> std::io::Result<TcpStream> {
    let mut outcome = Err(std::io::ErrorKind::AddrNotAvailable.into());
    for address in addresses {
        outcome = TcpStream::connect_timeout(address, PATIENCE);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

fn ask(mut stream: TcpStream, path: &str) -> anyhow::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    let mut words = text.split_whitespace();
    match (words.next(), words.next()) {
        (Some(version), Some(status)) if version.starts_with("HTTP/") => Ok(status.to_owned()),
        _ => bail!("it does not speak HTTP"),
    }
}
