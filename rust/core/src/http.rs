//! HTTP over mutual TLS: small requests to a service that wants to know who asks.
//!
//! The parts are those below the AWS SDK (hyper, rustls over aws-lc), so that there is one TLS stack in the library.
//! Redirects are not followed, and no proxy is used: a key service is asked directly or not at all.

mod refusal;

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::{Duration, Instant};

use emrkeys_crypto::key_store::KeyStore;
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{connect::HttpConnector, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{AlertDescription, ClientConfig, RootCertStore};
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use self::refusal::{is_about_certificates, tls_error, Connector, Refusals};
use crate::aws::error::causes;
use crate::error::excerpt;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// For one request, from the name's resolution to the last byte, so that one that hangs leaves time for another.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(6);
/// Shorter than what load balancers allow, so that no request goes out on a connection that is being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const IDLE_CONNECTIONS: usize = 4;

/// The most bytes of an answer that are read.
pub(crate) const MAX_ANSWER: usize = 64 * 1024;

/// The address of a service: `https:`, or `http:` on this machine; no user, query or fragment, no slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceUrl {
    text: String,
    host: String,
    tls: bool,
}

impl ServiceUrl {
    /// # Errors
    /// The fault of `text`, as a text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let uri: Uri = text
            .parse()
            .map_err(|_| format!("{} is not a URL", excerpt(text)))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(format!("{} is not a URL with a host", excerpt(text)));
        };
        // Never quoted: it may be a password.
        if authority.as_str().contains('@') {
            return Err("the URL holds a user's name or a password".to_owned());
        }
        let host = authority.host();
        let tls = match scheme {
            "https" => true,
            "http" if ["localhost", "127.0.0.1", "[::1]"].contains(&host) => false,
            "http" => return Err("keys would cross the network in the clear".to_owned()),
            other => return Err(format!("{} is neither https nor http", excerpt(other))),
        };
        if host.is_empty() || uri.query().is_some() || text.contains('#') {
            return Err(format!("{} has no host, or a query or fragment", excerpt(text)));
        }
        Ok(ServiceUrl {
            text: text.trim_end_matches('/').to_owned(),
            host: authority.as_str().to_owned(),
            tls,
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Host and port, for messages.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.tls
    }
}

/// The certificate that a client shows and the authorities that it trusts.
pub(crate) struct Tls(ClientConfig);

/// Why certificates cannot be used.
#[derive(Debug)]
pub(crate) enum TlsProblem {
    /// Of what the client shows.
    Identity(String),
    /// Of whom it trusts.
    Trust(String),
    /// The key and the certificates do not belong together.
    Mismatch,
}

impl Tls {
    /// `identity`: certificates and a key, if the client is to show itself; `trust`: certificates of authorities, or of
    /// the server itself; without them, the machine's own.
    pub(crate) fn new(identity: Option<&KeyStore>, trust: Option<&KeyStore>) -> Result<Self, TlsProblem> {
        Self::with_roots(roots(trust)?, identity)
    }

    fn with_roots(roots: RootCertStore, identity: Option<&KeyStore>) -> Result<Self, TlsProblem> {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsProblem::Trust(error.to_string()))?
            .with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(store) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(shown(store)?))),
        };
        Ok(Tls(config))
    }

    /// For a service without TLS: trusts nobody.
    pub(crate) fn none() -> Result<Self, TlsProblem> {
        Self::with_roots(RootCertStore::empty(), None)
    }
}

fn roots(trust: Option<&KeyStore>) -> Result<RootCertStore, TlsProblem> {
    let mut roots = RootCertStore::empty();
    let Some(trust) = trust else {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        return match roots.is_empty() {
            true => Err(TlsProblem::Trust(
                "this machine has no trusted certificates (SSL_CERT_FILE names others)".to_owned(),
            )),
            false => Ok(roots),
        };
    };
    for der in trust.certificates() {
        roots
            .add(CertificateDer::from(der.as_slice()))
            .map_err(|error| TlsProblem::Trust(format!("a certificate cannot be used: {error}")))?;
    }
    match roots.is_empty() {
        true => Err(TlsProblem::Trust("there is no certificate in it".to_owned())),
        false => Ok(roots),
    }
}

/// The key with its own certificate first, as TLS demands; key stores hold them in any order.
fn shown(store: &KeyStore) -> Result<CertifiedKey, TlsProblem> {
    let identity = |what: &str| TlsProblem::Identity(what.to_owned());
    let key = store
        .key()
        .ok_or_else(|| identity("there is no private key in it"))?;
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.expose_secret()));
    let key = aws_lc_rs::sign::any_supported_type(&der).map_err(|_| {
        identity("the private key is of a kind that TLS does not use here (RSA, ECDSA and Ed25519 are)")
    })?;
    let mut chain: Vec<CertificateDer<'static>> = store
        .certificates()
        .iter()
        .map(|der| CertificateDer::from(der.clone()))
        .collect();
    if chain.is_empty() {
        return Err(identity("there is no certificate in it"));
    }
    let mut own = None;
    for (at, certificate) in chain.iter().enumerate() {
        match CertifiedKey::new(vec![certificate.clone()], Arc::clone(&key)).keys_match() {
            Ok(()) => own = own.or(Some(at)),
            Err(rustls::Error::InconsistentKeys(_)) => {}
            Err(error) => return Err(identity(&format!("a certificate cannot be used: {error}"))),
        }
    }
    let own = own.ok_or(TlsProblem::Mismatch)?;
    chain[..=own].rotate_right(1);
    Ok(CertifiedKey::new(chain, key))
}

