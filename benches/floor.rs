//! The floor program: what a secret store on a token cannot leave out, and nothing else.
//!
//! A read is one point query by diesel on SQLite, one C_Decrypt on SoftHSM, one AES-GCM open; a create is C_GenerateRandom,
//! C_Encrypt, one AES-GCM seal and one INSERT, synced. No signature, no policy, no versions. Served by actix-web, with the blocking
//! work on its blocking threads. With `durable` each answer waits, as Bulla's do, until a record of it is on disk; those who wait
//! share a sync. On PostgreSQL each thread has a connection of its own, and an INSERT is its own transaction.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::{Condvar, Mutex, OnceLock};

use actix_web::{App, HttpResponse, HttpServer, web};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use cryptoki::context::Pkcs11;
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::slot::Slot;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use crate::side::name;
use crate::{programs, token};

/// What goes wrong here ends the program.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

diesel::table! {
    secrets (name) {
        name -> Text,
        wrapped -> Binary,
        nonce -> Binary,
        ciphertext -> Binary,
    }
}

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, wrapped BLOB NOT NULL, nonce BLOB NOT NULL, \
                      ciphertext BLOB NOT NULL) STRICT, WITHOUT ROWID";
const POSTGRES_SCHEMA: &str = "CREATE TABLE secrets (name TEXT COLLATE \"C\" PRIMARY KEY, wrapped BYTEA NOT NULL, nonce BYTEA NOT NULL, \
                               ciphertext BYTEA NOT NULL)";

/// The same settings as Bulla's.
const SETTINGS: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;";

/// What all threads share.
struct Floor {
    database: String,
    pkcs11: Pkcs11,
    slot: Slot,
    key: ObjectHandle,
    /// SQLite's one writer.
    writer: Option<Mutex<Database>>,
    log: Option<Log>,
    _anchor: Mutex<Session>,
}

static FLOOR: OnceLock<Floor> = OnceLock::new();

/// A connection to either database.
enum Database {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// A thread's own connection and session.
struct Local {
    connection: Database,
    session: Session,
}

thread_local! {
    static LOCAL: RefCell<Option<Local>> = const { RefCell::new(None) };
}

/// Serves on a free port of loopback, which it prints; the token and the database are in `folder`, or the database where a URL says.
///
/// # Errors
/// Why it does not start.
pub fn serve(folder: &Path, durable: bool, postgres: Option<&str>) -> Result<(), Failure> {
    let floor = prepare(folder, durable, postgres)?;
    FLOOR.set(floor).map_err(|_| "served twice")?;
    actix_web::rt::System::new().block_on(async {
        let server = HttpServer::new(|| {
            let app = App::new().route("/read", web::get().to(read)).route("/create", web::post().to(create));
            app.route("/fill", web::post().to(fill))
        });
        let server = server.workers(std::thread::available_parallelism()?.get()).bind(("127.0.0.1", 0))?;
        writeln!(io::stdout(), "{}", server.addrs()[0])?;
        server.run().await
    })?;
    Ok(())
}

fn prepare(folder: &Path, durable: bool, postgres: Option<&str>) -> Result<Floor, Failure> {
    let (pkcs11, slot, anchor) = token::make("floor")?;
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::Token(true),
        Attribute::Sensitive(true),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::ValueLen(32.into()),
    ];
    let key = anchor.generate_key(&Mechanism::AesKeyGen, &template)?;
    let database = postgres.map_or_else(|| folder.join("floor.db").display().to_string(), str::to_owned);
    let mut first = connect(&database)?;
    first.batch_execute(match first {
        Database::Sqlite(_) => SCHEMA,
        Database::Postgres(_) => POSTGRES_SCHEMA,
    })?;
    let writer = matches!(first, Database::Sqlite(_)).then_some(Mutex::new(first));
    let log = if durable { Some(Log::new(&folder.join("floor.log"))?) } else { None };
    Ok(Floor { database, pkcs11, slot, key, writer, log, _anchor: Mutex::new(anchor) })
}

