//! The same with each of many, several at a time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use parking_lot::Mutex;

use crate::base::failure::Failure;
use crate::base::locale::t;

/// How many at a time.
const ABREAST: usize = 8;

/// Does it with each, and gives what came of it, in their order.
///
/// # Errors
/// The first failure; those under way come to their end, and no other begins.
pub fn abreast<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> Result<R, Failure> + Sync) -> Result<Vec<R>, Failure> {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
    let worker = || {
        let mut done = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(one) = all.get(place) else { return done };
            match work(one) {
                Ok(result) => done.push((place, result)),
                Err(failure) => {
                    next.store(all.len(), Ordering::Relaxed);
                    failed.lock().get_or_insert(failure);
                    return done;
                }
            }
        }
    };
    let mut done: Vec<(usize, R)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..ABREAST.min(all.len())).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    if let Some(failure) = failed.into_inner() {
        return Err(failure);
    }
    if done.len() < all.len() {
        return Err(Failure::new(t!("a thread failed")));
    }
    done.sort_unstable_by_key(|(place, _)| *place);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_them_in_order_or_the_first_failure() {
        let all: Vec<usize> = (0..100).collect();
        assert_eq!(abreast(&all, |n| Ok(n * 2)), Ok(all.iter().map(|n| n * 2).collect()));
        assert_eq!(abreast(&[], |n: &usize| Ok(*n)), Ok(Vec::new()));
        let begun = AtomicUsize::new(0);
        let failure = abreast(&all, |n| {
            begun.fetch_add(1, Ordering::Relaxed);
            if *n == 3 { Err(Failure::new("three")) } else { Ok(*n) }
        });
        assert_eq!(failure, Err(Failure::new("three")));
    }
}
