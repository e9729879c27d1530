//! The way back when the file cannot be written, or is not ours any more.
//!
//! Owns: what is done about each kind of trouble, and beginning the next file of the chain. Called by: writer.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::AuditError;
use super::chain;
use super::file::Trouble;
use super::line::{Line, Own, RecoveredLine};
use super::writer::{CHECK_EVERY, Writer};

impl Writer {
    /// From here on the file counts as broken, until `repair` succeeds.
    pub(super) fn note(&mut self, trouble: Trouble) {
        self.gauges.failures.fetch_add(1, Relaxed);
        if self.trouble.is_none() {
            log::error!("audit log {}: {}; requests are refused until it can be written", self.config.name, trouble.reason());
        }
        self.gauges.set_trouble(Some(trouble.reason().to_owned()));
        // A failed sync is not forgotten because a later write fails as well.
        if self.trouble.as_ref().is_none_or(|known| known.weight() <= trouble.weight()) {
            self.trouble = Some(trouble);
        }
    }

    /// What those who wait are told.
    pub(super) fn refusal(&self) -> AuditError {
        AuditError::Write(self.trouble.as_ref().map_or_else(String::new, |t| t.reason().to_owned()))
    }

    /// Brings a broken file back, with a line that says so; whether the file can be written now.
    pub(super) fn repair(&mut self) -> bool {
        let Some(trouble) = self.trouble.take() else { return true };
        let reason = trouble.reason().to_owned();
        let repaired = match &trouble {
            Trouble::Write(_) => self.resume(),
            Trouble::Sync(_) => self.resume().and_then(|()| self.begin_file(&reason)),
            Trouble::Foreign(_) => {
                self.log.restore().map_err(|e| Trouble::Write(e.to_string())).and_then(|()| self.begin_file(&reason))
            }
        };
        let line = RecoveredLine::Failure { reason: &reason, refused: self.refused };
        let mut lines = vec![Line::own(&Own::Recovered(line))];
        lines.append(&mut self.owed);
        match repaired.and_then(|()| self.write(&lines)) {
            Ok(()) => {
                let late = lines.len() - 1;
                log::warn!(
                    "audit log {}: works again; {} records were refused, {late} outcomes written late ({reason})",
                    self.config.name,
                    self.refused
                );
                self.refused = 0;
                self.gauges.set_trouble(None);
                true
            }
            Err(again) => {
                self.owed = lines.split_off(1);
                self.trouble = Some(trouble);
                self.note(again);
                false
            }
        }
    }

    /// Cuts off what a failed write left, and makes sure that the file ends with the last durable line.
    fn resume(&self) -> Result<(), Trouble> {
        let failed = |e: std::io::Error| Trouble::Write(e.to_string());
        self.log.cut_back().map_err(failed)?;
        self.log.check()?;
        // The newline before the last line lies further back than any line is long, or the line is the file's only one.
        let mut count = 1 << 16;
        loop {
            let tail = self.log.tail(count).map_err(failed)?;
            let whole = tail.strip_suffix(b"\n").unwrap_or(&tail);
            match whole.iter().rposition(|b| *b == b'\n') {
                None if tail.len() == count => count *= 8,
                begin => {
                    let last = &whole[begin.map_or(0, |at| at + 1)..];
                    let same = chain::hash(last) == self.position.prev;
                    return if same {
                        Ok(())
                    } else {
                        Err(Trouble::Foreign("the audit file's last line was changed".to_owned()))
                    };
                }
            }
        }
    }

    /// Begins the next file of the chain.
    pub(super) fn begin_file(&mut self, reason: &str) -> Result<(), Trouble> {
        let mut position = self.position;
        let (anchor, open) = (self.gauges.anchor(), self.intents.list());
        let (log, database) = (&self.config.name, anchor.as_deref());
        let own = Own::File { log, format: chain::FORMAT, reason, database, open: &open };
        self.lines.clear();
        position.append(&mut self.lines, &self.key, &self.config.clock.now().with_ms(), &self.node, &Line::own(&own).body);
        self.log = self.log.next(self.position.next_seq, &self.lines).map_err(|e| Trouble::Write(e.to_string()))?;
        self.position = position;
        self.publish();
        self.gauges.lines.fetch_add(1, Relaxed);
        Ok(())
    }

    /// At times: is the file still ours, and if it is broken, can it be written again?
    pub(super) fn look_after_file(&mut self) {
        if self.checked.elapsed() < CHECK_EVERY {
            return;
        }
        self.checked = Instant::now();
        if self.trouble.is_none()
            && let Err(trouble) = self.log.check()
        {
            self.note(trouble);
        }
        self.repair();
    }
}
