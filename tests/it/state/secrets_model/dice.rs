//! Random operations: the same seed gives the same list.

use super::model::{Life, Secret};
use super::op::Op;

/// SplitMix64: any seed is as good as another.
pub struct Dice(pub u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A few more names than versions that a secret may have, so that names come again while they are there and afterwards.
    fn version(&mut self) -> String {
        format!("v{}", self.below(14))
    }

    fn value(&mut self) -> String {
        ["a", "b"][self.below(2) as usize].to_owned()
    }

    /// More labels than a secret may have.
    fn label(&mut self) -> String {
        match self.below(14) {
            0..=2 => "ACSCurrent".to_owned(),
            3 => "ACSPrevious".to_owned(),
            n => format!("x{n}"),
        }
    }

    fn maybe<T>(&mut self, percent: u64, make: fn(&mut Self) -> T) -> Option<T> {
        if self.chance(percent) { Some(make(self)) } else { None }
    }

    /// The next operation on a secret that is as the model says; most of them mean something there.
    pub fn operation(&mut self, secret: &Secret) -> Op {
        match secret.life {
            Life::Absent if self.chance(80) => return Op::Create { version: self.version(), value: self.value() },
            Life::Window if self.chance(40) => return Op::Restore,
            _ => {}
        }
        match self.below(100) {
            0..=39 => Op::Put {
                version: self.version(),
                value: self.value(),
                kind: if self.chance(90) { "text" } else { "binary" }.to_owned(),
                labels: match self.below(3) {
                    0 => (0..=self.below(3)).map(|_| self.label()).collect(),
                    _ => vec!["ACSCurrent".to_owned()],
                },
            },
            40..=67 => Op::Move { label: self.label(), from: self.maybe(40, Self::version), to: self.maybe(85, Self::version) },
            68..=79 => Op::Get { version: self.maybe(50, Self::version), label: self.maybe(40, Self::label) },
            80..=87 => Op::List { deprecated: self.chance(70) },
            88..=90 => Op::Describe,
            91..=93 => Op::Update { description: format!("d{}", self.below(1000)) },
            94..=95 => Op::Delete,
            96 => Op::DeleteNow,
            97 => Op::Restore,
            _ => Op::Create { version: self.version(), value: self.value() },
        }
    }
}
