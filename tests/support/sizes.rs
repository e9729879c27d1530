//! How long the long tests run: as `make test` can afford it, or as `make soak` wants it.

/// The first number, or with `BULLA_SOAK=1` in the environment the second.
pub fn size(ci: usize, soak: usize) -> usize {
    if std::env::var_os("BULLA_SOAK").is_some_and(|set| set == "1") { soak } else { ci }
}

/// A seed for what a test does at random, printed so that a failure can be had again with `BULLA_SEED`.
pub fn seed(test: &str) -> u64 {
    let given = std::env::var("BULLA_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("{test}: BULLA_SEED={seed}");
    seed
}
