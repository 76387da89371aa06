//! Whose certificates are believed: the public authorities alone, those of this machine and a file, or
//! everybody's. The verifier remembers what it was shown, so that a refusal can be explained; it
//! explains nothing itself.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// How long before its end a certificate is worth a warning.
pub(crate) const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Mozilla's list, whatever this machine believes: the nearest there is to what Tableau Cloud believes.
    Public,
    /// The operating system's, and those of the file. A system that has none gets Mozilla's.
    System { ca_file: Option<PathBuf> },
    /// `--insecure`.
    Anything,
}

/// What a server showed of itself.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// The server's own certificate first.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) name: ServerName<'static>,
    /// It will have ended in `SOON`.
    pub(crate) ends_soon: bool,
}

/// The verifier, and what it last saw.
#[derive(Debug)]
pub(crate) struct Watching {
    verifier: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    shown: Mutex<Option<Shown>>,
}

pub(crate) fn client_config(trust: &Trust) -> anyhow::Result<(ClientConfig, Arc<Watching>)> {
    let provider = Arc::new(ring::default_provider());
    let watching = Arc::new(Watching {
        verifier: verifier(trust)?,
        provider: Arc::clone(&provider),
        shown: Mutex::default(),
    });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&watching) as _)
        .with_no_client_auth();
    Ok((config, watching))
}

/// Whether the chain would be believed by somebody else.
pub(crate) fn believes(trust: &Trust, shown: &Shown) -> bool {
    let Ok(Some(verifier)) = verifier(trust) else { return false };
    verify(&verifier, shown, UnixTime::now()).is_ok()
}

impl Watching {
    pub(crate) fn shown(&self) -> Option<Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn verifier(trust: &Trust) -> anyhow::Result<Option<Arc<WebPkiServerVerifier>>> {
    let mut roots = RootCertStore::empty();
    match trust {
        Trust::Anything => return Ok(None),
        Trust::Public => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Trust::System { ca_file } => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            }
            if let Some(path) = ca_file {
                add(&mut roots, path)?;
            }
        }
    }
    let provider = Arc::new(ring::default_provider());
    Ok(Some(WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?))
}

fn add(roots: &mut RootCertStore, path: &Path) -> anyhow::Result<()> {
    let text = std::fs::read(path)
        .with_context(|| format!("cannot read the file of --ca-file, {}", path.display()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates = found.ok().filter(|certificates| !certificates.is_empty());
    let Some(certificates) = certificates else {
        bail!(
            "{} of --ca-file holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)",
            path.display()
        );
    };
    for certificate in certificates {
        roots.add(certificate).with_context(|| format!("cannot use a certificate of {}", path.display()))?;
    }
    Ok(())
}

fn verify(verifier: &WebPkiServerVerifier, shown: &Shown, now: UnixTime) -> Result<(), rustls::Error> {
    let Some((own, others)) = shown.chain.split_first() else {
        return Err(CertificateError::BadEncoding.into());
    };
    verifier.verify_server_cert(own, others, &shown.name, &[], now).map(drop)
}

impl ServerCertVerifier for Watching {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(end_entity).chain(intermediates);
        let mut shown = Shown {
            chain: chain.map(|certificate| certificate.clone().into_owned()).collect(),
            name: server_name.to_owned(),
            ends_soon: false,
        };
        let outcome = match &self.verifier {
            None => Ok(()),
            Some(verifier) => {
                let later = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + SOON);
                shown.ends_soon = verify(verifier, &shown, later).is_err();
                verify(verifier, &shown, now)
            }
        };
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        outcome.map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
