//! Threads for requests' work: many, since work waits; few that run at a time.
//!
//! Owns: the queue of work, how many threads there are, and how many of them run. Must not know: what the work is. Called by: http, which
//! hands work over; audit, store and token, which say that they wait.
//!
//! A read computes for some tens of microseconds, and waking a thread for it costs nearly as much. So a thread that is done takes the next
//! work itself, and another is woken only while fewer run than may. A thread that waits where that is to be expected ([`waiting`]) does not
//! count as running, nor does one that has been at its work for [`LONG`]: it waits where nobody said so, as in a token that hangs, or
//! computes for so long that others need not wait for it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

/// A thread that has run for so long keeps no other from running.
const LONG: Duration = Duration::from_millis(5);
/// How often threads are looked at while work waits.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// How long a thread without work is kept.
const KEEP: Duration = Duration::from_secs(10);

type Work = Box<dyn FnOnce() + Send>;

/// The threads. Dropping them drops the work that waits, and waits for none that is under way.
pub struct Threads(Arc<Shared>);

struct Shared {
    /// How many there may be.
    most: usize,
    /// How many may run at a time.
    at_once: usize,
    began: Instant,
    state: Mutex<State>,
    /// For the one that looks for threads that run for long: work waits, or all is over.
    news: Condvar,
}

#[derive(Default)]
struct State {
    work: VecDeque<Work>,
    all: Vec<Arc<Worker>>,
    /// Those without work. The last to come is the first to be called, since the processor's caches know it best.
    idle: Vec<Arc<Worker>>,
    running: usize,
    /// Threads are being looked at.
    watched: bool,
    closed: bool,
}

/// One of the threads. Its flags change under the lock of the state only.
#[derive(Default)]
struct Worker {
    /// Whether it is among the idle, and was not called.
    idle: AtomicBool,
    /// Whether it counts as running.
    running: AtomicBool,
    /// Since when it runs, µs behind `began`.
    since: AtomicU64,
    called: Condvar,
}

thread_local! {
    static THIS: RefCell<Option<(Arc<Shared>, Arc<Worker>)>> = const { RefCell::new(None) };
}

impl Threads {
    /// Up to `most` threads, each made when it is first needed, of which `at_once` run at a time.
    ///
    /// # Errors
    /// Of the system, which makes no thread.
    pub fn start(most: usize, at_once: usize) -> io::Result<Self> {
        let (state, news) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { most, at_once, began: Instant::now(), state, news });
        let threads = Self(Arc::clone(&shared));
        thread::Builder::new().name("bulla-work-look".into()).spawn(move || shared.look())?;
        Ok(threads)
    }

    /// Has work done, as soon as there is a thread for it. A panic in it ends only that work.
    pub fn put(&self, work: impl FnOnce() + Send + 'static) {
        let mut state = self.0.state.lock();
        state.work.push_back(Box::new(work));
        if !self.0.call(&mut state) {
            self.0.watch(&mut state);
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.closed = true;
        let work = std::mem::take(&mut state.work);
        state.idle.iter().for_each(|worker| _ = worker.called.notify_one());
        self.0.news.notify_one();
        drop(state);
        drop(work);
    }
}

/// Does what may wait for others: the disk, another machine, a turn. On one of the [`Threads`] another may run meanwhile.
pub fn waiting<T>(wait: impl FnOnce() -> T) -> T {
    let this = THIS.with_borrow(Clone::clone);
    let _pause = this.as_ref().map(|(shared, worker)| Pause::begin(shared, worker));
    wait()
}

impl Shared {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn begin(&self, state: &mut State, worker: &Worker) {
        worker.since.store(self.now(), Ordering::Relaxed);
        state.running += usize::from(!worker.running.swap(true, Ordering::Relaxed));
    }

    fn end(state: &mut State, worker: &Worker) -> bool {
        let ran = worker.running.swap(false, Ordering::Relaxed);
        state.running -= usize::from(ran);
        ran
    }

    /// Has one more thread run if work waits for it and one more may; whether there is one.
    fn call(self: &Arc<Self>, state: &mut State) -> bool {
        if state.work.is_empty() || state.running >= self.at_once {
            return false;
        }
        if let Some(worker) = state.idle.pop() {
            worker.idle.store(false, Ordering::Relaxed);
            self.begin(state, &worker);
            worker.called.notify_one();
            return true;
        }
        if state.all.len() >= self.most {
            return false;
        }
        let worker = Arc::new(Worker::default());
        let (shared, own) = (Arc::clone(self), Arc::clone(&worker));
        match thread::Builder::new().name("bulla-work".into()).spawn(move || shared.work(&own)) {
            Ok(_) => {
                self.begin(state, &worker);
                state.all.push(worker);
                true
            }
            Err(error) => {
                log::error!("there is no further thread for requests: {error}");
                false
            }
        }
    }

    /// Has threads looked at that run for long, if work waits for them.
    fn watch(&self, state: &mut State) {
        if !state.work.is_empty() && !state.watched {
            state.watched = true;
            self.news.notify_one();
        }
    }

