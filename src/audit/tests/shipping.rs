//! Lines that are sent on, past what stands in the files that is no line.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use super::*;

/// A receiver, and the numbers of the lines that it is sent.
struct Heard {
    socket: PathBuf,
    listener: UnixListener,
    stream: Option<BufReader<UnixStream>>,
}

impl Heard {
    fn beside(home: &Home) -> Self {
        let socket = home.dir.path().join("receiver");
        Self { listener: UnixListener::bind(&socket).expect("bound"), socket, stream: None }
    }

    fn up_to(&mut self, last: u64) -> Vec<u64> {
        let stream = self.stream.get_or_insert_with(|| {
            let (stream, _) = self.listener.accept().expect("it connects");
            stream.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
            BufReader::new(stream)
        });
        let mut heard = Vec::new();
        while heard.last() != Some(&last) {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap_or_else(|e| panic!("{e} after {heard:?}"));
            heard.push(chain::Head::parse(line.trim_end().as_bytes()).expect("a line").seq);
        }
        heard
    }
}

/// Puts this behind the last line of a file.
fn add(path: &Path, bytes: &[u8]) {
    let mut file = std::fs::OpenOptions::new().append(true).open(path).expect("there");
    file.write_all(bytes).expect("written");
}

/// Some files of a log that is closed.
fn filled(home: &Home) -> (Vec<PathBuf>, u64) {
    let (audit, _) = home.open_with(AuditConfig { max_file_bytes: 2000, ..home.config() });
    for _ in 0..20 {
        audit.submit(&read_record(RequestId::new())).wait().expect("durable");
    }
    audit.close();
    let files = log_files(home.dir.path(), "audit").expect("a folder");
    assert!(files.len() > 3);
    (files, audit.end().expect("lines").seq)
}

#[test]
fn a_file_that_another_has_followed_is_left_whatever_its_end_is() {
    let home = Home::new();
    let (files, last) = filled(&home);
    add(&files[0], b"{");
    add(&files[2], b"no line\n{\"seq\":");
    let mut heard = Heard::beside(&home);
    let _shipping = ship(home.dir.path(), "audit", Receiver::Socket(heard.socket.clone())).expect("a thread");
    assert_eq!(heard.up_to(last), (1..=last).collect::<Vec<_>>());
    // The present one is not left for want of a newline.
    let whole = std::fs::read(home.present()).expect("a file");
    let (audit, _) = home.open();
    audit.submit(&read_record(RequestId::new())).wait().expect("durable");
    audit.close();
    let next = audit.end().expect("lines").seq;
    assert!(std::fs::read(home.present()).expect("a file").starts_with(&whole));
    assert_eq!(heard.up_to(next), (last + 1..=next).collect::<Vec<_>>());
}

/// Where the lines behind a file are lost, what follows them is sent, and that file is not read for ever.
#[test]
fn a_gap_in_the_numbers_is_passed() {
    let home = Home::new();
    let (files, last) = filled(&home);
    let begins = |path: &Path| chain::Head::parse(read_lines(path)[0].as_bytes()).expect("a line").seq;
    let (lost, behind) = (begins(&files[1]), begins(&files[2]));
    std::fs::remove_file(&files[1]).expect("there");
    let mut heard = Heard::beside(&home);
    let _shipping = ship(home.dir.path(), "audit", Receiver::Socket(heard.socket.clone())).expect("a thread");
    assert_eq!(heard.up_to(last), (1..lost).chain(behind..=last).collect::<Vec<_>>());
}
