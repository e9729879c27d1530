//! Two nodes of PostgreSQL under Patroni, with etcd, from Debian's packages: the recipe of docs/operations.md. The leader is lost under
//! load; nothing acknowledged is, and the service finds the new one by itself.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bulla_test_support::client::Client;
use bulla_test_support::postgres::free_port;
use bulla_test_support::server::{Server, spawn};
use bulla_test_support::sizes::size;

use crate::BULLA;
use crate::faults::load::{check_audit_log, under_load, until_served};

/// How long the cluster may take to form, or to elect and follow a new leader: its leader key lives for 20 s.
const PATIENCE: Duration = Duration::from_secs(90);

/// What operators copy.
const RECIPE: &str = include_str!("../../../packaging/patroni/node.yml");

/// A certificate for this host, its own authority, as `server.crt` and `server.key`.
fn certificate(folder: &Path) {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=db", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "server.key", "-out", "server.crt"]);
    assert!(openssl.current_dir(folder).output().expect("openssl").status.success());
    let owned = Command::new("chown").args(["postgres", "server.key"]).current_dir(folder).status().expect("chown");
    assert!(owned.success());
}

/// The cluster; all of it ends with this process.
struct Cluster {
    folder: tempfile::TempDir,
    _etcd: Child,
    ports: [u16; 2],
    /// Where each Patroni answers.
    rest: [u16; 2],
    patroni: [Option<Child>; 2],
}

fn packages() -> Option<PathBuf> {
    let patroni = ["/usr/bin/patroni", "/usr/bin/etcd"].iter().all(|program| Path::new(program).exists());
    let newest = std::fs::read_dir("/usr/lib/postgresql").ok()?.filter_map(Result::ok).map(|e| e.path().join("bin")).max()?;
    patroni.then_some(newest)
}

impl Cluster {
    fn start(programs: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("bulla-patroni-").tempdir().expect("a temporary folder");
        assert!(Command::new("chown").arg("postgres").arg(folder.path()).status().expect("chown").success());
        let port = || free_port().expect("a port");
        let (clients, peers, ports, rest) = (port(), port(), [port(), port()], [port(), port()]);
        let mut etcd = Command::new("setpriv");
        etcd.args(["--pdeathsig", "KILL", "--", "etcd", "--enable-v2=true", "--data-dir"]).arg(folder.path().join("etcd"));
        let url = format!("http://127.0.0.1:{clients}");
        etcd.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
        etcd.args(["--listen-peer-urls", &format!("http://127.0.0.1:{peers}")]);
        let etcd = spawn(silent(etcd)).expect("etcd");
        let place = folder.path().display().to_string();
        certificate(folder.path());
        for (n, (own, rest)) in ports.iter().zip(&rest).enumerate() {
            let name = format!("name: node{n}");
            let changes = [
                ("name: db1", name.as_str()),
                ("[10.0.0.11:2379, 10.0.0.12:2379, 10.0.0.13:2379]", &format!("[127.0.0.1:{clients}]")),
                ("10.0.0.11:8008", &format!("127.0.0.1:{rest}")),
                ("10.0.0.11:5432", &format!("127.0.0.1:{own}")),
                ("10.0.0.0/24", "127.0.0.1/32"),
                ("/var/lib/postgresql/15/bulla", &format!("{place}/data{n}")),
                ("/usr/lib/postgresql/15/bin", &programs.display().to_string()),
                ("/var/lib/postgresql/pgpass-patroni", &format!("{place}/pgpass{n}")),
                ("/var/run/postgresql", &place),
                ("/etc/patroni", &place),
            ];
            let text = changes.iter().fold(RECIPE.to_owned(), |text, (ours, here)| {
                assert!(text.contains(ours), "{ours}");
                text.replace(ours, here)
            });
            std::fs::write(folder.path().join(format!("{n}.yml")), text).expect("a temporary folder");
        }
        let mut cluster = Self { folder, _etcd: etcd, ports, rest, patroni: [None, None] };
        cluster.join(0);
        cluster.join(1);
        cluster
    }

