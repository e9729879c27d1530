//! The floor program: what a secret store on a token cannot leave out, and nothing else.
//!
//! A read is one point query by diesel on SQLite, one C_Decrypt on SoftHSM, one AES-GCM open; a create is C_GenerateRandom,
//! C_Encrypt, one AES-GCM seal and one INSERT, synced. No signature, no policy, no audit, no versions. Served by actix-web, with the
//! blocking work on its blocking threads as Bulla does it, or with `inline` on the event loop, which is faster as long as nothing
//! blocks for long. On PostgreSQL each thread has a connection of its own, an INSERT is its own transaction, and a record of each request is
//! on disk before its answer, many to a sync.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, OnceLock};

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

use crate::token;

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
    /// Where records go, where they are kept.
    records: Option<Mutex<Sender<Record>>>,
    inline: bool,
    _anchor: Mutex<Session>,
}

static FLOOR: OnceLock<Floor> = OnceLock::new();

/// A connection to either database.
enum Database {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// A line, and who waits for it to be on disk.
type Record = (String, Sender<()>);

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
pub fn serve(folder: &Path, inline: bool, postgres: Option<&str>) -> Result<(), Failure> {
    let floor = prepare(folder, inline, postgres)?;
    FLOOR.set(floor).map_err(|_| "served twice")?;
    actix_web::rt::System::new().block_on(async {
        let server =
            HttpServer::new(|| App::new().route("/read", web::get().to(read)).route("/create", web::post().to(create)));
        let server = server.workers(std::thread::available_parallelism()?.get()).bind(("127.0.0.1", 0))?;
        writeln!(io::stdout(), "{}", server.addrs()[0])?;
        server.run().await
    })?;
    Ok(())
}

fn prepare(folder: &Path, inline: bool, postgres: Option<&str>) -> Result<Floor, Failure> {
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
    let (writer, records) = match connect(&database)? {
        Database::Sqlite(mut writer) => {
            writer.batch_execute(SCHEMA)?;
            (Some(Mutex::new(Database::Sqlite(writer))), None)
        }
        Database::Postgres(mut connection) => {
            connection.batch_execute(POSTGRES_SCHEMA)?;
            let (sender, records) = mpsc::channel();
            let file = File::create(folder.join("records"))?;
            std::thread::spawn(move || keep(file, &records));
            (None, Some(Mutex::new(sender)))
        }
    };
    Ok(Floor { database, pkcs11, slot, key, writer, records, inline, _anchor: Mutex::new(anchor) })
}

fn connect(database: &str) -> Result<Database, Failure> {
    if database.starts_with("postgres:") {
        return Ok(Database::Postgres(PgConnection::establish(database)?));
    }
    let mut connection = SqliteConnection::establish(database)?;
    connection.batch_execute(SETTINGS)?;
    Ok(Database::Sqlite(connection))
}

/// Writes records, all that wait at a time, and tells when they are on disk.
fn keep(mut file: File, records: &Receiver<Record>) {
    while let Ok(first) = records.recv() {
        let batch: Vec<Record> = std::iter::once(first).chain(records.try_iter()).collect();
        let lines: String = batch.iter().map(|(line, _)| line.as_str()).collect();
        if file.write_all(lines.as_bytes()).and_then(|()| file.sync_data()).is_err() {
            return;
        }
        // Nobody waits whose request has failed.
        batch.into_iter().for_each(|(_, done)| _ = done.send(()));
    }
}

/// Waits until what was done is on disk, where records are kept.
fn record(floor: &Floor, what: &str, name: &str) -> Result<(), Failure> {
    let Some(records) = &floor.records else { return Ok(()) };
    let (done, waits) = mpsc::channel();
    let line = format!("{{\"what\":\"{what}\",\"name\":\"{name}\",\"id\":\"{}\"}}\n", uuid::Uuid::new_v4());
    records.lock().map_err(|_| "a sender panicked")?.send((line, done))?;
    waits.recv().map_err(Into::into)
}

/// Runs it here or on a blocking thread.
async fn answer(work: impl FnOnce(&'static Floor) -> Result<String, Failure> + Send + 'static) -> HttpResponse {
    let Some(floor) = FLOOR.get() else { return HttpResponse::ServiceUnavailable().finish() };
    let answered = if floor.inline {
        work(floor)
    } else {
        match web::block(move || work(floor)).await {
            Ok(answered) => answered,
            Err(e) => Err(e.into()),
        }
    };
    match answered {
        Ok(body) => HttpResponse::Ok().content_type("application/json").body(body),
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
            record(floor, "read", &name)?;
            Ok(reply(&name, std::str::from_utf8(value)?))
        })
    })
    .await
}

async fn create(name: web::Query<Vec<(String, String)>>, value: web::Bytes) -> HttpResponse {
    answer(move |floor| {
        let name = first(&name.into_inner())?;
        let (wrapped, nonce, ciphertext) = with_local(floor, |local| {
            let mut drawn = [0; 32 + 12 + 12];
            local.session.generate_random_slice(&mut drawn)?;
            let mut iv: [u8; 12] = drawn[32..44].try_into()?;
            let gcm = Mechanism::AesGcm(GcmParams::new(&mut iv, name.as_bytes(), 128.into())?);
            let encrypted = local.session.encrypt(&gcm, floor.key, &drawn[..32])?;
            let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &drawn[..32])?);
            let mut sealed = value.to_vec();
            key.seal_in_place_append_tag(
                Nonce::try_assume_unique_for_key(&drawn[44..])?,
                Aad::from(name.as_bytes()),
                &mut sealed,
            )?;
            Ok(([&drawn[32..44], &encrypted].concat(), drawn[44..].to_vec(), sealed))
        })?;
        let values = (
            secrets::name.eq(&name),
            secrets::wrapped.eq(wrapped),
            secrets::nonce.eq(nonce),
            secrets::ciphertext.eq(ciphertext),
        );
        let insert = diesel::insert_into(secrets::table).values(values);
        let run = |database: &mut Database| match database {
            Database::Sqlite(connection) => insert.execute(connection),
            Database::Postgres(connection) => insert.execute(connection),
        };
        match &floor.writer {
            Some(writer) => run(&mut *writer.lock().map_err(|_| "a writer panicked")?)?,
            None => with_local(floor, |local| Ok(run(&mut local.connection)?))?,
        };
        record(floor, "create", &name)?;
        Ok(reply(&name, ""))
    })
    .await
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
