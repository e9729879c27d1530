//! Room for connections: when there is none left, the connection that has been of no use for longest makes room for the next.
//!
//! Owns: how many there are and which of them goes. Must not know: sockets, requests. Called by: http (a connection comes),
//! connection (what it is doing), guard (whether it must go).
//!
//! Who keeps thousands of connections open so keeps nobody else out: a new client takes the place of one that waits, and a request
//! that is being worked on is never cut off.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use parking_lot::Mutex;

/// Connections looked at for one that may go: enough for one that is among the most useless.
const LOOK: usize = 1024;
/// How much longer one that has had an answer may be idle than one that never had, ms.
const CREDIT_MS: u64 = 30_000;
/// Of a connection that may not go.
const NEEDED: u64 = u64::MAX;

/// The connections of a server.
pub(super) struct Room {
    most: usize,
    began: Instant,
    seats: Mutex<Seats>,
    shed: AtomicU64,
}

#[derive(Default)]
struct Seats {
    all: Vec<Option<Arc<Seat>>>,
    free: Vec<usize>,
    /// Where the next look begins.
    hand: usize,
}

/// What is known of one connection.
struct Seat {
    /// Since when it has been of no use, ms since the room was made, plus its credit.
    useless_since: AtomicU64,
    must_leave: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

/// A connection's place; given back when dropped.
pub(super) struct Place {
    room: Arc<Room>,
    seat: Arc<Seat>,
    index: usize,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Place({})", self.index)
    }
}

impl Room {
    /// Room for so many.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, began: Instant::now(), seats: Mutex::default(), shed: AtomicU64::new(0) })
    }

    /// A place for one more. Where there is none, another is asked to leave.
    pub fn enter(self: &Arc<Self>) -> Place {
        let seat = Arc::new(Seat {
            useless_since: AtomicU64::new(self.now()),
            must_leave: AtomicBool::new(false),
            waker: Mutex::default(),
        });
        let mut seats = self.seats.lock();
        let index = seats.free.pop().unwrap_or_else(|| {
            seats.all.push(None);
            seats.all.len() - 1
        });
        let asked = if seats.all.len() - seats.free.len() > self.most { seats.most_useless() } else { None };
        seats.all[index] = Some(Arc::clone(&seat));
        drop(seats);
        if let Some(asked) = asked {
            self.shed.fetch_add(1, Ordering::Relaxed);
            asked.ask_to_leave();
        }
        Place { room: Arc::clone(self), seat, index }
    }

    /// How many there are.
    pub fn open(&self) -> usize {
        let seats = self.seats.lock();
        seats.all.len() - seats.free.len()
    }

    /// How many were asked to leave.
    pub fn shed(&self) -> u64 {
        self.shed.load(Ordering::Relaxed)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(NEEDED - CREDIT_MS - 1)
    }
}

impl Seats {
    /// Of those looked at, the one that has been of no use for longest; it is not found again.
    fn most_useless(&mut self) -> Option<Arc<Seat>> {
        let (begin, count) = (self.hand, self.all.len());
        self.hand = (begin + LOOK) % count.max(1);
        let looked_at = (0..count.min(LOOK)).filter_map(|n| self.all[(begin + n) % count].as_ref());
        let since = |seat: &Arc<Seat>| seat.useless_since.load(Ordering::Relaxed);
        let found = looked_at.min_by_key(|seat| since(seat)).filter(|seat| since(seat) != NEEDED)?;
        found.useless_since.store(NEEDED, Ordering::Relaxed);
        Some(Arc::clone(found))
    }
}

impl Seat {
    fn ask_to_leave(&self) {
        self.must_leave.store(true, Ordering::Release);
        if let Some(waker) = self.waker.lock().take() {
            waker.wake();
        }
    }
}

impl Place {
    /// A request is being worked on.
    pub fn needed(&self) {
        self.seat.useless_since.store(NEEDED, Ordering::Relaxed);
    }

    /// An answer was given.
    pub fn useful(&self) {
        if !self.seat.must_leave.load(Ordering::Relaxed) {
            self.seat.useless_since.store(self.room.now() + CREDIT_MS, Ordering::Relaxed);
        }
    }

    /// Whether this connection must leave; if not, its task is woken when it must.
    pub fn must_leave(&self, cx: &Context<'_>) -> bool {
        if !self.seat.must_leave.load(Ordering::Acquire) {
            let mut waker = self.seat.waker.lock();
            match &mut *waker {
                Some(known) => known.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
        }
        // Again, since it may have been asked before its waker was there.
        self.seat.must_leave.load(Ordering::Acquire)
    }

    /// Resolves when it must leave.
    pub async fn left(&self) {
        poll_fn(|cx| if self.must_leave(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut seats = self.room.seats.lock();
        seats.all[self.index] = None;
        seats.free.push(self.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(place: &Place) -> bool {
        place.must_leave(&Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_most_useless_one_makes_room() {
        let room = Room::new(3);
        let places = [room.enter(), room.enter(), room.enter()];
        places[0].needed();
        places[1].useful();
        let fourth = room.enter();
        assert_eq!([&places[0], &places[1], &places[2], &fourth].map(leaves), [false, false, true, false]);
        let fifth = room.enter();
        assert_eq!([&places[0], &places[1], &fourth, &fifth].map(leaves), [false, false, true, false], "in order of arrival");
        drop(places);
        drop(fourth);
        assert_eq!((room.open(), room.shed()), (1, 2));
        let more: Vec<_> = (0..2).map(|_| room.enter()).collect();
        assert!(!leaves(&fifth) && !more.iter().any(leaves), "places are given back");
    }

    #[test]
    fn who_is_at_work_stays() {
        let room = Room::new(2);
        let places = [room.enter(), room.enter()];
        places.iter().for_each(Place::needed);
        let third = room.enter();
        assert!(!places.iter().any(leaves) && !leaves(&third));
        assert_eq!(room.shed(), 0);
    }
}
