//! `bulla backup`: a consistent copy beside a running service, with a signed list of what it needs; and the drill that says what a
//! restore from it would lack.
//!
//! A backup is a folder: `bulla.db`, a database of SQLite whatever the service runs on, and `manifest.json`, which AUD signs.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::TempDir;

use crate::admin::{signed, verify};
use crate::app::{Base, Failure, context, open_token, prove_system_keys, system_keys};
use crate::base::clock::Clock;
use crate::base::ids::KeyVersionId;
use crate::base::regular;
use crate::cli::{Backup, BackupAction};
use crate::config::Config;
use crate::output::Output;
use crate::output::progress::Progress;
use crate::store::{HeldVersion, Store, StoreOptions, copy, deployment};
use crate::token::{ObjectKind, Token};

/// What the signature names the manifest.
const KIND: &str = "backup";

/// The files of a backup.
const DATABASE: &str = "bulla.db";
const MANIFEST: &str = "manifest.json";

/// The most secrets that are named for one key version.
const NAMED: i64 = 100;

/// What a backup is of, and what it needs.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Manifest {
    kind: String,
    pub(super) time: String,
    program: String,
    deployment: String,
    region: String,
    /// CKA_ID of AUD, which signs this.
    audit_key: KeyVersionId,
    /// What the token refused to be told of it, as the deployment's row has it.
    left_out: String,
    bytes: u64,
    sha256: String,
    pub(super) rows: u64,
    objects: Vec<Needed>,
}

/// An object of the token, and how many secrets hang on it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Needed {
    id: KeyVersionId,
    role: String,
    key: Option<String>,
    secrets: i64,
}

/// Runs the command.
pub(super) fn run(asked: &Backup, json: bool) -> Result<Output, Failure> {
    match (&asked.action, &asked.to) {
        (Some(BackupAction::Verify { folder, place }), _) => drill(&crate::admin::load(place)?, folder, json),
        (None, Some(folder)) => make(&crate::admin::load(&asked.place)?, folder),
        (None, None) => Err(Failure::new("where to? --to DIR").class(crate::base::failure::Class::Usage)),
    }
}

/// Makes a backup. The copy is proved before it is signed: what does not verify is no backup.
fn make(config: &Config, folder: &Path) -> Result<Output, Failure> {
    let base = Base::open(config)?;
    base.require_freshness(config)?;
    let local = Failure::of_file(folder);
    fs::DirBuilder::new().mode(0o700).create(folder).map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => Failure::conflict(format!("{} is there already", folder.display()))
            .hint("a backup makes a folder of its own: name one that is not there"),
        _ => local(e),
    })?;
    let file = folder.join(DATABASE);
    let time = Clock::System.now();
    let progress = Progress::new("copied", 0);
    let saved = copy::save(&verify::options(config)?, &file, &|done, all| progress.at(done, all));
    progress.end();
    saved.map_err(|error| {
        // A folder that holds no copy is in the way of the next attempt.
        let _ = fs::remove_file(&file).and_then(|()| fs::remove_dir(folder));
        context(format!("the copy of the database in {}", folder.display()))(error)
    })?;
    let beside = tempfile::Builder::new().prefix(".proof-").tempdir_in(folder).map_err(&local)?;
    let copy = Private::copy(&file, beside)?;
    let (bytes, sha256) = (copy.bytes, copy.sha256.clone());
    let saved = Copy::of(Arc::clone(&base.token), copy)?;
    let proof = saved.proof()?;
    if let Some(flaw) = proof.flaws.first() {
        let reason = format!("{flaw}; flaws: {}", proof.flaws.len());
        return Err(Failure::new(reason).hint("the backup is there, and not signed; `bulla verify` says what the database has"));
    }
    let held = saved.held()?;
    drop(saved);
    let row = &base.deployment;
    let system = system_keys(row).map(|(role, id, _)| Needed { id, role: role.to_owned(), key: None, secrets: 0 });
    let keys = held.iter().map(|held| Needed {
        id: held.version.id,
        role: "key".to_owned(),
        key: Some(held.key.id.to_string()),
        secrets: held.secrets,
    });
    let manifest = Manifest {
        kind: "bulla backup 1".to_owned(),
        time: time.with_ms(),
        program: concat!("bulla ", env!("CARGO_PKG_VERSION")).to_owned(),
        deployment: row.id.to_string(),
        region: row.region.to_string(),
        audit_key: row.aud_key,
        left_out: row.left_out.clone(),
        bytes,
        sha256,
        rows: proof.rows,
        objects: system.into_iter().chain(keys).collect(),
    };
    let path = folder.join(MANIFEST);
    fs::write(&path, signed::sign(&base, KIND, &serde_json::to_string(&manifest)?)?).map_err(&local)?;
    File::open(&path).and_then(|file| file.sync_all()).and_then(|()| File::open(folder)?.sync_all()).map_err(&local)?;
    Ok(Output::one([
        ("Folder", folder.display().to_string().into()),
        ("Time", manifest.time.into()),
        ("Rows", manifest.rows.into()),
        ("Bytes", bytes.into()),
        ("TokenObjects", manifest.objects.len().into()),
    ]))
}

