//! How long the long tests run: as `make test` can afford it, or as `make soak` wants it.

/// The first number, or with `BULLA_SOAK=1` in the environment the second. `BULLA_SOAK=0.1` is a tenth of the second, but no less
/// than the first.
pub fn size(ci: usize, soak: usize) -> usize {
    let part: f64 = std::env::var("BULLA_SOAK").ok().and_then(|text| text.parse().ok()).unwrap_or(0.0);
    // Sizes are far from where a float would round them.
    ci.max((soak as f64 * part) as usize)
}

/// A seed for what a test does at random, printed so that a failure can be had again with `BULLA_SEED`.
pub fn seed(test: &str) -> u64 {
    let given = std::env::var("BULLA_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("{test}: BULLA_SEED={seed}");
    seed
}
