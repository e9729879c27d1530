//! A load generator: many kept connections on one thread, each with one request under way.
//!
//! Owns: sending requests made beforehand, reading answers, times. Must not know: what is asked. It shares the machine with what it
//! measures, so it does as little as it can: requests are signed before the clock starts, and of an answer it reads the status and
//! the length.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

/// What a run showed.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Answers in all.
    pub answers: usize,
    /// Answers a second.
    pub per_second: f64,
    /// The median time of an answer.
    pub p50: Duration,
    /// The time that one answer in a hundred exceeds.
    pub p99: Duration,
    /// Processor time of the server per answer, where the caller has measured it.
    pub cpu: Duration,
}

struct State {
    requests: std::vec::IntoIter<Vec<u8>>,
    times: Vec<Duration>,
}

/// Sends the requests over so many connections until they are used up or the time is over.
///
/// # Errors
/// When a connection fails, or an answer is not 200.
pub fn run(address: &str, connections: usize, time: Duration, requests: Vec<Vec<u8>>) -> io::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let times = Vec::with_capacity(requests.len());
    let state = Rc::new(RefCell::new(State { requests: requests.into_iter(), times }));
    let elapsed = runtime.block_on(LocalSet::new().run_until(async {
        let mut open = Vec::new();
        for _ in 0..connections {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            open.push(stream);
        }
        let began = Instant::now();
        let end = began + time;
        let tasks: Vec<_> =
            open.into_iter().map(|stream| tokio::task::spawn_local(client(stream, state.clone(), end))).collect();
        for task in tasks {
            task.await.map_err(io::Error::other)??;
        }
        Ok::<_, io::Error>(began.elapsed())
    }))?;
    let mut times = std::mem::take(&mut state.borrow_mut().times);
    if times.is_empty() {
        return Err(io::Error::other("no answer in the time of the run"));
    }
    times.sort_unstable();
    Ok(Outcome {
        answers: times.len(),
        per_second: times.len() as f64 / elapsed.as_secs_f64(),
        p50: percentile(&times, 50),
        p99: percentile(&times, 99),
        cpu: Duration::ZERO,
    })
}

/// The time that so many in a hundred do not exceed, of one at least, in order.
pub fn percentile(times: &[Duration], share: usize) -> Duration {
    times[(times.len() - 1) * share / 100]
}

async fn client(mut stream: TcpStream, state: Rc<RefCell<State>>, end: Instant) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(16 * 1024);
    loop {
        let asked = Instant::now();
        if asked >= end {
            return Ok(());
        }
        let Some(request) = state.borrow_mut().requests.next() else { return Ok(()) };
        stream.write_all(&request).await?;
        answer(&mut stream, &mut buffer).await?;
        state.borrow_mut().times.push(asked.elapsed());
    }
}

async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.clear();
    let (head, length) = loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            break (end + 4, content_length(&buffer[..end]));
        }
    };
    let length = length.ok_or_else(|| io::Error::other("an answer without content-length"))?;
    while buffer.len() < head + length {
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    if buffer.starts_with(b"HTTP/1.1 200 ") {
        Ok(())
    } else {
        Err(io::Error::other(String::from_utf8_lossy(buffer).into_owned()))
    }
}

fn content_length(head: &[u8]) -> Option<usize> {
    let lines = head.split(|b| *b == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    let mut fields = lines.filter_map(|line| line.split_once(':'));
    fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length")).and_then(|(_, value)| value.trim().parse().ok())
}
