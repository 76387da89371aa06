//! The address of a server like this one, as somebody types it, and the parts of it that Tableau wants.
//! An address that exists has a host, no secret in it and nothing after its path.

use std::net::IpAddr;

use url::{Host, Url};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerAddress {
    /// Without a slash at its end.
    base: Url,
}

impl ServerAddress {
    /// `https://` may be left out.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut base = web_url(text)?;
        if !base.username().is_empty() || base.password().is_some() {
            return Err(format!(
                "the address of {} holds a user name or password: take it out and set TABPY_USERNAME and TABPY_PASSWORD",
                base.host_str().unwrap_or_default()
            ));
        }
        base.set_query(None);
        base.set_fragment(None);
        let path = base.path().trim_end_matches('/').to_owned();
        base.set_path(&path);
        Ok(Self { base })
    }

    pub(crate) fn is_https(&self) -> bool {
        self.base.scheme() == "https"
    }

    pub(crate) fn host(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    pub(crate) fn port(&self) -> u16 {
        self.base.port_or_known_default().unwrap_or(443)
    }

    /// What belongs in Tableau's field for the host: since 2022 it takes a path too.
    pub(crate) fn host_field(&self) -> String {
        format!("{}{}", self.host(), self.base.path().trim_end_matches('/'))
    }

    /// `path` starts with a slash.
    pub(crate) fn at(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }

    /// What leads to another machine only by way of a network that others may read.
    pub(crate) fn is_this_machine(&self) -> bool {
        is_loopback(&self.base)
    }

    /// A name or number that nobody beyond the local network can reach.
    pub(crate) fn is_local_name(&self) -> bool {
        match self.base.host() {
            Some(Host::Domain(name)) => {
                !name.contains('.') || name.ends_with(".local") || name.ends_with(".internal")
            }
            Some(Host::Ipv4(ip)) => is_private(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => is_private(IpAddr::V6(ip)),
            None => true,
        }
    }
}

impl std::fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.base.as_str().trim_end_matches('/'))
    }
}

/// An address of the web; without a scheme, https is meant.
pub(crate) fn web_url(text: &str) -> Result<Url, String> {
    let text = text.trim();
    let whole = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    // The text may hold a password: it is not repeated.
    let url = Url::parse(&whole)
        .map_err(|why| format!("that is no address ({why}): write it like https://tabpy.example.com"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("an address starts with https://, not {}://", url.scheme()));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("the address has no host: write it like https://tabpy.example.com".to_owned());
    }
    Ok(url)
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Not to be reached from the internet.
pub(crate) fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            // Carriers' own network, 100.64.0.0/10, too.
            let carrier = ip.octets()[0] == 100 && (64..128).contains(&ip.octets()[1]);
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified() || carrier
        }
        IpAddr::V6(ip) => {
            ip.to_ipv4_mapped().is_some_and(|ip| is_private(IpAddr::V4(ip)))
                || ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (text, shown, host, port, field) in [
            ("https://a.example", "https://a.example", "a.example", 443, "a.example"),
            ("a.example/", "https://a.example", "a.example", 443, "a.example"),
            ("localhost:9004", "https://localhost:9004", "localhost", 9004, "localhost"),
            (" http://a.example:81/py/ ", "http://a.example:81/py", "a.example", 81, "a.example/py"),
            ("https://[::1]:9/x//", "https://[::1]:9/x", "[::1]", 9, "[::1]/x"),
            ("https://A.Example/py?x=1#y", "https://a.example/py", "a.example", 443, "a.example/py"),
        ] {
            let address = ServerAddress::parse(text).unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!((address.host(), address.port()), (host, port));
            assert_eq!(address.host_field(), field);
            assert_eq!(address.at("/info").to_string(), format!("{shown}/info"));
        }
    }

    #[test]
    fn what_is_no_address_is_told_without_its_password() {
        for (text, word) in [
            ("", "no address"),
            ("ftp://a", "ftp"),
            ("https://", "no address"),
            ("https://ann:s3cret@a.example", "TABPY_PASSWORD"),
            ("https://ann:s3cret@a b", "no address"),
        ] {
            let error = ServerAddress::parse(text).unwrap_err();
            assert!(error.contains(word) && !error.contains("s3cret"), "{text}: {error}");
        }
    }

    #[test]
    fn what_the_internet_does_not_reach() {
        for host in [
            "localhost",
            "tabpy",
            "a.local",
            "10.0.0.1",
            "100.64.0.1",
            "[::1]",
            "[fd00::1]",
            "[::ffff:10.0.0.1]",
        ] {
            assert!(ServerAddress::parse(host).unwrap().is_local_name(), "{host}");
        }
        for host in ["a.example", "8.8.8.8", "[2600::1]"] {
            assert!(!ServerAddress::parse(host).unwrap().is_local_name(), "{host}");
        }
    }
}
