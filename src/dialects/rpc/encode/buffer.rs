//! A growing buffer that leaves no copies of its content behind.
//!
//! Owns: growth by hand, since a vector that grows frees its old memory unwiped. Called by: encode.

use std::io;

use zeroize::Zeroizing;

/// Enough for most answers without growing, in bytes.
const FIRST: usize = 1024;

/// Bytes on the way to a client; wiped if they do not get there.
pub(super) struct Buffer(Zeroizing<Vec<u8>>);

impl Default for Buffer {
    fn default() -> Self {
        Self(Zeroizing::new(Vec::with_capacity(FIRST)))
    }
}

impl Buffer {
    /// Appends bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let mut larger = Vec::with_capacity(needed.max(2 * self.0.capacity()));
            larger.extend_from_slice(&self.0);
            self.0 = Zeroizing::new(larger);
        }
        self.0.extend_from_slice(bytes);
    }

    /// The content; from here on the caller's to wipe.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        std::mem::take(&mut *self.0)
    }
}

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
