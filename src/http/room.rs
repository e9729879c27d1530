//! Room for connections: when there is none left, the connection that is of least use makes room for the next.
//!
//! Owns: how many there are and which of them goes. Must not know: sockets, requests. Called by: http (a connection comes),
//! connection (what it is doing), deadlines and handler (whether it must go).
//!
//! Who keeps thousands of connections open so keeps nobody else out: a new client takes the place of one that waits, and a request
//! that is being worked on is never cut off. What counts for a connection is what costs a stranger something: that a caller who has
//! proved who it is was answered on it. Heads, halves of bodies and answers to anybody count for nothing. The first of these goes:
//!
//! 1. one whose chance is over: it had an answer, or a second, and no proof; or its last proof is long ago;
//! 2. one that has just come, and may be about to ask;
//! 3. one on which a caller was proved of late;
//!
//! among equals one of the address that holds the most, and of these the one that has been of no use for longest.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::future::poll_fn;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use parking_lot::Mutex;

use crate::base::host;

/// Connections looked at for one that may go: enough for one that is among the most useless.
const LOOK: usize = 4096;
/// How long a new connection may take to ask, before it is one like those that never ask, ms.
const CHANCE_MS: u64 = 1000;
/// For how long the proof of a caller speaks for its connection, ms.
const CREDIT_MS: u64 = 30_000;

/// The connections of a listener.
pub(super) struct Room {
    most: usize,
    began: Instant,
    seats: Mutex<Seats>,
    /// Those that were not asked to leave.
    staying: AtomicUsize,
    shed: AtomicU64,
}

#[derive(Default)]
struct Seats {
    all: Vec<Option<Arc<Seat>>>,
    free: Vec<usize>,
    /// How many that stay each address has.
    held: HashMap<IpAddr, usize>,
    /// Where the next look begins.
    hand: usize,
}

/// What is known of one connection.
struct Seat {
    peer: IpAddr,
    /// ms since the room was made.
    came: u64,
    /// Until when a proof speaks for it, in the same; [`UNANSWERED`] or [`ANSWERED`] where there was none.
    credit: AtomicU64,
    needed: AtomicBool,
    must_leave: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

const UNANSWERED: u64 = 0;
const ANSWERED: u64 = 1;

/// Of how little use a connection is, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    Past,
    New,
    Known,
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
        Arc::new(Self {
            most,
            began: Instant::now(),
            seats: Mutex::default(),
            staying: AtomicUsize::new(0),
            shed: AtomicU64::new(0),
        })
    }

    /// A place for one more. Where there is none, another is asked to leave.
    pub fn enter(self: &Arc<Self>, peer: Option<IpAddr>) -> Place {
        self.enter_at(peer, self.now())
    }

    fn enter_at(self: &Arc<Self>, peer: Option<IpAddr>, now: u64) -> Place {
        let seat = Arc::new(Seat {
            peer: whose(peer),
            came: now,
            credit: AtomicU64::new(UNANSWERED),
            needed: AtomicBool::new(false),
            must_leave: AtomicBool::new(false),
            waker: Mutex::default(),
        });
        let mut seats = self.seats.lock();
        self.staying.fetch_add(1, Ordering::SeqCst);
        let asked = self.shed_from(&mut seats, now);
        *seats.held.entry(seat.peer).or_default() += 1;
        let index = seats.free.pop().unwrap_or_else(|| {
            seats.all.push(None);
            seats.all.len() - 1
        });
        seats.all[index] = Some(Arc::clone(&seat));
        drop(seats);
        asked.iter().for_each(|asked| asked.wake());
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

    /// Asks as many to leave as are too many, and may.
    fn shed_from(&self, seats: &mut Seats, now: u64) -> Vec<Arc<Seat>> {
        let mut asked = Vec::new();
        while self.staying.load(Ordering::SeqCst) > self.most
            && let Some(seat) = seats.most_useless(now)
        {
            seat.must_leave.store(true, Ordering::Release);
            seats.one_less(seat.peer);
            self.staying.fetch_sub(1, Ordering::SeqCst);
            self.shed.fetch_add(1, Ordering::Relaxed);
            asked.push(seat);
        }
        asked
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - CREDIT_MS)
    }
}