/// An answer, whatever its status.
pub(crate) struct Answered {
    pub(crate) status: u16,
    /// At most [`MAX_ANSWER`] bytes.
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// Why there is no answer. The texts hold nothing of what was sent or received.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The server's certificate does not verify.
    Untrusted(String),
    /// The server does not accept the client's certificate, or misses it.
    NotAccepted(String),
    /// The answer is larger than any that is expected.
    TooLarge,
    /// No connection, no answer in time, or one that broke off.
    Lost(String),
}

/// Sends requests. Connections are kept for a while, for a TLS handshake costs more than all the rest.
#[derive(Clone)]
pub(crate) struct HttpClient {
    client: Client<Connector<HttpsConnector<HttpConnector>>, Full<Bytes>>,
    refusals: Refusals,
}

impl HttpClient {
    pub(crate) fn new(tls: Tls) -> Self {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls.0)
            // Which of the two is decided by `ServiceUrl`.
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let refusals = Refusals::default();
        let connector = Connector {
            inner: connector,
            refusals: refusals.clone(),
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build(connector);
        HttpClient { client, refusals }
    }

    /// Sends one request and reads its whole answer. `text` is the body, if there is one.
    ///
    /// The answer passes through buffers of hyper and rustls, which cannot be wiped from here; the copy that is
    /// returned wipes itself.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: &str,
        text: Option<&[u8]>,
    ) -> Result<Answered, Fault> {
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .header("accept", "application/json")
            .header("user-agent", concat!("emrkeys/", env!("CARGO_PKG_VERSION")));
        if text.is_some() {
            request = request.header("content-type", "text/plain");
        }
        let body = Full::new(text.map(Bytes::copy_from_slice).unwrap_or_default());
        let request = request
            .body(body)
            .map_err(|error| Fault::Lost(error.to_string()))?;
        let start = Instant::now();
        let result = tokio::time::timeout(REQUEST_TIMEOUT, self.exchange(request))
            .await
            .unwrap_or_else(|_| {
                Err(Fault::Lost(format!(
                    "no answer within {} seconds",
                    REQUEST_TIMEOUT.as_secs()
                )))
            });
        match (result, self.refusals.since(start)) {
            (Err(Fault::Lost(_)), Some(alert)) => Err(not_accepted(alert)),
            (result, _) => result,
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answered, Fault> {
        let answer = self
            .client
            .request(request)
            .await
            .map_err(|error| fault(&error))?;
        let status = answer.status().as_u16();
        let mut incoming = answer.into_body();
        let announced = incoming.size_hint().lower();
        if announced > MAX_ANSWER as u64 {
            return Err(Fault::TooLarge);
        }
        // As large as it may get at once: a reallocation would leave part of a key behind.
        let mut body = Zeroizing::new(Vec::with_capacity(MAX_ANSWER));
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|error| fault(&error))?;
            let Some(data) = frame.data_ref() else {
                continue;
            };
            if data.len() > MAX_ANSWER - body.len() {
                return Err(Fault::TooLarge);
            }
            body.extend_from_slice(data);
        }
        Ok(Answered { status, body })
    }
}

fn not_accepted(alert: AlertDescription) -> Fault {
    Fault::NotAccepted(format!("TLS alert {alert:?}"))
}

fn fault(error: &(dyn StdError + 'static)) -> Fault {
    match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(why)) => Fault::Untrusted(why.to_string()),
        Some(rustls::Error::AlertReceived(alert)) if is_about_certificates(*alert) => not_accepted(*alert),
        _ => Fault::Lost(causes(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_https_or_of_this_machine() {
        for (text, host) in [
            ("https://dks.example.org", "dks.example.org"),
            ("https://dks.example.org:8443/v1//", "dks.example.org:8443"),
            ("http://localhost:8080/", "localhost:8080"),
            ("http://127.0.0.1:1", "127.0.0.1:1"),
            ("http://[::1]:8080", "[::1]:8080"),
        ] {
            let url = ServiceUrl::parse(text).unwrap();
            assert_eq!(url.host(), host);
            assert!(!url.as_str().ends_with('/'));
            assert_eq!(url.is_tls(), text.starts_with("https"));
        }
        for text in [
            "",
            "dks.example.org",
            "/datakey",
            "https://",
            "https:///x",
            "ftp://dks",
            "http://dks.example.org",
            "http://127.0.0.1.example.org",
            "http://localhost.example.org",
            "https://dks?x=1",
            "https://dks/#x",
            "https://d k s",
        ] {
            assert!(ServiceUrl::parse(text).is_err(), "{text}");
        }
        let error = ServiceUrl::parse("https://user:CANARY@dks").unwrap_err();
        assert!(!error.contains("CANARY"), "{error}");
    }
}
