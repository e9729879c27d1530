//! One HTTP/1.1 connection: bytes out, one answer in. Knows Content-Length and chunked bodies, nothing else.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use super::Answer;

/// How long a silent server is waited for.
const SILENCE: Duration = Duration::from_secs(30);

/// A kept connection that rested longer is looked at before it is used again.
const FRESH: Duration = Duration::from_millis(20);

pub(super) struct Connection {
    stream: BufReader<TcpStream>,
    used: Instant,
}

impl Connection {
    pub(super) fn open(endpoint: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(endpoint)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        Ok(Self { stream: BufReader::with_capacity(16 << 10, stream), used: Instant::now() })
    }

    /// Whether the server has not closed it meanwhile.
    pub(super) fn still_open(&self) -> bool {
        if self.used.elapsed() < FRESH {
            return true;
        }
        let stream = self.stream.get_ref();
        let silent =
            stream.set_nonblocking(true).is_ok() && stream.peek(&mut [0]).is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock);
        silent && stream.set_nonblocking(false).is_ok()
    }

    pub(super) fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        // A server may answer and close before it has read all; the answer is then still there to be read.
        let written = self.stream.get_mut().write_all(request);
        let answer = self.read_answer().or_else(|e| written.and(Err(e)));
        self.used = Instant::now();
        answer
    }

    /// Sends all there is to send and reads answers until the server closes.
    pub(super) fn exchange_all(&mut self, requests: &[u8]) -> io::Result<Vec<Answer>> {
        // A server may close before it has read all.
        let _ = self.stream.get_mut().write_all(requests);
        let _ = self.stream.get_mut().shutdown(Shutdown::Write);
        let mut answers = Vec::new();
        while !self.stream.fill_buf()?.is_empty() {
            answers.push(self.read_answer()?);
        }
        Ok(answers)
    }

    fn read_answer(&mut self) -> io::Result<Answer> {
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(|| broken("no status line"))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| broken("no header"))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        let length = match header("content-length") {
            Some(text) => Some(text.parse().map_err(|_| broken("Content-Length is no number"))?),
            None => None,
        };
        let body = match length {
            Some(length) => self.exactly(length)?,
            None if status == 204 => Vec::new(),
            None if header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) => self.chunks()?,
            None => {
                let mut rest = Vec::new();
                self.stream.read_to_end(&mut rest)?;
                rest
            }
        };
        let json = serde_json::from_slice(&body).unwrap_or(serde_json::Value::Null);
        Ok(Answer { status, headers, body, json })
    }

    /// A line without its end.
    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        match line.strip_suffix("\r\n") {
            Some(text) => Ok(text.to_owned()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(self.line()?.trim(), 16).map_err(|_| broken("chunk size"))?;
            body.extend(self.exactly(size)?);
            self.line()?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A server that gives these bytes to one connection, whatever it is asked, and closes.
    fn answering(bytes: &'static str) -> Connection {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = listener.local_addr().expect("bound").to_string();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let _ = stream.read(&mut [0; 64]).expect("a request");
            stream.write_all(bytes.as_bytes()).expect("still open");
        });
        Connection::open(&endpoint).expect("it listens")
    }

    #[test]
    fn reads_every_kind_of_body() {
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"A\":\"b\"}",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"A\"\r\n5\r\n:\"b\"}\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"A\":\"b\"}",
        ] {
            let answer = answering(answer).exchange(b"x").expect("an answer");
            assert_eq!((answer.status, answer.text("A")), (200, "b"));
        }
    }

    #[test]
    fn half_an_answer_is_an_error() {
        for answer in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", "HTTP/1.1 no\r\n\r\n"] {
            assert!(answering(answer).exchange(b"x").is_err(), "{answer:?}");
        }
    }

    #[test]
    fn notices_that_the_server_closed() {
        let mut connection = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        assert!(connection.still_open());
        connection.exchange(b"x").expect("an answer");
        std::thread::sleep(2 * FRESH);
        assert!(!connection.still_open());
    }
}