/// Whose connection it is.
fn whose(peer: Option<IpAddr>) -> IpAddr {
    peer.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), host::of_address)
}

impl Seats {
    /// Of those looked at that may go, the most useless.
    fn most_useless(&mut self, now: u64) -> Option<Arc<Seat>> {
        let (begin, count) = (self.hand, self.all.len());
        self.hand = (begin + LOOK) % count.max(1);
        let looked_at = (0..count.min(LOOK)).filter_map(|n| self.all[(begin + n) % count].as_ref());
        let may_go = looked_at.filter(|seat| !seat.needed.load(Ordering::SeqCst) && !seat.must_leave.load(Ordering::Relaxed));
        may_go.min_by_key(|seat| seat.value(now, &self.held)).map(Arc::clone)
    }

    fn one_less(&mut self, peer: IpAddr) {
        if let Some(held) = self.held.get_mut(&peer) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&peer);
            }
        }
    }
}

impl Seat {
    /// Of the least value goes first.
    fn value(&self, now: u64, held: &HashMap<IpAddr, usize>) -> (Use, Reverse<usize>, u64) {
        let credit = self.credit.load(Ordering::Relaxed);
        let usefulness = match credit {
            UNANSWERED if now.saturating_sub(self.came) < CHANCE_MS => Use::New,
            _ if credit > now => Use::Known,
            _ => Use::Past,
        };
        (usefulness, Reverse(held.get(&self.peer).copied().unwrap_or(0)), credit.max(self.came))
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.lock().take() {
            waker.wake();
        }
    }
}

impl Place {
    /// A whole request is there and is being worked on.
    pub fn needed(&self) {
        self.seat.needed.store(true, Ordering::SeqCst);
    }

    /// An answer was given; whether to a caller who has proved who it is.
    pub fn answered(&self, known: bool) {
        self.answered_at(known, self.room.now());
    }

