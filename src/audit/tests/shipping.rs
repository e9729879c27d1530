//! Lines that are sent on, past what stands in the files that is no line.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use rustix::io::ioctl_fionread;

use super::*;
use crate::base::periodic::Periodic;

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

/// A syslog, and the lines that it is sent.
struct Syslog {
    path: PathBuf,
    socket: UnixDatagram,
}

impl Syslog {
    fn beside(home: &Home) -> Self {
        let path = home.dir.path().join("log");
        let socket = UnixDatagram::bind(&path).expect("bound");
        socket.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
        Self { path, socket }
    }

    fn receiver(&self) -> Receiver {
        Receiver::Syslog(self.path.clone())
    }

    /// The next line, without what stands before it.
    fn line(&self) -> String {
        let mut space = vec![0; 64 << 10];
        let length = self.socket.recv(&mut space).expect("a datagram");
        let message = std::str::from_utf8(&space[..length]).expect("text");
        message.strip_prefix("<109>bulla-audit: ").unwrap_or_else(|| panic!("{message}")).to_owned()
    }

    fn up_to(&self, last: u64) -> Vec<u64> {
        let mut heard = Vec::new();
        while heard.last() != Some(&last) {
            heard.push(chain::Head::parse(self.line().as_bytes()).expect("a line").seq);
        }
        heard
    }
}

/// Of a log that sends lines to this receiver, which takes them all.
fn sent_to(home: &Home, receiver: Receiver) -> Periodic {
    ship(home.dir.path(), "audit", receiver, &Arc::default()).expect("a thread")
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
    let _shipping = sent_to(&home, Receiver::Socket(heard.socket.clone()));
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
    let _shipping = sent_to(&home, Receiver::Socket(heard.socket.clone()));
    assert_eq!(heard.up_to(last), (1..lost).chain(behind..=last).collect::<Vec<_>>());
}

#[test]
fn syslog_is_sent_each_line_as_it_stands_in_the_file() {
    assert_eq!("syslog".parse(), Ok(Receiver::Syslog("/dev/log".into())));
    let home = Home::new();
    let syslog = Syslog::beside(&home);
    let (audit, _) = home.open();
    let _shipping = sent_to(&home, syslog.receiver());
    for _ in 0..3 {
        audit.submit(&read_record(RequestId::new())).wait().expect("durable");
    }
    audit.close();
    let lines = home.lines();
    assert_eq!(lines.iter().map(|_| syslog.line()).collect::<Vec<_>>(), lines);
}

/// No line of the service's is so long. Whoever can write the folder can make one, which is not to stop the others.
#[test]
fn a_line_that_no_datagram_holds_is_counted_and_passed_over() {
    let home = Home::new();
    let (files, last) = filled(&home);
    let first = read_lines(&files[0]);
    let long = first[0].replacen(r#""log":"#, &format!(r#""more":"{}","log":"#, "x".repeat(32 << 20)), 1);
    let rest = first[1..].iter().map(|line| format!("{line}\n")).collect::<String>();
    std::fs::write(&files[0], format!("{long}\n{rest}")).expect("written");
    let syslog = Syslog::beside(&home);
    let too_long = Arc::default();
    let _shipping = ship(home.dir.path(), "audit", syslog.receiver(), &too_long).expect("a thread");
    assert_eq!(syslog.up_to(last), (2..=last).collect::<Vec<_>>());
    assert_eq!(too_long.load(Ordering::Relaxed), 1);
}

#[test]
fn lines_wait_for_a_syslog_that_was_away() {
    let home = Home::new();
    let (audit, _) = home.open();
    let write = || audit.submit(&read_record(RequestId::new())).wait().expect("durable");
    let end = || audit.end().expect("lines").seq;
    let syslog = Syslog::beside(&home);
    let _shipping = sent_to(&home, syslog.receiver());
    write();
    let before = end();
    assert_eq!(syslog.up_to(before), (1..=before).collect::<Vec<_>>());
    // One that ends leaves its name behind, at which nobody takes anything.
    let Syslog { path, socket } = syslog;
    drop(socket);
    write();
    std::thread::sleep(Duration::from_millis(500));
    std::fs::remove_file(&path).expect("there");
    write();
    let syslog = Syslog::beside(&home);
    write();
    let last = end();
    assert_eq!(syslog.up_to(last), (before + 1..=last).collect::<Vec<_>>());
}

/// What a receiver leaves in its socket is no wait for those who write.
#[test]
fn a_receiver_that_reads_nothing_delays_no_request() {
    let home = Home::new();
    let (audit, _) = home.open();
    let heard = Heard::beside(&home);
    let _shipping = sent_to(&home, Receiver::Socket(heard.socket.clone()));
    let (idle, _) = heard.listener.accept().expect("it connects");
    let mut full = (0, 0);
    wait_until("its socket is full", || {
        let tickets: Vec<_> = (0..500).map(|_| audit.submit(&read_record(RequestId::new()))).collect();
        tickets.into_iter().for_each(|ticket| ticket.wait().expect("durable"));
        std::thread::sleep(Duration::from_millis(500));
        full = (full.1, ioctl_fionread(&idle).expect("a socket"));
        full.0 == full.1 && full.0 > 0
    });
    for _ in 0..20 {
        let begin = Instant::now();
        audit.submit(&read_record(RequestId::new())).wait().expect("durable");
        assert!(begin.elapsed() < Duration::from_secs(4), "a line waits for its receiver");
    }
}