/// A backup whose manifest and file hold, and the token that it was proved with.
pub(super) struct Proved {
    pub(super) manifest: Manifest,
    pub(super) token: Arc<Token>,
    file: Private,
}

impl Proved {
    /// The file that the manifest is about: a copy, which is removed with this.
    pub(super) fn file(&self) -> PathBuf {
        self.file.file()
    }

    /// The database in it, to look at: another copy, so that the file stays the one that was proved.
    pub(super) fn opened(&self) -> Result<Copy, Failure> {
        Copy::of(Arc::clone(&self.token), Private::copy(&self.file(), private_folder()?)?)
    }
}

/// Proves manifest and file with AUD of the token, which is one of ours by its label and attributes.
pub(super) fn prove(config: &Config, folder: &Path) -> Result<Proved, Failure> {
    let signed = signed::read(&folder.join(MANIFEST))?;
    let claimed: Manifest = serde_json::from_str(signed.split('\n').next().unwrap_or_default()).map_err(|e| {
        let failure = Failure::local(format!("{}: {e}", folder.join(MANIFEST).display()));
        failure.hint("it is no list that `bulla backup` wrote; take another backup")
    })?;
    let token = open_token(config, &claimed.left_out)?;
    let subject = format!("token: AUD ({})", claimed.audit_key);
    token.prove_system_key(&claimed.audit_key, ObjectKind::Aud).map_err(|e| {
        context(subject.as_str())(e).hint("the backup is of another deployment, or the token is older than the deployment")
    })?;
    let key = token.public_key(&claimed.audit_key).map_err(context(subject.as_str()))?;
    let manifest: Manifest = serde_json::from_str(signed::prove(&signed, KIND, &key)?)?;
    let file = folder.join(DATABASE);
    let copy = Private::copy(&file, private_folder()?)?;
    if (copy.bytes, &copy.sha256) != (manifest.bytes, &manifest.sha256) {
        let failure = Failure::new(format!("{} is not the file that the manifest is about", file.display()));
        return Err(failure.hint("it was changed, or is of another backup; take another one"));
    }
    Ok(Proved { manifest, token: Arc::new(token), file: copy })
}

fn private_folder() -> Result<TempDir, Failure> {
    tempfile::tempdir().map_err(|e| Failure::local(format!("{}: {e}", std::env::temp_dir().display())))
}

/// Says what a restore would lack.
fn drill(config: &Config, folder: &Path, json: bool) -> Result<Output, Failure> {
    let Proved { manifest, token, file } = prove(config, folder)?;
    let saved = Copy::of(token, file)?;
    let proof = saved.proof()?;
    let (mut missing, mut secrets) = (Vec::new(), 0);
    for held in saved.held()? {
        if held.needs_object() && !saved.base.token.exists(&held.version.id).map_err(context("token"))? {
            secrets += held.secrets;
            missing.push(saved.lacks(&held)?);
        }
    }
    let flaws: Vec<String> = proof.flaws.iter().map(ToString::to_string).collect();
    let (count, lacking) = (flaws.len(), missing.len());
    let output = Output::one([
        ("Complete", (count + lacking == 0).into()),
        ("Time", manifest.time.into()),
        ("Rows", proof.rows.into()),
        ("KeyVersionsMissing", lacking.into()),
        ("SecretVersionsLost", secrets.into()),
        ("Missing", missing.into()),
        ("Flaws", flaws.into()),
    ]);
    if count + lacking == 0 {
        return Ok(output);
    }
    output.print(json)?;
    let failure =
        Failure::new(format!("a restore would not be whole: {lacking} key versions are not on the token, flaws: {count}"));
    Err(failure.hint("restore a backup of the token that is as new as this one, or newer"))
}

