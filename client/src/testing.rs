//! A server of a few lines that answers what it is told to, and hands on what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;

/// Answers one request each with these texts, in order, on new connections; an empty one closes without an answer. Gives the endpoint
/// and, one by one, head and body of what was asked. Afterwards nobody is there.
pub(crate) fn serving(answers: Vec<String>) -> (String, mpsc::Receiver<String>) {
    let mut answers = answers.into_iter();
    let count = answers.len();
    answering(count, move |_| answers.next().unwrap_or_default())
}

/// The same for so many requests, with what follows from each.
pub(crate) fn answering(
    count: usize,
    mut answers: impl FnMut(&str) -> String + Send + 'static,
) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    let (asked, seen) = mpsc::channel();
    std::thread::spawn(move || {
        for _ in 0..count {
            let (stream, _) = listener.accept().expect("a connection");
            let mut stream = BufReader::new(stream);
            let (mut text, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).expect("a line");
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().expect("a number");
                }
                text.push_str(&line);
                if line == "\r\n" {
                    break;
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).expect("a body");
            text.push_str(&String::from_utf8(body).expect("a form"));
            let answer = answers(&text);
            let _ = asked.send(text);
            stream.get_mut().write_all(answer.as_bytes()).expect("still open");
        }
    });
    (endpoint, seen)
}

pub(crate) fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}