fn connect(database: &str) -> Result<Database, Failure> {
    if database.starts_with("postgres:") {
        return Ok(Database::Postgres(PgConnection::establish(database)?));
    }
    let mut connection = SqliteConnection::establish(database)?;
    connection.batch_execute(SETTINGS)?;
    Ok(Database::Sqlite(connection))
}

/// Runs it on a blocking thread, and records it where that is asked for.
async fn answer(work: impl FnOnce(&'static Floor) -> Result<String, Failure> + Send + 'static) -> HttpResponse {
    let Some(floor) = FLOOR.get() else { return HttpResponse::ServiceUnavailable().finish() };
    let recorded = move || {
        let body = work(floor)?;
        floor.log.as_ref().map(Log::append).transpose()?;
        Ok::<_, Failure>(body)
    };
    match web::block(recorded).await {
        Ok(Ok(body)) => HttpResponse::Ok().content_type("application/json").body(body),
        Ok(Err(e)) => HttpResponse::InternalServerError().body(e.to_string()),
        Err(e) => HttpResponse::InternalServerError().body(e.to_string()),
    }
}

async fn read(name: web::Query<Vec<(String, String)>>) -> HttpResponse {
    answer(move |floor| {
        let name = first(&name.into_inner())?;
        with_local(floor, |local| {
            let query = secrets::table.find(&name).select((secrets::wrapped, secrets::nonce, secrets::ciphertext));
            let (wrapped, nonce, mut ciphertext): (Vec<u8>, Vec<u8>, Vec<u8>) = match &mut local.connection {
                Database::Sqlite(connection) => query.first(connection)?,
                Database::Postgres(connection) => query.first(connection)?,
            };
            let (iv, encrypted) = wrapped.split_at(12);
            let mut iv: [u8; 12] = iv.try_into()?;
            let gcm = Mechanism::AesGcm(GcmParams::new(&mut iv, name.as_bytes(), 128.into())?);
            let key = local.session.decrypt(&gcm, floor.key, encrypted)?;
            let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key)?);
            let value =
                key.open_in_place(Nonce::try_assume_unique_for_key(&nonce)?, Aad::from(name.as_bytes()), &mut ciphertext)?;
            Ok(reply(&name, std::str::from_utf8(value)?))
        })
    })
    .await
}

async fn create(name: web::Query<Vec<(String, String)>>, value: web::Bytes) -> HttpResponse {
    answer(move |floor| {
        let name = first(&name.into_inner())?;
        let sealed = with_local(floor, |local| seal(floor, &local.session, &name, &value))?;
        match &floor.writer {
            Some(writer) => writer.lock().map_err(|_| "a writer panicked")?.insert(&name, sealed)?,
            None => with_local(floor, |local| local.connection.insert(&name, sealed))?,
        }
        Ok(reply(&name, ""))
    })
    .await
}

/// Stores secrets to be read, from one number on up to another, in one transaction.
async fn fill(range: web::Query<Vec<(String, usize)>>) -> HttpResponse {
    answer(move |floor| {
        let [(_, from), (_, to)] = range.into_inner()[..] else { return Err("from and to".into()) };
        with_local(floor, |local| {
            local.connection.batch_execute("BEGIN")?;
            Range { start: from, end: to }.try_for_each(|number| {
                let name = name(number);
                let sealed = seal(floor, &local.session, &name, programs::VALUE.as_bytes())?;
                local.connection.insert(&name, sealed)
            })?;
            local.connection.batch_execute("COMMIT")
        })?;
        Ok(String::new())
    })
    .await
}

/// What is stored of a value: the wrapped data key behind its IV, the nonce, the ciphertext.
type Sealed = (Vec<u8>, Vec<u8>, Vec<u8>);