    /// A node joins, or comes back.
    fn join(&mut self, n: usize) {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "--reuid", "postgres", "--regid", "postgres", "--init-groups", "--", "patroni"]);
        command
            .arg(self.folder.path().join(format!("{n}.yml")))
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path());
        let log = || File::options().create(true).append(true).open(self.log(n)).expect("a temporary folder");
        command.stdin(Stdio::null()).stdout(log()).stderr(log());
        self.patroni[n] = Some(spawn(command).expect("patroni"));
    }

    fn log(&self, n: usize) -> PathBuf {
        self.folder.path().join(format!("{n}.log"))
    }

    fn sql(&self, n: usize, sql: &str) -> Option<String> {
        let url = format!("postgres://postgres:CHANGE-ME-1@127.0.0.1:{}/postgres?connect_timeout=2", self.ports[n]);
        let output =
            Command::new("psql").args(["-X", "-q", "-A", "-t", "-d", &url, "-c", sql]).stdin(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Whether a node may be made leader: PostgreSQL waits for it before Patroni has written so.
    fn may_lead(&self, n: usize) -> bool {
        let patroni = Client::new(&format!("127.0.0.1:{}", self.rest[n]), "", "");
        patroni.send_raw(b"GET /synchronous HTTP/1.0\r\n\r\n").is_ok_and(|answer| answer.status == 200)
    }

    /// The leader, once the other follows it and may take its place.
    fn whole(&self) -> usize {
        let begun = Instant::now();
        loop {
            let followed = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
            let is_followed = |n: &usize| self.sql(*n, followed).as_deref() == Some("1") && self.may_lead(1 - n);
            if let Some(leader) = (0..2).find(is_followed) {
                return leader;
            }
            let logs = || [0, 1].map(|n| std::fs::read_to_string(self.log(n)).unwrap_or_default()).join("\n");
            assert!(begun.elapsed() < PATIENCE, "the cluster does not form:\n{}", logs());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// A node is gone, as if its host were.
    fn lose(&mut self, n: usize) {
        let mut patroni = self.patroni[n].take().expect("it runs");
        let _ = patroni.kill();
        let _ = patroni.wait();
        let pid = std::fs::read_to_string(self.folder.path().join(format!("data{n}/postmaster.pid"))).unwrap_or_default();
        if let Some(pid) = pid.lines().next() {
            let _ = Command::new("kill").args(["-9", pid]).status();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        (0..2).filter(|n| self.patroni[*n].is_some()).collect::<Vec<_>>().into_iter().for_each(|n| self.lose(n));
        let _ = self._etcd.kill();
        let _ = self._etcd.wait();
    }
}

fn silent(mut command: Command) -> Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn a_cluster_of_patroni_loses_its_leader_and_nothing_else() {
    if std::env::var_os("BULLA_SOAK").is_none() {
        eprintln!("SKIPPED: a cluster takes minutes; `make soak` runs it, and BULLA_SOAK=0 with this test's name");
        return;
    }
    let Some(programs) = packages() else {
        eprintln!("SKIPPED: patroni or etcd is not installed (apt-get install patroni etcd-server)");
        return;
    };
    let mut cluster = Cluster::start(&programs);
    let leader = cluster.whole();
    cluster.sql(leader, "CREATE ROLE bulla LOGIN PASSWORD 'CHANGE-ME-3'").expect("a leader makes roles");
    cluster.sql(leader, "CREATE DATABASE bulla OWNER bulla").expect("and databases");
    let [first, second] = cluster.ports;
    let url = format!(
        "postgres://bulla:CHANGE-ME-3@127.0.0.1:{first},127.0.0.1:{second}/bulla?target_session_attrs=read-write\
         &sslmode=verify-full&sslrootcert={}/server.crt",
        cluster.folder.path().display()
    );
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::dev(BULLA, folder.path().join("data"), Some(&url));
    let mut slowest = Duration::ZERO;
    let writers = under_load(&server, "patroni", |server| {
        for round in 0..size(1, 20) {
            std::thread::sleep(Duration::from_secs(1));
            let leader = cluster.whole();
            let lost = Instant::now();
            cluster.lose(leader);
            until_served(&server.client(), &format!("back/{round}"), PATIENCE);
            slowest = slowest.max(lost.elapsed());
            cluster.join(leader);
            cluster.whole();
        }
    });
    eprintln!("served again {slowest:?} after the leader's loss at most");
    check_audit_log(&mut server, &writers);
}
