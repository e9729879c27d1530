//! Two nodes of PostgreSQL under Patroni, with etcd, from Debian's packages: the recipe of docs/operations.md. The leader is lost under
//! load; nothing acknowledged is, and the service finds the new one by itself.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bulla_test_support::postgres::free_port;
use bulla_test_support::server::{Server, spawn};
use bulla_test_support::sizes::size;

use crate::BULLA;
use crate::faults::load::{check_audit_log, under_load, until_served};

/// How long the cluster may take to form, or to elect and follow a new leader: its leader key lives for 20 s.
const PATIENCE: Duration = Duration::from_secs(90);

/// The cluster; all of it ends with this process.
struct Cluster {
    folder: tempfile::TempDir,
    _etcd: Child,
    ports: [u16; 2],
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
        let (clients, peers, ports) = (port(), port(), [port(), port()]);
        let mut etcd = Command::new("setpriv");
        etcd.args(["--pdeathsig", "KILL", "--", "etcd", "--enable-v2=true", "--data-dir"]).arg(folder.path().join("etcd"));
        let url = format!("http://127.0.0.1:{clients}");
        etcd.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
        etcd.args(["--listen-peer-urls", &format!("http://127.0.0.1:{peers}")]);
        let etcd = spawn(silent(etcd)).expect("etcd");
        for (n, own) in ports.iter().enumerate() {
            let rest = port();
            let place = folder.path().display();
            let text = format!(
                "scope: bulla\nname: node{n}\nrestapi: {{ listen: 127.0.0.1:{rest}, connect_address: 127.0.0.1:{rest} }}\n\
                 etcd3: {{ hosts: 127.0.0.1:{clients} }}\nbootstrap:\n  dcs:\n    ttl: 20\n    loop_wait: 2\n    retry_timeout: 3\n\
                 \x20   synchronous_mode: true\n  initdb: [ {{ encoding: UTF8 }}, {{ auth-host: trust }}, {{ auth-local: trust }} ]\n\
                 postgresql:\n  listen: 127.0.0.1:{own}\n  connect_address: 127.0.0.1:{own}\n  data_dir: {place}/data{n}\n\
                 \x20 bin_dir: {}\n  pgpass: {place}/pgpass{n}\n  parameters: {{ unix_socket_directories: {place} }}\n\
                 \x20 pg_hba: [ local all all trust, host all all 127.0.0.1/32 trust, host replication all 127.0.0.1/32 trust ]\n\
                 \x20 authentication: {{ superuser: {{ username: postgres }}, replication: {{ username: replicator }} }}\n",
                programs.display()
            );
            std::fs::write(folder.path().join(format!("{n}.yml")), text).expect("a temporary folder");
        }
        let mut cluster = Self { folder, _etcd: etcd, ports, patroni: [None, None] };
        cluster.join(0);
        cluster.join(1);
        cluster
    }

    /// A node joins, or comes back.
    fn join(&mut self, n: usize) {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "--reuid", "postgres", "--regid", "postgres", "--init-groups", "--", "patroni"]);
        command.arg(self.folder.path().join(format!("{n}.yml"))).current_dir(self.folder.path());
        self.patroni[n] = Some(spawn(silent(command)).expect("patroni"));
    }

    fn sql(&self, n: usize, sql: &str) -> Option<String> {
        let url = format!("postgres://postgres@127.0.0.1:{}/postgres?connect_timeout=2", self.ports[n]);
        let output =
            Command::new("psql").args(["-X", "-q", "-A", "-t", "-d", &url, "-c", sql]).stdin(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// The leader, once the other follows it and is waited for.
    fn whole(&self) -> usize {
        let begun = Instant::now();
        loop {
            let followed = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
            if let Some(leader) = (0..2).find(|n| self.sql(*n, followed).as_deref() == Some("1")) {
                return leader;
            }
            assert!(begun.elapsed() < PATIENCE, "the cluster does not form");
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
    if size(0, 1) == 0 {
        eprintln!("SKIPPED: a cluster takes minutes; `make soak` runs it");
        return;
    }
    let Some(programs) = packages() else {
        eprintln!("SKIPPED: patroni or etcd is not installed (apt-get install patroni etcd-server)");
        return;
    };
    let mut cluster = Cluster::start(&programs);
    let leader = cluster.whole();
    cluster.sql(leader, "CREATE DATABASE bulla").expect("a leader makes databases");
    let [first, second] = cluster.ports;
    let url = format!("postgres://postgres@127.0.0.1:{first},127.0.0.1:{second}/bulla?target_session_attrs=read-write");
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
