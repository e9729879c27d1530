//! Random numbers, from the operating system.

use std::fs::File;
use std::io::Read;
use std::sync::OnceLock;

/// Fills `out`.
///
/// # Panics
/// Without /dev/urandom there is nothing to go on with.
pub(crate) fn fill(out: &mut [u8]) {
    static SOURCE: OnceLock<File> = OnceLock::new();
    let mut source = SOURCE.get_or_init(|| File::open("/dev/urandom").expect("every Unix has /dev/urandom"));
    source.read_exact(out).expect("/dev/urandom does not end");
}

/// A number below `bound`, which is not 0. The bias of the remainder does not matter to tests.
pub(crate) fn below(bound: u64) -> u64 {
    let mut bytes = [0; 8];
    fill(&mut bytes);
    u64::from_ne_bytes(bytes) % bound
}

/// True with this probability.
pub(crate) fn chance(probability: f64) -> bool {
    const PARTS: u64 = 1 << 32;
    (below(PARTS) as f64) < probability * PARTS as f64
}