/// The database of a backup, opened on a copy, so that the backup stays as it is.
pub(super) struct Copy {
    pub(super) options: StoreOptions,
    pub(super) base: Base,
    /// Removed at the end, once nobody has it open: members are dropped in the order in which they stand.
    _file: Private,
}

impl Copy {
    fn of(token: Arc<Token>, file: Private) -> Result<Self, Failure> {
        let options = StoreOptions::new(format!("sqlite:{}", file.file().display()));
        let row = deployment::read(&options.url).map_err(context("database"))?;
        let row = row.filter(|row| row.ready).ok_or_else(|| Failure::new("it holds no deployment"))?;
        prove_system_keys(&token, &row)?;
        let key = crate::app::row_key(&token, &row)?;
        let store = Store::open(options.clone(), &row, key).map_err(context("database"))?;
        Ok(Self { options, base: Base { token, deployment: row, store: Arc::new(store) }, _file: file })
    }

    fn proof(&self) -> Result<crate::store::Proof, Failure> {
        verify::proof(&self.base.store, &self.options)
    }

    fn held(&self) -> Result<Vec<HeldVersion>, Failure> {
        self.base.store.read_rows("held", |tx| tx.held_versions()).map_err(context("database"))
    }

    /// In words: which key version is gone, and what hangs on it.
    fn lacks(&self, held: &HeldVersion) -> Result<String, Failure> {
        let names = self
            .base
            .store
            .read_rows("held", |tx| tx.secrets_under_version(&held.version.id, NAMED))
            .map_err(context("database"))?;
        let more = if held.secrets > NAMED { format!(", and {} more", held.secrets - NAMED) } else { String::new() };
        let aliases = if held.aliases.is_empty() { String::new() } else { format!(" ({})", held.aliases.join(", ")) };
        let (version, key) = (held.version.id, held.key.id);
        Ok(format!("key {key}{aliases}, version {version}, {} secrets: {}{more}", held.secrets, names.join("; ")))
    }
}

/// A file that was copied to where nobody else writes, so that what is opened is what was counted and hashed: SQLite plays into a
/// database what stands beside it.
struct Private {
    /// Removed at the end.
    folder: TempDir,
    bytes: u64,
    sha256: String,
}

impl Private {
    /// Copies a file, not what a symbolic link names, into a folder.
    fn copy(file: &Path, folder: TempDir) -> Result<Self, Failure> {
        let local = Failure::of_file(file);
        let mut from = regular::open_itself(file).map_err(|e| Failure::local(e.to_string()).hint_of_file(file, e.kind()))?;
        let copy = folder.path().join(DATABASE);
        let unwritten = Failure::of_file(&copy);
        let mut to = File::create(&copy).map_err(&unwritten)?;
        let (mut context, mut bytes, mut buffer) = (Context::new(&SHA256), 0, vec![0; 1 << 16]);
        loop {
            match from.read(&mut buffer).map_err(&local)? {
                0 => return Ok(Self { folder, bytes, sha256: hex::encode(context.finish()) }),
                n => {
                    context.update(&buffer[..n]);
                    to.write_all(&buffer[..n]).map_err(&unwritten)?;
                    bytes += n as u64;
                }
            }
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join(DATABASE)
    }
}

/// What a restore shows of a backup before anything is done.
pub(super) fn shown(manifest: &Manifest) -> [(&'static str, Value); 3] {
    [
        ("Deployment", manifest.deployment.as_str().into()),
        ("BackupTime", manifest.time.as_str().into()),
        ("BackupRows", manifest.rows.into()),
    ]
}
