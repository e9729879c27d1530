-- The first schema. Ids are 16 bytes, times are milliseconds since 1970, words are those of src/base/words.rs. Tables that are read by
-- their primary key keep their rows in it (WITHOUT ROWID). `mac` is the layout of the row and the MAC of
-- it and all other columns (src/store/engine/row_mac.rs).
-- The twin of this file is migrations/postgres; a test compares them.

-- One row: the installation. Read before the key of the MACs is known: until it verifies, its ids are claims that the token must
-- confirm. level: the level that rows are written at (src/store/engine/level.rs). spare_row_key: the next root of row MACs while `bulla
-- rekey` is at it, or the one before until it is destroyed.
CREATE TABLE deployment (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    region     TEXT    NOT NULL,
    sys_key    BLOB    NOT NULL CHECK (length(sys_key) = 16),
    int_key    BLOB    NOT NULL CHECK (length(int_key) = 16),
    aud_key    BLOB    NOT NULL CHECK (length(aud_key) = 16),
    row_key    BLOB    NOT NULL CHECK (length(row_key) = 16),
    spare_row_key BLOB CHECK (length(spare_row_key) = 16),
    suite      INTEGER NOT NULL,
    ready      INTEGER NOT NULL CHECK (ready IN (0, 1)),
    created_at INTEGER NOT NULL,
    level      INTEGER NOT NULL,
    left_out   TEXT    NOT NULL,
    mac        BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX deployment_is_one ON deployment ((1));

-- The level of every migration, for programs that do not have it: one level ahead of them they work, beyond it they refuse.
CREATE TABLE schema_levels (
    version TEXT    NOT NULL PRIMARY KEY,
    level   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO schema_levels (version, level) VALUES ('0001', 1);

-- The nodes that run, and the levels that each serves.
CREATE TABLE nodes (
    id      BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    lowest  INTEGER NOT NULL,
    highest INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    mac     BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

-- How far the audit log of each node had come: what its last durable line was when this was written. token: drawn anew each time.
-- open_from: the first line of which an intent was open. rights, changes, digest: where the database itself stood at least (docs/formats.md).
CREATE TABLE log_heads (
    node       BLOB NOT NULL CHECK (length(node) = 16),
    log        TEXT NOT NULL,
    place      TEXT NOT NULL,
    generation INTEGER NOT NULL,
    token      BLOB NOT NULL CHECK (length(token) = 16),
    seq        INTEGER NOT NULL,
    hash       BLOB NOT NULL,
    open_from  INTEGER NOT NULL,
    rights     INTEGER NOT NULL,
    changes    INTEGER NOT NULL,
    digest     BLOB NOT NULL,
    written_at INTEGER NOT NULL,
    mac        BLOB NOT NULL,
    PRIMARY KEY (node, log)
) STRICT, WITHOUT ROWID;

-- One row: when `bulla restore` last accepted the database, and the key on the token that is made anew every hour.
CREATE TABLE anchors (
    id          INTEGER NOT NULL PRIMARY KEY,
    restored_at INTEGER NOT NULL,
    key_id      BLOB NOT NULL CHECK (length(key_id) = 16),
    previous_key BLOB CHECK (length(previous_key) = 16),
    key_since   INTEGER NOT NULL,
    mac         BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Digests of who may do what (docs/formats.md). scope: 'r' the sum of all others; an account, its policies of single keys and secrets, a
-- user, a key. seq: of 'r' it rises with every change; of the others it is what that was at their last change.
CREATE TABLE scopes (
    scope  BLOB    NOT NULL PRIMARY KEY,
    seq    INTEGER NOT NULL,
    digest BLOB    NOT NULL,
    mac    BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

-- Digests of the secrets, by the first byte of their ids. seq: how often a part has changed.
CREATE TABLE parts (
    part   INTEGER NOT NULL PRIMARY KEY,
    seq    INTEGER NOT NULL,
    digest BLOB    NOT NULL,
    mac    BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE accounts (
    id         TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    enabled    INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    created_at INTEGER NOT NULL,
    mac        BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    account_id TEXT    NOT NULL REFERENCES accounts (id),
    name       TEXT    NOT NULL,
    enabled    INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    created_at INTEGER NOT NULL,
    mac        BLOB    NOT NULL,
    UNIQUE (account_id, name)
) STRICT, WITHOUT ROWID;

-- user_id is null for a key of the account's root.
CREATE TABLE access_keys (
    id         TEXT    NOT NULL PRIMARY KEY,
    account_id TEXT    NOT NULL REFERENCES accounts (id),
    user_id    BLOB             REFERENCES users (id),
    enabled    INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    created_at INTEGER NOT NULL,
    suite      INTEGER NOT NULL,
    wrapped    BLOB    NOT NULL,
    mac        BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX access_keys_by_owner ON access_keys (account_id, user_id);
CREATE INDEX access_keys_by_user ON access_keys (user_id);

-- Bearer tokens. digest: a keyed hash of the token, which stands nowhere. user_id is null for the account's root. access_key: what it
-- was issued for; its end is the token's. parent: the token with which it was made, whose end is its own.
CREATE TABLE bearer_tokens (
    digest      BLOB    NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    account_id  TEXT    NOT NULL REFERENCES accounts (id),
    user_id     BLOB,
    access_key  TEXT,
    accessor    TEXT    NOT NULL UNIQUE,
    login       TEXT    NOT NULL,
    label       TEXT    NOT NULL,
    parent      BLOB,
    issued_at   INTEGER NOT NULL,
    ttl_ms      INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    max_at      INTEGER NOT NULL,
    renewable   INTEGER NOT NULL CHECK (renewable IN (0, 1)),
    mac         BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX bearer_tokens_by_owner ON bearer_tokens (account_id, digest);
CREATE INDEX bearer_tokens_by_parent ON bearer_tokens (parent) WHERE parent IS NOT NULL;
CREATE INDEX bearer_tokens_due ON bearer_tokens (expires_at);

CREATE TABLE policies (
    account_id TEXT    NOT NULL REFERENCES accounts (id),
    name       TEXT    NOT NULL,
    document   TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    mac        BLOB    NOT NULL,
    PRIMARY KEY (account_id, name)
) STRICT, WITHOUT ROWID;

-- system: the policy is one of those built in, which have no row in policies.
CREATE TABLE policy_attachments (
    user_id     BLOB    NOT NULL REFERENCES users (id),
    system      INTEGER NOT NULL CHECK (system IN (0, 1)),
    policy_name TEXT    NOT NULL,
    account_id  TEXT    NOT NULL REFERENCES accounts (id),
    mac         BLOB    NOT NULL,
    PRIMARY KEY (user_id, system, policy_name)
) STRICT, WITHOUT ROWID;
CREATE INDEX policy_attachments_by_policy ON policy_attachments (account_id, policy_name);

-- Access points: what a client key may do, and from where. policies, permissions, resources, network_rules and source_ips are JSON
-- lists of texts.
CREATE TABLE access_points (
    account_id  TEXT    NOT NULL REFERENCES accounts (id),
    name        TEXT    NOT NULL,
    description TEXT    NOT NULL,
    policies    TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    mac         BLOB    NOT NULL,
    PRIMARY KEY (account_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE access_policies (
    account_id    TEXT    NOT NULL REFERENCES accounts (id),
    name          TEXT    NOT NULL,
    description   TEXT    NOT NULL,
    kms_instance  TEXT    NOT NULL,
    permissions   TEXT    NOT NULL,
    resources     TEXT    NOT NULL,
    network_rules TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    mac           BLOB    NOT NULL,
    PRIMARY KEY (account_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE network_rules (
    account_id  TEXT    NOT NULL REFERENCES accounts (id),
    name        TEXT    NOT NULL,
    description TEXT    NOT NULL,
    source_ips  TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    mac         BLOB    NOT NULL,
    PRIMARY KEY (account_id, name)
) STRICT, WITHOUT ROWID;

-- The public half alone: the private one left with the caller.
CREATE TABLE client_keys (
    id           TEXT    NOT NULL PRIMARY KEY,
    account_id   TEXT    NOT NULL,
    access_point TEXT    NOT NULL,
    public_key   BLOB    NOT NULL,
    not_before   INTEGER NOT NULL,
    not_after    INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    mac          BLOB    NOT NULL,
    FOREIGN KEY (account_id, access_point) REFERENCES access_points (account_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX client_keys_by_access_point ON client_keys (account_id, access_point);

-- service: made by the service as an account's default key, not by a caller.
CREATE TABLE keys (
    id                  BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    account_id          TEXT    NOT NULL REFERENCES accounts (id),
    spec                TEXT    NOT NULL,
    usage               TEXT    NOT NULL,
    origin              TEXT    NOT NULL,
    protection          TEXT    NOT NULL,
    state               TEXT    NOT NULL,
    service             INTEGER NOT NULL CHECK (service IN (0, 1)),
    description         TEXT    NOT NULL,
    primary_version     BLOB    NOT NULL CHECK (length(primary_version) = 16),
    created_at          INTEGER NOT NULL,
    delete_at           INTEGER,
    material_expires_at INTEGER,
    deletion_protection TEXT,
    kms_instance        TEXT,
    mac                 BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX keys_by_account ON keys (account_id, created_at, id);
CREATE INDEX keys_due ON keys (delete_at) WHERE delete_at IS NOT NULL;
CREATE INDEX keys_expiring ON keys (material_expires_at) WHERE material_expires_at IS NOT NULL;

-- ready: its object on the token is proved; of a key, one version at a time is being made. uses: how many encryptions under it the
-- nodes have reserved, never fewer than there were.
CREATE TABLE key_versions (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    key_id     BLOB    NOT NULL REFERENCES keys (id),
    created_at INTEGER NOT NULL,
    ready      INTEGER NOT NULL CHECK (ready IN (0, 1)),
    uses       INTEGER NOT NULL,
    mac        BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX key_versions_by_key ON key_versions (key_id, created_at);
CREATE UNIQUE INDEX key_versions_in_the_making ON key_versions (key_id) WHERE ready = 0;

-- Objects on the token that are to be destroyed when their quarantine is over. No reference: key and version are gone.
CREATE TABLE condemned (
    id           BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    key_id       BLOB    NOT NULL CHECK (length(key_id) = 16),
    account_id   TEXT    NOT NULL,
    condemned_at INTEGER NOT NULL,
    mac          BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX condemned_by_key ON condemned (key_id);
CREATE INDEX condemned_due ON condemned (condemned_at);

-- When a key gets its next version. interval_s: seconds between two; null where rotation is off and the present version has encrypted
-- so often that it needs a successor all the same.
CREATE TABLE key_rotations (
    key_id     BLOB    NOT NULL PRIMARY KEY REFERENCES keys (id),
    interval_s INTEGER,
    due_at     INTEGER NOT NULL,
    mac        BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX key_rotations_due ON key_rotations (due_at);

-- What an EXTERNAL key's version was given. check_value tells whether material that comes again is the same; null until some came.
CREATE TABLE key_materials (
    key_version_id BLOB    NOT NULL PRIMARY KEY CHECK (length(key_version_id) = 16),
    key_id         BLOB    NOT NULL REFERENCES keys (id),
    state          TEXT    NOT NULL,
    check_value    BLOB,
    changed_at     INTEGER NOT NULL,
    mac            BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX key_materials_by_key ON key_materials (key_id);
CREATE INDEX key_materials_moving ON key_materials (changed_at) WHERE state IN ('Importing', 'Removing');

-- A wrapping pair for one day: on the token under its id, or wrapped by SYS. No reference to keys: a key may go before its day ends.
CREATE TABLE import_parameters (
    id            BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    key_id        BLOB    NOT NULL CHECK (length(key_id) = 16),
    algorithm     TEXT    NOT NULL,
    token_digest  BLOB    NOT NULL CHECK (length(token_digest) = 32),
    ready         INTEGER NOT NULL CHECK (ready IN (0, 1)),
    failures      INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    wrapped_suite INTEGER,
    wrapped       BLOB,
    mac           BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX import_parameters_by_key ON import_parameters (key_id);
CREATE INDEX import_parameters_due ON import_parameters (expires_at);

CREATE TABLE default_keys (
    account_id TEXT NOT NULL PRIMARY KEY REFERENCES accounts (id),
    key_id     BLOB NOT NULL REFERENCES keys (id),
    mac        BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX default_keys_by_key ON default_keys (key_id);

CREATE TABLE aliases (
    account_id TEXT    NOT NULL REFERENCES accounts (id),
    name       TEXT    NOT NULL,
    key_id     BLOB    NOT NULL REFERENCES keys (id),
    created_at INTEGER NOT NULL,
    mac        BLOB    NOT NULL,
    PRIMARY KEY (account_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX aliases_by_key ON aliases (key_id);

-- user_key: the caller chose the key. content: digests of its labels, versions, tags and rotation. No index by key_id: a key is deleted rarely, and the index would cost every secret about a
-- tenth of its size; the deletion of a key reads the table once instead.
CREATE TABLE secrets (
    account_id   TEXT    NOT NULL REFERENCES accounts (id),
    name         TEXT    NOT NULL,
    id           BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    secret_type  TEXT    NOT NULL,
    description  TEXT    NOT NULL,
    key_id       BLOB    NOT NULL REFERENCES keys (id),
    user_key     INTEGER NOT NULL CHECK (user_key IN (0, 1)),
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    delete_at    INTEGER,
    kms_instance TEXT,
    content      BLOB    NOT NULL,
    mac          BLOB    NOT NULL,
    PRIMARY KEY (account_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX secrets_due ON secrets (delete_at) WHERE delete_at IS NOT NULL;

-- How many secrets an account has, in parts that are added up: two that make or delete secrets at once seldom change the same one. A
-- list would otherwise count all rows for each page. No mac: nothing is decided by it but an account's quota.
CREATE TABLE secret_counts (
    account_id TEXT    NOT NULL REFERENCES accounts (id),
    part       INTEGER NOT NULL,
    secrets    INTEGER NOT NULL CHECK (secrets >= 0),
    PRIMARY KEY (account_id, part)
) STRICT, WITHOUT ROWID;

-- No mac: the associated data of the encryption binds the columns, and the secret's content number, deleted_at and destroyed
-- (docs/formats.md). number: 1 for the first, never used again. deleted_at: since when it is not served, until it is undeleted.
-- destroyed: its wrapped data key and all that was encrypted is gone; the row says that it was there.
CREATE TABLE secret_versions (
    secret_id      BLOB    NOT NULL REFERENCES secrets (id),
    version_id     TEXT    NOT NULL,
    uuid           BLOB    NOT NULL CHECK (length(uuid) = 16),
    number         INTEGER NOT NULL,
    deleted_at     INTEGER,
    destroyed      INTEGER NOT NULL CHECK (destroyed IN (0, 1)),
    data_type      TEXT    NOT NULL,
    created_at     INTEGER NOT NULL,
    key_version_id BLOB    NOT NULL CHECK (length(key_version_id) = 16),
    suite          INTEGER NOT NULL,
    wrapped        BLOB    NOT NULL,
    commitment     BLOB    NOT NULL,
    nonce          BLOB    NOT NULL,
    ciphertext     BLOB    NOT NULL,
    PRIMARY KEY (secret_id, version_id)
) STRICT, WITHOUT ROWID;

-- number, withheld: of the version, so that a read by label proves them: whether it is deleted or destroyed.
CREATE TABLE version_stages (
    secret_id    BLOB NOT NULL,
    stage        TEXT NOT NULL,
    version_id   TEXT NOT NULL,
    version_uuid BLOB NOT NULL CHECK (length(version_uuid) = 16),
    number       INTEGER NOT NULL,
    withheld     INTEGER NOT NULL CHECK (withheld IN (0, 1)),
    mac          BLOB NOT NULL,
    PRIMARY KEY (secret_id, stage),
    FOREIGN KEY (secret_id, version_id) REFERENCES secret_versions (secret_id, version_id)
) STRICT, WITHOUT ROWID;

-- How a managed secret is rotated. interval_ms: none while it is not by itself. pending_*: the version whose password is being set
-- on the server. attempt_at: when the job acts next. holder: the node that rotates it now, until held_until.
CREATE TABLE rotations (
    secret_id    BLOB NOT NULL PRIMARY KEY REFERENCES secrets (id),
    sub_type     TEXT NOT NULL,
    instance     TEXT NOT NULL,
    custom_data  TEXT NOT NULL,
    interval_ms  INTEGER,
    last_at      INTEGER,
    next_at      INTEGER,
    pending_id   TEXT,
    pending_uuid BLOB CHECK (length(pending_uuid) = 16),
    attempt_at   INTEGER,
    failures     INTEGER NOT NULL,
    holder       BLOB CHECK (length(holder) = 16),
    held_until   INTEGER,
    mac          BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX rotations_due ON rotations (attempt_at) WHERE attempt_at IS NOT NULL;

-- An account of a server is managed by one secret.
CREATE TABLE rotation_accounts (
    instance  TEXT NOT NULL,
    name      TEXT NOT NULL,
    secret_id BLOB NOT NULL REFERENCES secrets (id),
    mac       BLOB NOT NULL,
    PRIMARY KEY (instance, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX rotation_accounts_by_secret ON rotation_accounts (secret_id);

-- Rotations that callers began within the last hour. No mac: an account's limit alone depends on it.
CREATE TABLE rotation_calls (
    account_id   TEXT    NOT NULL REFERENCES accounts (id),
    called_at    INTEGER NOT NULL,
    version_uuid BLOB    NOT NULL CHECK (length(version_uuid) = 16),
    PRIMARY KEY (account_id, called_at, version_uuid)
) STRICT, WITHOUT ROWID;

-- resource_kind: 1 a key, 2 a secret.
CREATE TABLE tags (
    resource_id   BLOB    NOT NULL CHECK (length(resource_id) = 16),
    tag_key       TEXT    NOT NULL,
    account_id    TEXT    NOT NULL,
    resource_kind INTEGER NOT NULL CHECK (resource_kind IN (1, 2)),
    tag_value     TEXT    NOT NULL,
    mac           BLOB    NOT NULL,
    PRIMARY KEY (resource_id, tag_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_by_key ON tags (account_id, resource_kind, tag_key, tag_value);

-- resource: 'secret/NAME' or 'key/ID', as in its ARN.
CREATE TABLE resource_policies (
    account_id TEXT    NOT NULL REFERENCES accounts (id),
    resource   TEXT    NOT NULL,
    document   TEXT    NOT NULL,
    updated_at INTEGER NOT NULL,
    mac        BLOB    NOT NULL,
    PRIMARY KEY (account_id, resource)
) STRICT, WITHOUT ROWID;

CREATE TABLE nonces (
    digest     BLOB    NOT NULL PRIMARY KEY CHECK (length(digest) = 16),
    request_id BLOB    NOT NULL CHECK (length(request_id) = 16),
    node       BLOB    NOT NULL CHECK (length(node) = 16),
    expires_at INTEGER NOT NULL,
    mac        BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX nonces_by_expiry ON nonces (node, expires_at);

CREATE TABLE leases (
    name   TEXT    NOT NULL PRIMARY KEY,
    holder BLOB    NOT NULL CHECK (length(holder) = 16),
    until  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
