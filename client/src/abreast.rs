//! The same with each of many, several at a time.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::transport::ABREAST;

/// Does it with each, eight at a time, and gives what came of it, in their order.
///
/// # Errors
/// The first failure in their order; those under way come to their end, and no other begins.
pub fn abreast<T: Sync, R: Send, E: Send>(all: &[T], work: impl Fn(&T) -> Result<R, E> + Sync) -> Result<Vec<R>, E> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(one) = all.get(place) else { return Ok(done) };
            match work(one) {
                Ok(result) => done.push((place, result)),
                Err(failure) => {
                    next.store(all.len(), Ordering::Relaxed);
                    return Err((place, failure));
                }
            }
        }
    };
    let (mut done, mut failed) = (Vec::with_capacity(all.len()), Vec::new());
    thread::scope(|scope| {
        let workers: Vec<_> = (0..ABREAST.min(all.len())).map(|_| scope.spawn(worker)).collect();
        for worker in workers {
            match worker.join().unwrap_or_else(|panic| resume_unwind(panic)) {
                Ok(some) => done.extend(some),
                Err(failure) => failed.push(failure),
            }
        }
    });
    if let Some((_, failure)) = failed.into_iter().min_by_key(|(place, _)| *place) {
        return Err(failure);
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
        assert_eq!(abreast(&all, |n| Ok::<_, String>(n * 2)), Ok(all.iter().map(|n| n * 2).collect()));
        assert_eq!(abreast(&[], |n: &usize| Ok::<_, String>(*n)), Ok(Vec::new()));
        let begun = AtomicUsize::new(0);
        let failure = abreast(&all, |n| {
            begun.fetch_add(1, Ordering::Relaxed);
            if *n == 3 { Err("three".to_owned()) } else { Ok(*n) }
        });
        assert_eq!(failure, Err("three".to_owned()));
        assert!(begun.into_inner() >= 4);
    }
}
