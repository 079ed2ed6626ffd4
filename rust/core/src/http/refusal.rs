//! Reads the alert of a server that refuses a client's certificate, also if writing to the server fails first.
//!
//! Under TLS 1.3 the handshake is over for the client before the server has seen the certificate (RFC 8446, 2): the
//! alert arrives while the client already writes its request, and the server closes the connection. If the write fails
//! before the alert is read, hyper reports a lost connection, which is retried, although the server has refused.

use std::error::Error as StdError;
use std::future::Future;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{ready, Context, Poll};
use std::time::Instant;

use http::Uri;
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use rustls::AlertDescription;
use tower_service::Service;

/// The last refusal that any connection of one client met. All connections show the same certificate to the same
/// server, so a refusal explains the failure of every request that was under way.
#[derive(Clone, Default)]
pub(super) struct Refusals(Arc<Mutex<Option<(Instant, AlertDescription)>>>);

impl Refusals {
    /// The refusal that arrived after `start`.
    pub(super) fn since(&self, start: Instant) -> Option<AlertDescription> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.filter(|(at, _)| *at >= start).map(|(_, alert)| alert)
    }

    fn note(&self, error: &io::Error) {
        if let Some(rustls::Error::AlertReceived(alert)) = tls_error(error) {
            if is_about_certificates(*alert) {
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), *alert));
            }
        }
    }
}

/// Connects as `inner` does, and notes refusals.
#[derive(Clone)]
pub(super) struct Connector<C> {
    pub(super) inner: C,
    pub(super) refusals: Refusals,
}

impl<C> Service<Uri> for Connector<C>
where
    C: Service<Uri>,
    C::Future: Send + 'static,
{
    type Response = Stream<C::Response>;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connected = self.inner.call(uri);
        let refusals = self.refusals.clone();
        Box::pin(async move {
            Ok(Stream {
                inner: connected.await?,
                refusals,
                failed: None,
            })
        })
    }
}

/// A connection whose failed write ends in the server's alert, if the server has sent one.
pub(super) struct Stream<S> {
    inner: S,
    refusals: Refusals,
    /// The error of a write, while the alert is being looked for. From then on nothing is written.
    failed: Option<io::Error>,
}

impl<S: Read + Unpin> Stream<S> {
    /// Reads up to the end of the connection, which a failed write proves to be near: an alert that waits there is the
    /// error, else the write's own. The bytes before it belong to an answer that nobody can use.
    fn alert_or<T>(&mut self, context: &mut Context<'_>, error: io::Error) -> Poll<io::Result<T>> {
        loop {
            let mut scratch = [MaybeUninit::uninit(); 512];
            let mut buffer = ReadBuf::uninit(&mut scratch);
            match Pin::new(&mut self.inner).poll_read(context, buffer.unfilled()) {
                Poll::Pending => {
                    self.failed = Some(error);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(Ok(())) => return Poll::Ready(Err(error)),
                Poll::Ready(Err(found)) => {
                    self.refusals.note(&found);
                    let is_tls = tls_error(&found).is_some();
                    return Poll::Ready(Err(if is_tls { found } else { error }));
                }
            }
        }
    }

    fn write_with<T>(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let result = match self.failed.take() {
            Some(error) => Err(error),
            None => ready!(write(Pin::new(&mut self.inner), context)),
        };
        match result {
            Ok(done) => Poll::Ready(Ok(done)),
            Err(error) => self.alert_or(context, error),
        }
    }
}

impl<S: Read + Unpin> Read for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(&mut self.inner).poll_read(context, buffer));
        Poll::Ready(result.inspect_err(|error| self.refusals.note(error)))
    }
}

impl<S: Read + Write + Unpin> Write for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write_with(context, |inner, context| inner.poll_write(context, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write_with(context, |inner, context| inner.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write_with(context, |inner, context| {
            inner.poll_write_vectored(context, buffers)
        })
    }
}

impl<S: Connection> Connection for Stream<S> {
    fn connected(&self) -> Connected {
        self.inner.connected()
    }
}

/// The error of rustls behind another one. An I/O error hides the one that it was made of from `source`.
pub(super) fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// The alerts with which servers answer a client's certificate (RFC 8446, 6.2).
pub(super) fn is_about_certificates(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::HandshakeFailure
            | AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError
            | AlertDescription::CertificateRequired
    )
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::Waker;

    use super::*;

    /// A connection whose writes fail, and whose reads give these results in turn; then the end.
    struct Broken(VecDeque<Poll<io::Result<&'static [u8]>>>);

    impl Read for Broken {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            mut buffer: ReadBufCursor<'_>,
        ) -> Poll<io::Result<()>> {
            let bytes = ready!(self.0.pop_front().unwrap_or(Poll::Ready(Ok(b""))))?;
            buffer.put_slice(bytes);
            Poll::Ready(Ok(()))
        }
    }

    impl Write for Broken {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn alert(description: AlertDescription) -> Poll<io::Result<&'static [u8]>> {
        Poll::Ready(Err(io::Error::other(rustls::Error::AlertReceived(description))))
    }

    /// Polls a write until it ends; the error and the refusal that was noted.
    fn write<const N: usize>(
        reads: [Poll<io::Result<&'static [u8]>>; N],
    ) -> (io::Error, Option<AlertDescription>) {
        let start = Instant::now();
        let refusals = Refusals::default();
        let mut stream = Stream {
            inner: Broken(reads.into()),
            refusals: refusals.clone(),
            failed: None,
        };
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..=N {
            if let Poll::Ready(result) = Pin::new(&mut stream).poll_write(&mut context, b"GET / HTTP/1.1") {
                return (result.unwrap_err(), refusals.since(start));
            }
        }
        panic!("the write does not end");
    }

    #[test]
    fn a_write_that_fails_ends_in_the_alert_that_waits_to_be_read() {
        let required = AlertDescription::CertificateRequired;
        let (error, refusal) = write([Poll::Pending, Poll::Ready(Ok(b"HTTP/1.1 400")), alert(required)]);
        assert!(matches!(tls_error(&error), Some(rustls::Error::AlertReceived(found)) if *found == required));
        assert_eq!(refusal, Some(required));
    }

    #[test]
    fn a_write_that_fails_without_an_alert_keeps_its_own_error() {
        for end in [Ok(&b""[..]), Err(io::ErrorKind::ConnectionReset.into())] {
            let (error, refusal) = write([Poll::Ready(end)]);
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
            assert_eq!(refusal, None);
        }
    }

    #[test]
    fn an_alert_that_is_not_about_certificates_is_no_refusal() {
        let (error, refusal) = write([alert(AlertDescription::InternalError)]);
        assert!(tls_error(&error).is_some());
        assert_eq!(refusal, None);
    }

    #[test]
    fn a_refusal_explains_only_requests_that_were_under_way() {
        let refusals = Refusals::default();
        let Poll::Ready(Err(error)) = alert(AlertDescription::BadCertificate) else {
            panic!("an error");
        };
        let before = Instant::now();
        refusals.note(&error);
        assert_eq!(refusals.since(before), Some(AlertDescription::BadCertificate));
        let after = Instant::now() + std::time::Duration::from_millis(1);
        assert_eq!(refusals.since(after), None);
    }
}
