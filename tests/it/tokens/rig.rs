//! Tokens as their packages install them, each with a state of its own that goes with the test.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use bulla_test_support::chaos::Chaos;
use bulla_test_support::server::{bound_to_this_process, spawn};

use crate::BULLA;

/// Long enough for every token, short enough for those of openCryptoki.
pub(super) const PIN: &str = "12345678";

/// SO PIN where it is ours to choose.
const SO_PIN: &str = "87654321";

/// The label of every token that is initialised here.
const LABEL: &str = "bulla";

/// How long a daemon of another run of the tests may be there.
const ANOTHERS: Duration = Duration::from_secs(60);

/// Where Debian keeps libraries.
const LIBRARIES: [&str; 2] = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"];

/// Why there is no such token.
pub(super) struct Absent(pub(super) String);

/// A token, and how a program comes to it.
pub(super) struct Rig {
    /// Of which version module and token are.
    pub(super) version: String,
    pub(super) folder: tempfile::TempDir,
    module: PathBuf,
    label: &'static str,
    environment: Vec<(&'static str, OsString)>,
    /// Folders that programs see in the place of the system's own: what is there, and where.
    mounts: Vec<(PathBuf, PathBuf)>,
    /// A rig that this one stands on.
    behind: Option<Box<Rig>>,
    /// The daemon of openCryptoki, which goes into the background by itself.
    slot_daemon: Option<SlotDaemon>,
    /// What must run meanwhile; ended with the rig.
    daemons: Vec<Child>,
}

impl Drop for Rig {
    fn drop(&mut self) {
        for daemon in &mut self.daemons {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

impl Rig {
    fn new(module: PathBuf) -> Result<Self, Absent> {
        if !module.exists() {
            return Err(Absent(format!("{} is not installed", module.display())));
        }
        Ok(Self {
            version: String::new(),
            folder: tempfile::tempdir().expect("a temporary folder"),
            module,
            label: LABEL,
            environment: Vec::new(),
            mounts: Vec::new(),
            behind: None,
            slot_daemon: None,
            daemons: Vec::new(),
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The module.
    pub(super) fn module(&self) -> &Path {
        &self.module
    }

    /// Gives programs more variables, or these ones other values.
    pub(super) fn set(&mut self, variables: impl Iterator<Item = (&'static str, OsString)>) {
        self.environment.extend(variables);
    }

    /// Puts the chaos module before the token's, and has it obey these commands before its first call.
    pub(super) fn behind_chaos(&mut self, start: &str) {
        let chaos = Chaos::environment(self.module(), self.folder.path(), start);
        self.set(chaos.into_iter().map(|(name, value)| (name, value.into())));
    }

    /// Takes a deployment's own files away: the next begins on the same token.
    pub(super) fn anew(&self) {
        for file in ["bulla.db", "bulla.db-wal", "bulla.db-shm"] {
            let _ = fs::remove_file(self.path(file));
        }
        let _ = fs::remove_dir_all(self.path("audit"));
    }

    /// A program that sees the token.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = if self.mounts.is_empty() {
            bound_to_this_process(Path::new(program))
        } else {
            let mounts: Vec<String> =
                self.mounts.iter().map(|(from, to)| format!("mount --bind '{}' '{}'", from.display(), to.display())).collect();
            let mut command = bound_to_this_process(Path::new("unshare"));
            command.args(["--mount", "sh", "-c"]).arg(format!("{} && exec \"$@\"", mounts.join(" && "))).arg("sh").arg(program);
            command
        };
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// `bulla`, with this configuration.
    pub(super) fn bulla(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(BULLA);
        command.args(arguments).arg("--config").arg(self.path("bulla.toml"));
        command
    }

    /// Writes the configuration of a deployment on the token.
    pub(super) fn configure(&self) {
        fs::write(self.path("pin"), format!("{PIN}\n")).expect("a PIN file");
        let folder = self.folder.path().display();
        let text = format!(
            "region = \"cn-hangzhou\"\n\
             [server]\nlisten = \"127.0.0.1:0\"\n\
             [token]\nmodule = \"{}\"\nlabel = \"{}\"\npin_file = \"{folder}/pin\"\n\
             [database]\nurl = \"sqlite:{folder}/bulla.db\"\nmigrate_at_start = true\n\
             [audit]\ndirectory = \"{folder}/audit\"\n\
             [keys]\nrotate_after_uses = 16\n",
            self.module.display(),
            self.label,
        );
        fs::write(self.path("bulla.toml"), text).expect("a configuration");
    }

    fn tool(&self, program: &str, arguments: &[&str]) -> Result<Output, Absent> {
        let mut command = self.command(program);
        let output = command.args(arguments).output().map_err(|e| Absent(format!("{program}: {e}")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
            return Err(Absent(format!("{program} {arguments:?}: {said}")));
        }
        Ok(output)
    }

    fn pkcs11_tool(&self, arguments: &[&str]) -> Result<Output, Absent> {
        let module = self.module.to_string_lossy().into_owned();
        self.tool("pkcs11-tool", &[&["--module", &module], arguments].concat())
    }

    /// Gives the first uninitialised token a label and a PIN.
    fn initialise(&self, slot: &[&str], so_pin: &str) -> Result<(), Absent> {
        self.pkcs11_tool(&[slot, &["--init-token", "--label", LABEL, "--so-pin", so_pin]].concat())?;
        let login = ["--login", "--login-type", "so", "--so-pin", so_pin];
        self.pkcs11_tool(&[slot, &login, &["--init-pin", "--pin", PIN]].concat())?;
        Ok(())
    }

    fn daemon(&mut self, mut command: Command, ready: impl Fn(&Self) -> bool) -> Result<(), Absent> {
        command.stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null());
        self.daemons.push(spawn(command).map_err(|e| Absent(e.to_string()))?);
        for _ in 0..200 {
            if ready(self) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(Absent("its daemon is not ready after 10 s".into()))
    }
}

/// A library of the system.
fn library(name: &str) -> Result<PathBuf, Absent> {
    let found = LIBRARIES.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists());
    found.ok_or_else(|| Absent(format!("{name} is not installed")))
}

/// What Debian's packages are called, with their versions.
fn packages(names: &[&str]) -> String {
    let of = |name: &&str| {
        let asked = Command::new("dpkg-query").args(["-W", "-f", "${Package} ${Version}", name]).output();
        asked.ok().filter(|o| o.status.success()).map(|o| String::from_utf8_lossy(&o.stdout).into_owned())
    };
    names.iter().filter_map(of).collect::<Vec<_>>().join(", ")
}

/// Only root may show a program other folders than everybody's.
fn needs_root() -> Result<(), Absent> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(Absent("needs root, for mounts of its own".into())) }
}

pub(super) fn softhsm() -> Result<Rig, Absent> {
    let module = bulla::token::softhsm::module().ok_or_else(|| Absent("softhsm2 is not installed".into()))?;
    let mut rig = Rig::new(module)?;
    let conf = bulla::token::softhsm::prepare(rig.folder.path()).expect("a configuration file");
    rig.environment.push((bulla::token::softhsm::CONF_VARIABLE, conf.into()));
    rig.initialise(&["--slot-index", "0"], SO_PIN)?;
    rig.version = packages(&["softhsm2"]);
    Ok(rig)
}

pub(super) fn kryoptic() -> Result<Rig, Absent> {
    let target = Path::new(BULLA).parent().and_then(Path::parent).expect("the program is in target/PROFILE");
    let mut rig = Rig::new(target.join("kryoptic/release/libkryoptic_pkcs11.so"))?;
    let conf = rig.path("kryoptic.conf");
    let database = rig.path("token.sql");
    let text = format!("[[slots]]\nslot = 1\ndbtype = \"sqlite\"\ndbargs = \"{}\"\n", database.display());
    fs::write(&conf, text).expect("a configuration file");
    rig.environment.push(("KRYOPTIC_CONF", conf.into()));
    rig.initialise(&["--slot", "1"], SO_PIN)?;
    rig.version = "kryoptic 1.5.4 (crates.io)".into();
    Ok(rig)
}

pub(super) fn nss() -> Result<Rig, Absent> {
    needs_root()?;
    let softoken = library("libsoftokn3.so")?;
    let mut rig = Rig::new(library("p11-kit-proxy.so")?)?;
    rig.label = "NSS Certificate DB";
    let (database, modules, pin) = (rig.path("nss"), rig.path("modules"), rig.path("nss-pin"));
    fs::create_dir(&database).and_then(|()| fs::create_dir(&modules)).expect("folders");
    fs::write(&pin, format!("{PIN}\n")).expect("a PIN file");
    let text = format!(
        "module: {}\nx-init-reserved: configdir='sql:{}' certPrefix='' keyPrefix='' secmod='' flags=\n",
        softoken.display(),
        database.display()
    );
    fs::write(modules.join("nss.module"), text).expect("a module file");
    let at = format!("sql:{}", database.display());
    rig.tool("certutil", &["-N", "-d", &at, "-f", &pin.to_string_lossy()])?;
    rig.mounts.push((modules, "/usr/share/p11-kit/modules".into()));
    rig.version = packages(&["libnss3", "p11-kit-modules"]);
    Ok(rig)
}

pub(super) fn opencryptoki() -> Result<Rig, Absent> {
    needs_root()?;
    let mut rig = Rig::new(library("opencryptoki/libopencryptoki.so.0")?)?;
    for (name, system) in [("state", "/var/lib/opencryptoki"), ("locks", "/run/lock/opencryptoki")] {
        let own = rig.path(name);
        // With the folders and groups that the package has made.
        let copied = Command::new("cp").arg("-a").arg(system).arg(&own).status();
        if !copied.is_ok_and(|status| status.success()) {
            return Err(Absent(format!("{system} is not there")));
        }
        rig.mounts.push((own, system.into()));
    }
    // One on a machine: its socket has one name.
    let running = || Command::new("pgrep").args(["-x", "pkcsslotd"]).output().is_ok_and(|o| o.status.success());
    let begun = Instant::now();
    while running() && begun.elapsed() < ANOTHERS {
        std::thread::sleep(Duration::from_millis(500));
    }
    if running() {
        return Err(Absent("a pkcsslotd runs already, which is somebody else's".into()));
    }
    rig.tool("/usr/sbin/pkcsslotd", &[])?;
    rig.slot_daemon = Some(SlotDaemon);
    let ready = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        rig.pkcs11_tool(&["-L"]).is_ok_and(|o| String::from_utf8_lossy(&o.stdout).contains("Slot 0"))
    });
    if !ready {
        return Err(Absent("pkcsslotd is not ready after 5 s".into()));
    }
    rig.initialise(&["--slot", "3"], SO_PIN)?;
    rig.version = packages(&["opencryptoki"]);
    Ok(rig)
}

/// Ends the daemon that was started here; none was running before.
struct SlotDaemon;

impl Drop for SlotDaemon {
    fn drop(&mut self) {
        // Its own file; none was running when it was started.
        if let Ok(pid) = fs::read_to_string("/run/pkcsslotd.pid") {
            let _ = Command::new("kill").arg(pid.trim()).status();
        }
    }
}

pub(super) fn tpm2() -> Result<Rig, Absent> {
    let mut rig = Rig::new(library("pkcs11/libtpm2_pkcs11.so")?)?;
    let (state, store, tools) = (rig.path("tpm"), rig.path("store"), rig.path("bin"));
    for folder in [&state, &store, &tools] {
        fs::create_dir(folder).expect("a folder");
    }
    // Two ports next to each other.
    let port = (0..50)
        .map(|_| fastrand::u16(20_000..50_000))
        .find(|port| [*port, port + 1].iter().all(|p| std::net::TcpListener::bind(("127.0.0.1", *p)).is_ok()))
        .expect("free ports");
    let tcti = format!("swtpm:host=127.0.0.1,port={port}");
    let mut swtpm = bound_to_this_process(Path::new("swtpm"));
    swtpm.args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear", "--tpmstate"]);
    swtpm.arg(format!("dir={}", state.display())).arg("--server").arg(format!("type=tcp,port={port}"));
    swtpm.arg("--ctrl").arg(format!("type=tcp,port={}", port + 1));
    rig.daemon(swtpm, |_| {
        std::thread::sleep(Duration::from_millis(300));
        true
    })?;
    rig.environment.push(("TPM2_PKCS11_STORE", store.into()));
    rig.environment.push(("TPM2_PKCS11_TCTI", tcti.clone().into()));
    rig.environment.push(("TPM2TOOLS_TCTI", tcti.into()));
    // Without a resource manager the tools leave what they load in the TPM, which has room for three.
    for tool in fs::read_dir("/usr/bin").expect("programs").flatten() {
        let name = tool.file_name().to_string_lossy().into_owned();
        if !name.starts_with("tpm2_") || name == "tpm2_ptool" || name == "tpm2_flushcontext" {
            continue;
        }
        let script = format!("#!/bin/sh\ntpm2_flushcontext -t >/dev/null 2>&1\nexec /usr/bin/{name} \"$@\"\n");
        let file = tools.join(name);
        fs::write(&file, script).expect("a script");
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("its mode");
    }
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap_or_default());
    rig.environment.push(("PATH", path.into()));
    rig.tool("tpm2_ptool", &["init"])?;
    let pins = [format!("--sopin={SO_PIN}"), format!("--userpin={PIN}")];
    rig.tool("tpm2_ptool", &["addtoken", "--pid=1", &format!("--label={LABEL}"), &pins[0], &pins[1]])?;
    rig.version = packages(&["libtpm2-pkcs11-1", "swtpm"]);
    Ok(rig)
}

pub(super) fn remoting() -> Result<Rig, Absent> {
    let mut rig = Rig::new(library("pkcs11/p11-kit-client.so")?)?;
    let behind = softhsm()?;
    let socket = rig.path("p11-kit.sock");
    let mut server = behind.command("p11-kit");
    server.args(["server", "--foreground", "--name"]).arg(&socket).arg("--provider").arg(&behind.module).arg("pkcs11:");
    let at = socket.clone();
    rig.environment.push(("P11_KIT_SERVER_ADDRESS", format!("unix:path={}", socket.display()).into()));
    rig.daemon(server, move |_| at.exists())?;
    rig.behind = Some(Box::new(behind));
    rig.version = packages(&["p11-kit", "p11-kit-modules", "softhsm2"]);
    Ok(rig)
}
