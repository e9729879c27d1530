//! Strangers who open connections and keep them: who has something to ask is served all along, whatever the system's limit of open
//! files, and nothing of it stays when they are gone.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bulla::process::open_files;
use bulla_test_support::client::Client;
use bulla_test_support::server::Server;
use bulla_test_support::sizes::size;

use crate::create;
use crate::faults::wrapped::wrapped;

/// How long an answer may take beside thousands of connections, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(8);

/// A read and a write, each on a connection of its own.
fn serve_one(client: &Client, name: &str) {
    for request in [
        client.request("GetSecretValue", &[("SecretName", "steady")]),
        client.request("CreateSecret", &[("SecretName", name), ("VersionId", "v1"), ("SecretData", "x")]),
    ] {
        let begun = Instant::now();
        let answer = client.send_raw(&request.bytes()).expect("an answer");
        answer.ok();
        assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    }
}

/// How many had to leave; none where the question itself had to, which a machine that is slow to read may come to.
fn shed(client: &Client) -> Option<u64> {
    let request = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let page = client.send_raw(request).ok()?;
    let page = String::from_utf8(page.body).expect("text");
    page.lines().find_map(|line| line.strip_prefix("bulla_connections_shed_total ")?.trim().parse().ok())
}

/// What strangers send, who need no credentials for any of it: nothing, half a head, half a body, a request that anybody is answered, one
/// that is refused.
const SENT: [&[u8]; 5] = [
    b"",
    b"POST / HTTP/1.1\r\nHo",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\nAc",
    b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nAction=x",
];

/// Connections beyond the limit, replaced one after the other.
fn besiege(address: SocketAddr, count: usize, over: &AtomicBool) {
    let mut held: Vec<TcpStream> = Vec::new();
    for n in 0.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) {
            // Whether it still arrives does not matter.
            let _ = std::io::Write::write_all(&mut stream, SENT[n % SENT.len()]);
            held.push(stream);
        }
        if held.len() > count {
            held.swap_remove(n % count);
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

#[test]
fn who_keeps_thousands_of_connections_keeps_nobody_out() {
    // For the connections of this process.
    open_files::connections_within(8, 64).expect("some files");
    for limit in [256, 1024, 4096] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let program = wrapped(folder.path(), &format!("ulimit -S -n {limit}; ulimit -H -n {limit}"), "");
        let mut server = Server::dev(program, folder.path().join("data"), None);
        let client = server.client();
        create(&client, "steady", "value").ok();
        assert_eq!(server.log().contains("max_connections is"), limit <= 4096, "{}", server.log());
        let address = server.ready.endpoint.trim_start_matches("http://").parse().expect("an address");
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| besiege(address, limit + 200, &over));
            struct Over<'a>(&'a AtomicBool);
            impl Drop for Over<'_> {
                fn drop(&mut self) {
                    self.0.store(true, Ordering::Relaxed);
                }
            }
            let _over = Over(&over);
            let begun = Instant::now();
            while shed(&client).is_none_or(|shed| shed < 100) {
                assert!(begun.elapsed() < Duration::from_secs(60), "nobody had to leave");
                std::thread::sleep(Duration::from_millis(20));
            }
            for n in 0..size(40, 1000) {
                serve_one(&client, &format!("during/{n}"));
            }
            assert_eq!(client.page("/readyz").status, 200);
        });
        (0..5).for_each(|n| serve_one(&client, &format!("after/{n}")));
        assert_eq!(client.figure("bulla_integrity_alarms_total") as u64, 0);
        assert_eq!(client.figure("bulla_token_epochs_total") as u64, 1, "the token had all files that it wanted");
        server.stop();
    }
}

#[test]
fn a_limit_that_nothing_fits_into_is_said() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = wrapped(folder.path(), "[ -n \"$BULLA_FEW\" ] && ulimit -n 48", "");
    let mut server = Server::dev(program, folder.path().join("data"), None);
    server.stop();
    server.set_environment("BULLA_FEW", Some("1"));
    server.try_restart().expect_err("it cannot serve");
    assert!(server.log().contains("48 open files, and the service needs"), "{}", server.log());
}
