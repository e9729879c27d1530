//! What the other side said before it closed is read before a write counts as failed.
//!
//! A server that refuses a client's certificate says so when the client takes the connection for made (TLS 1.3), and closes it: the request
//! then finds it closed, and why waits to be read. Likewise one that answers a request and does not wait for all of it.

use std::io;

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// Stands between TCP and TLS.
#[derive(Debug)]
pub(crate) struct LastWords;

/// A connection.
#[derive(Debug)]
pub(crate) struct Listening<In> {
    inner: In,
    /// The write that found it closed.
    failed: Option<Error>,
}

impl<In: Transport> Connector<In> for LastWords {
    type Out = Listening<In>;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(|inner| Listening { inner, failed: None }))
    }
}

impl<In: Transport> Transport for Listening<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.failed.is_some() {
            return Ok(());
        }
        match self.inner.transmit_output(amount, timeout) {
            Err(Error::Io(e)) if matches!(e.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                self.failed = Some(Error::Io(e));
                Ok(())
            }
            other => other,
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let read = self.inner.await_input(timeout);
        match (self.failed.take(), read) {
            (Some(failed), Ok(true)) => {
                self.failed = Some(failed);
                Ok(true)
            }
            (Some(failed), _) => Err(failed),
            (None, read) => read,
        }
    }

    fn is_open(&mut self) -> bool {
        self.failed.is_none() && self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}
