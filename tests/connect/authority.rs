//! An authority of the test's own, and the certificates that servers get right and wrong.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

pub(crate) struct Authority {
    root: CertifiedIssuer<'static, KeyPair>,
    intermediate: CertifiedIssuer<'static, KeyPair>,
}

/// What a server shows: its chain and the key to it.
pub(crate) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let root = CertifiedIssuer::self_signed(authority("Test Root"), key()).unwrap();
        let intermediate = CertifiedIssuer::signed_by(authority("Test Intermediate"), key(), &root).unwrap();
        Self { root, intermediate }
    }

    /// The root, as a file for --ca-file.
    pub(crate) fn file(&self, folder: &Path) -> PathBuf {
        let path = folder.join("root.pem");
        std::fs::write(&path, self.root.pem()).unwrap();
        path
    }

    /// Everything right: the whole chain but the root.
    pub(crate) fn good(&self, host: &str) -> Identity {
        self.issue(for_host(host), true)
    }

    pub(crate) fn without_intermediate(&self, host: &str) -> Identity {
        self.issue(for_host(host), false)
    }

    pub(crate) fn expired(&self, host: &str) -> Identity {
        let mut params = for_host(host);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 2, 3);
        self.issue(params, true)
    }

    pub(crate) fn not_valid_yet(&self, host: &str) -> Identity {
        let mut params = for_host(host);
        params.not_before = date_time_ymd(2200, 1, 1);
        params.not_after = date_time_ymd(2201, 1, 1);
        self.issue(params, true)
    }

    fn issue(&self, params: CertificateParams, whole: bool) -> Identity {
        let key = key();
        let own = params.signed_by(&key, &self.intermediate).unwrap();
        let mut chain = vec![own.der().clone()];
        if whole {
            chain.push(self.intermediate.der().clone());
        }
        Identity { chain, key: private(&key) }
    }

    /// Issued by the root itself, which is sent along.
    pub(crate) fn with_root(&self, host: &str) -> Identity {
        let key = key();
        let own = for_host(host).signed_by(&key, &self.root).unwrap();
        Identity { chain: vec![own.der().clone(), self.root.der().clone()], key: private(&key) }
    }
}

/// As `openssl req -x509` makes them: an authority by itself.
pub(crate) fn self_signed(host: &str) -> Identity {
    let mut params = for_host(host);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = key();
    let own = params.self_signed(&key).unwrap();
    Identity { chain: vec![own.der().clone()], key: private(&key) }
}

impl Identity {
    pub(crate) fn server_config(self) -> ServerConfig {
        ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(self.chain, self.key)
            .unwrap()
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn for_host(host: &str) -> CertificateParams {
    let mut params = named(host);
    params.subject_alt_names = CertificateParams::new(vec![host.to_owned()]).unwrap().subject_alt_names;
    params
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2120, 1, 1);
    params
}

fn key() -> KeyPair {
    KeyPair::generate().unwrap()
}

fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.serialize_der()).into()
}