    /// What each thread does.
    fn work(self: Arc<Self>, own: &Arc<Worker>) {
        THIS.set(Some((Arc::clone(&self), Arc::clone(own))));
        let mut state = self.state.lock();
        loop {
            // It counts as running here.
            let next = if state.running <= self.at_once { state.work.pop_front() } else { None };
            if let Some(work) = next {
                MutexGuard::unlocked(&mut state, || drop(catch_unwind(AssertUnwindSafe(work))));
                self.begin(&mut state, own);
                continue;
            }
            Self::end(&mut state, own);
            self.watch(&mut state);
            own.idle.store(true, Ordering::Relaxed);
            state.idle.push(Arc::clone(own));
            let kept_until = Instant::now() + KEEP;
            while own.is_idle() {
                let over = state.closed || own.called.wait_until(&mut state, kept_until).timed_out();
                if over && own.is_idle() {
                    state.idle.retain(|worker| !Arc::ptr_eq(worker, own));
                    state.all.retain(|worker| !Arc::ptr_eq(worker, own));
                    return;
                }
            }
            // It may have been called so long ago that it does not count any more.
            self.begin(&mut state, own);
        }
    }

    /// Looks, while work waits, for threads that run for long, and has others run in their place.
    fn look(self: Arc<Self>) {
        let mut state = self.state.lock();
        while !state.closed {
            if state.work.is_empty() {
                state.watched = false;
                self.news.wait(&mut state);
                continue;
            }
            self.news.wait_for(&mut state, LOOK_EVERY);
            let long = self.now().saturating_sub(u64::try_from(LONG.as_micros()).unwrap_or(u64::MAX));
            let ran = state.all.iter().filter(|worker| worker.runs() && worker.since.load(Ordering::Relaxed) < long);
            for worker in ran.map(Arc::clone).collect::<Vec<_>>() {
                Self::end(&mut state, &worker);
            }
            while self.call(&mut state) {}
        }
    }
}

impl Worker {
    fn runs(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    fn is_idle(&self) -> bool {
        self.idle.load(Ordering::Relaxed)
    }
}

/// A thread waits for others; over when dropped.
struct Pause<'a> {
    shared: &'a Shared,
    worker: &'a Worker,
    /// Whether it ran before: of pauses within one another the outermost counts.
    ran: bool,
}

impl<'a> Pause<'a> {
    fn begin(shared: &'a Arc<Shared>, worker: &'a Worker) -> Self {
        let mut state = shared.state.lock();
        let ran = Shared::end(&mut state, worker);
        shared.call(&mut state);
        Self { shared, worker, ran }
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        if self.ran {
            self.shared.begin(&mut self.shared.state.lock(), self.worker);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn no_more_run_at_once_than_may_and_all_work_is_done() {
        let threads = Threads::start(8, 2).expect("threads");
        let (done, all) = mpsc::channel();
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        for _ in 0..2_000 {
            let (done, now, most) = (done.clone(), Arc::clone(&now), Arc::clone(&most));
            threads.put(move || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                now.fetch_sub(1, Ordering::SeqCst);
                done.send(()).expect("awaited");
            });
        }
        (0..2_000).for_each(|_| all.recv_timeout(PATIENCE).expect("done"));
        // Some may have been taken to run for long, on a machine that let them.
        assert!(most.load(Ordering::SeqCst) <= 8);
    }

    #[test]
    fn those_that_wait_let_others_run() {
        let threads = Threads::start(8, 1).expect("threads");
        let meet = Arc::new(Barrier::new(8));
        let (done, all) = mpsc::channel();
        for _ in 0..8 {
            let (done, meet) = (done.clone(), Arc::clone(&meet));
            threads.put(move || {
                waiting(|| waiting(|| meet.wait()));
                done.send(()).expect("awaited");
            });
        }
        (0..8).for_each(|_| all.recv_timeout(PATIENCE).expect("all of them meet"));
    }

    #[test]
    fn those_that_hang_let_others_run_up_to_the_last_thread() {
        let threads = Threads::start(4, 1).expect("threads");
        let (release, hang) = mpsc::channel::<()>();
        let hang = Arc::new(Mutex::new(hang));
        for _ in 0..3 {
            let hang = Arc::clone(&hang);
            threads.put(move || _ = hang.lock().recv());
        }
        let (done, all) = mpsc::channel();
        for _ in 0..100 {
            let done = done.clone();
            threads.put(move || done.send(()).expect("awaited"));
        }
        (0..100).for_each(|_| all.recv_timeout(PATIENCE).expect("done beside those that hang"));
        drop(release);
    }

    /// As on a machine that lets no thread run for a while.
    #[test]
    fn one_that_is_called_and_taken_to_run_for_long_before_it_runs_is_not_lost() {
        let threads = Threads::start(1, 1).expect("threads");
        let (done, all) = mpsc::channel();
        for round in 0..3 {
            let done = done.clone();
            let mut state = threads.0.state.lock();
            state.work.push_back(Box::new(move || done.send(round).expect("awaited")));
            threads.0.call(&mut state);
            let called = Arc::clone(&state.all[0]);
            Shared::end(&mut state, &called);
            drop(state);
            assert_eq!(all.recv_timeout(KEEP / 2), Ok(round));
            let until = Instant::now() + PATIENCE;
            while threads.0.state.lock().idle.is_empty() && Instant::now() < until {
                thread::yield_now();
            }
        }
    }

    #[test]
    fn a_panic_ends_its_own_work_only() {
        let threads = Threads::start(1, 1).expect("threads");
        threads.put(|| panic!("meant"));
        let (done, all) = mpsc::channel();
        threads.put(move || done.send(()).expect("awaited"));
        all.recv_timeout(PATIENCE).expect("done");
    }
}