fn seal(floor: &Floor, session: &Session, name: &str, value: &[u8]) -> Result<Sealed, Failure> {
    let mut drawn = [0; 32 + 12 + 12];
    session.generate_random_slice(&mut drawn)?;
    let mut iv: [u8; 12] = drawn[32..44].try_into()?;
    let gcm = Mechanism::AesGcm(GcmParams::new(&mut iv, name.as_bytes(), 128.into())?);
    let encrypted = session.encrypt(&gcm, floor.key, &drawn[..32])?;
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &drawn[..32])?);
    let mut sealed = value.to_vec();
    key.seal_in_place_append_tag(Nonce::try_assume_unique_for_key(&drawn[44..])?, Aad::from(name.as_bytes()), &mut sealed)?;
    Ok(([&drawn[32..44], &encrypted].concat(), drawn[44..].to_vec(), sealed))
}

impl Database {
    fn batch_execute(&mut self, statements: &str) -> Result<(), Failure> {
        match self {
            Database::Sqlite(connection) => connection.batch_execute(statements)?,
            Database::Postgres(connection) => connection.batch_execute(statements)?,
        }
        Ok(())
    }

    fn insert(&mut self, name: &str, (wrapped, nonce, ciphertext): Sealed) -> Result<(), Failure> {
        let row = (
            secrets::name.eq(name),
            secrets::wrapped.eq(wrapped),
            secrets::nonce.eq(nonce),
            secrets::ciphertext.eq(ciphertext),
        );
        let insert = diesel::insert_into(secrets::table).values(row);
        match self {
            Database::Sqlite(connection) => insert.execute(connection)?,
            Database::Postgres(connection) => insert.execute(connection)?,
        };
        Ok(())
    }
}

fn first(query: &[(String, String)]) -> Result<String, Failure> {
    Ok(query.first().ok_or("no name")?.1.clone())
}

fn reply(name: &str, value: &str) -> String {
    serde_json::json!({ "RequestId": uuid::Uuid::new_v4(), "SecretName": name, "SecretData": value }).to_string()
}

fn with_local<T>(floor: &Floor, work: impl FnOnce(&mut Local) -> Result<T, Failure>) -> Result<T, Failure> {
    LOCAL.with_borrow_mut(|local| {
        let local = match local {
            Some(local) => local,
            None => {
                let session = floor.pkcs11.open_ro_session(floor.slot)?;
                local.insert(Local { connection: connect(&floor.database)?, session })
            }
        };
        work(local)
    })
}

/// Records that are on disk before what they tell of is answered.
struct Log {
    file: File,
    state: Mutex<Records>,
    synced: Condvar,
}

#[derive(Default)]
struct Records {
    /// Not yet written.
    waiting: Vec<u8>,
    given: u64,
    synced: u64,
    syncing: bool,
}

impl Log {
    /// A record, as long as a line of Bulla's audit log.
    const RECORD: [u8; 600] = {
        let mut record = [b'.'; 600];
        record[599] = b'\n';
        record
    };

    fn new(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::create(path)?, state: Mutex::default(), synced: Condvar::new() })
    }

    /// Returns when a further record is on disk. The first of those who wait syncs for all.
    fn append(&self) -> Result<(), Failure> {
        let mut state = self.state.lock().map_err(|_| "a sync panicked")?;
        state.waiting.extend(Self::RECORD);
        state.given += 1;
        let own = state.given;
        while state.synced < own {
            if state.syncing {
                state = self.synced.wait(state).map_err(|_| "a sync panicked")?;
                continue;
            }
            state.syncing = true;
            let (batch, last) = (std::mem::take(&mut state.waiting), state.given);
            drop(state);
            (&self.file).write_all(&batch)?;
            self.file.sync_data()?;
            state = self.state.lock().map_err(|_| "a sync panicked")?;
            (state.synced, state.syncing) = (last, false);
            self.synced.notify_all();
        }
        Ok(())
    }
}
