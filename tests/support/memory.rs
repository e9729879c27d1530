//! The memory of another process, searched for what should not be there any more. Needs to be root, or its tracer.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::FileExt;

use memchr::memmem;

/// Bytes read at once.
const BLOCK: usize = 1 << 20;
/// Bytes shown round a find.
const ROUND: usize = 64;

/// A place where something was found.
#[derive(Debug)]
pub struct Find {
    /// The line of `/proc/PID/maps` that it lies in.
    pub mapping: String,
    /// What stands round it, as text.
    pub text: String,
}

/// Where these bytes stand in the writable memory of a process.
///
/// # Errors
/// When this process may not read it.
pub fn find(pid: u32, needle: &[u8]) -> io::Result<Vec<Find>> {
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let finder = memmem::Finder::new(needle);
    let mut finds = Vec::new();
    let mut block = vec![0; BLOCK];
    for line in BufReader::new(File::open(format!("/proc/{pid}/maps"))?).lines() {
        let line = line?;
        let mut fields = line.split(' ');
        let range = fields.next().and_then(|range| range.split_once('-'));
        let address = |text| u64::from_str_radix(text, 16).map_err(io::Error::other);
        let Some((start, end)) = range.filter(|_| fields.next().is_some_and(|mode| mode.starts_with("rw"))) else { continue };
        let (mut at, end) = (address(start)?, address(end)?);
        while at < end {
            let wanted = BLOCK.min(usize::try_from(end - at).map_err(io::Error::other)?);
            // Memory that was given back meanwhile, or belongs to a device.
            let Ok(count) = memory.read_at(&mut block[..wanted], at) else { break };
            for hit in finder.find_iter(&block[..count]) {
                let round = &block[hit.saturating_sub(ROUND)..(hit + needle.len() + ROUND).min(count)];
                finds.push(Find { mapping: line.clone(), text: String::from_utf8_lossy(round).into_owned() });
            }
            // Blocks overlap by what a needle could lose at a border.
            at += if count == BLOCK { (count - needle.len() + 1) as u64 } else { count.max(1) as u64 };
        }
    }
    Ok(finds)
}