    fn answered_at(&self, known: bool, now: u64) {
        self.seat.credit.fetch_max(if known { now + CREDIT_MS } else { ANSWERED }, Ordering::Relaxed);
        self.seat.needed.store(false, Ordering::SeqCst);
        // Whoever came while nobody could go had to be let in beyond the limit.
        if self.room.staying.load(Ordering::SeqCst) > self.room.most {
            let asked = self.room.shed_from(&mut self.room.seats.lock(), now);
            asked.iter().for_each(|asked| asked.wake());
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
        if !self.seat.must_leave.load(Ordering::Relaxed) {
            seats.one_less(self.seat.peer);
            self.room.staying.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(place: &Place) -> bool {
        place.must_leave(&Context::from_waker(Waker::noop()))
    }

    fn from(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn who_has_proved_nothing_makes_room() {
        let room = Room::new(4);
        let places: [Place; 4] = std::array::from_fn(|n| room.enter_at(from(1), n as u64));
        places[0].needed();
        places[1].answered_at(true, 10);
        places[2].answered_at(false, 20);
        let new = room.enter_at(from(1), 30);
        assert_eq!([0, 1, 2, 3].map(|n| leaves(&places[n])), [false, false, true, false], "an answer to anybody is no merit");
        let newer = room.enter_at(from(1), 40);
        assert!(leaves(&places[3]) && !leaves(&new), "in order of arrival");
        drop(newer);
        let later = room.enter_at(from(1), 2 * CREDIT_MS);
        assert!(!leaves(&places[1]) && !leaves(&new), "its place was given back");
        let last = room.enter_at(from(1), 2 * CREDIT_MS);
        assert!(leaves(&new) && !leaves(&places[1]) && !leaves(&later) && !leaves(&last));
        drop((places, later, last));
        assert_eq!((room.open(), room.shed()), (1, 3));
    }

    #[test]
    fn among_equals_the_address_with_the_most_makes_room() {
        let room = Room::new(3);
        let few = room.enter_at(from(1), 0);
        let many = [room.enter_at(from(2), 5), room.enter_at(from(2), 6)];
        let new = room.enter_at(from(3), 5000);
        assert!(!leaves(&few) && leaves(&many[0]) && !leaves(&many[1]) && !leaves(&new));
        let network = |text: &str| whose(text.parse().ok());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:2"), "a host has a whole network of addresses");
        assert_ne!(network("::ffff:192.0.2.1"), network("::ffff:192.0.2.2"));
    }

    #[test]
    fn who_is_at_work_stays_and_what_came_meanwhile_goes_as_soon_as_it_may() {
        let room = Room::new(2);
        let places = [room.enter_at(from(1), 0), room.enter_at(from(1), 0)];
        places.iter().for_each(Place::needed);
        let beyond = [room.enter_at(from(1), 1), room.enter_at(from(1), 2)];
        assert!(!places.iter().any(leaves));
        assert_eq!(beyond.each_ref().map(leaves), [true, false], "one at a time beyond the limit");
        places[0].answered_at(true, 3);
        assert!(leaves(&beyond[1]) && !leaves(&places[0]));
    }

    /// What the rules say of a connection.
    struct Model {
        place: Place,
        peer: u8,
        came: u64,
        answered: bool,
        proof_until: Option<u64>,
        needed: bool,
        asked: bool,
    }

    impl Model {
        fn class(&self, now: u64) -> u8 {
            match self.proof_until {
                Some(until) if until > now => 3,
                None if !self.answered && now - self.came < CHANCE_MS => 2,
                _ => 1,
            }
        }
    }

    #[test]
    fn whatever_comes_the_right_one_goes() {
        for seed in 1..200_u64 {
            let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let mut random = |below: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % below
            };
            let most = 1 + random(8) as usize;
            let (room, mut now, mut all) = (Room::new(most), 0, Vec::<Model>::new());
            for _ in 0..200 {
                now += [0, 1, 300, 1500, 12_000][random(5) as usize];
                let chosen = random(all.len().max(1) as u64) as usize;
                let classes: Vec<u8> = all.iter().map(|model| model.class(now)).collect();
                let held = |all: &[Model], peer| all.iter().filter(|other| !other.asked && other.peer == peer).count();
                let seats: Vec<usize> = all.iter().map(|model| held(&all, model.peer)).collect();
                let mut entered = false;
                match (random(6), all.get_mut(chosen)) {
                    (0, Some(model)) => {
                        model.place.needed();
                        model.needed = true;
                    }
                    (1, Some(_)) => drop(all.remove(chosen)),
                    (n @ 2..=3, Some(model)) if model.needed => {
                        let known = n == 2;
                        model.place.answered_at(known, now);
                        (model.needed, model.answered) = (false, true);
                        model.proof_until = if known { Some(now + CREDIT_MS) } else { model.proof_until };
                    }
                    (5, _) => {
                        let peer = random(3) as u8;
                        let place = room.enter_at(from(peer), now);
                        all.push(Model {
                            place,
                            peer,
                            came: now,
                            answered: false,
                            proof_until: None,
                            needed: false,
                            asked: false,
                        });
                        entered = true;
                    }
                    _ => {}
                }
                let victims: Vec<usize> = (0..all.len()).filter(|n| !all[*n].asked && leaves(&all[*n].place)).collect();
                for &victim in &victims {
                    assert!(!all[victim].needed, "it is at work");
                    all[victim].asked = true;
                }
                let newest = all.len() - usize::from(entered);
                if entered && let [victim] = victims[..] {
                    for other in (0..newest).filter(|n| !all[*n].asked && !all[*n].needed) {
                        let order = |n: usize| (classes[n], Reverse(seats[n]));
                        assert!(order(victim) <= order(other), "{:?} went before {:?}", order(victim), order(other));
                    }
                }
                let staying = all.iter().filter(|model| !model.asked);
                let (needed, idle) = staying.fold((0, 0), |(n, i), m| if m.needed { (n + 1, i) } else { (n, i + 1) });
                assert!(idle <= most.saturating_sub(needed).max(1), "{idle} wait beside {needed} at work, of {most}");
            }
            all.clear();
            assert_eq!((room.open(), room.staying.load(Ordering::SeqCst), room.seats.lock().held.len()), (0, 0, 0));
        }
    }
}
