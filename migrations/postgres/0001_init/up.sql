-- The first schema. Ids are 16 bytes, times are milliseconds since 1970, words are those of src/base/words.rs. Text is
-- compared by its bytes (COLLATE "C"). `mac` is the layout of the row and the MAC of
-- it and all other columns (src/store/engine/row_mac.rs).
-- The twin of this file is migrations/sqlite; a test compares them.

-- One row: the installation. Read before the key of the MACs is known: until it verifies, its ids are claims that the token must
-- confirm. level: the level that rows are written at (src/store/engine/level.rs). spare_row_key: the next root of row MACs while `bulla
-- rekey` is at it, or the one before until it is destroyed.
CREATE TABLE deployment (
    id         BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    region     TEXT COLLATE "C" NOT NULL,
    sys_key    BYTEA NOT NULL CHECK (length(sys_key) = 16),
    int_key    BYTEA NOT NULL CHECK (length(int_key) = 16),
    aud_key    BYTEA NOT NULL CHECK (length(aud_key) = 16),
    row_key    BYTEA NOT NULL CHECK (length(row_key) = 16),
    spare_row_key BYTEA CHECK (length(spare_row_key) = 16),
    suite      SMALLINT NOT NULL,
    ready      BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    level      SMALLINT NOT NULL,
    left_out   TEXT COLLATE "C" NOT NULL,
    mac        BYTEA NOT NULL
);
CREATE UNIQUE INDEX deployment_is_one ON deployment ((1));

-- The level of every migration, for programs that do not have it: one level ahead of them they work, beyond it they refuse.
CREATE TABLE schema_levels (
    version TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    level   SMALLINT NOT NULL
);
INSERT INTO schema_levels (version, level) VALUES ('0001', 1);

-- The nodes that run, and the levels that each serves.
CREATE TABLE nodes (
    id      BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    lowest  SMALLINT NOT NULL,
    highest SMALLINT NOT NULL,
    seen_at BIGINT NOT NULL,
    mac     BYTEA NOT NULL
);

-- How far the audit log of each node had come: what its last durable line was when this was written. token: drawn anew each time.
-- open_from: the first line of which an intent was open. rights, changes, digest: where the database itself stood at least (docs/formats.md).
CREATE TABLE log_heads (
    node       BYTEA NOT NULL CHECK (length(node) = 16),
    log        TEXT NOT NULL,
    place      TEXT NOT NULL,
    generation BIGINT NOT NULL,
    token      BYTEA NOT NULL CHECK (length(token) = 16),
    seq        BIGINT NOT NULL,
    hash       BYTEA NOT NULL,
    open_from  BIGINT NOT NULL,
    rights     BIGINT NOT NULL,
    changes    BIGINT NOT NULL,
    digest     BYTEA NOT NULL,
    written_at BIGINT NOT NULL,
    mac        BYTEA NOT NULL,
    PRIMARY KEY (node, log)
);

-- One row: when `bulla restore` last accepted the database, and the key on the token that is made anew every hour.
CREATE TABLE anchors (
    id          SMALLINT NOT NULL PRIMARY KEY,
    restored_at BIGINT NOT NULL,
    key_id      BYTEA NOT NULL CHECK (length(key_id) = 16),
    previous_key BYTEA CHECK (length(previous_key) = 16),
    key_since   BIGINT NOT NULL,
    mac         BYTEA NOT NULL
);

-- Digests of who may do what (docs/formats.md). scope: 'r' the sum of all others; an account, its policies of single keys and secrets, a
-- user, a key. seq: of 'r' it rises with every change; of the others it is what that was at their last change.
CREATE TABLE scopes (
    scope  BYTEA    NOT NULL PRIMARY KEY,
    seq    BIGINT NOT NULL,
    digest BYTEA    NOT NULL,
    mac    BYTEA    NOT NULL
) WITH (fillfactor = 25);

-- Digests of the secrets, by the first byte of their ids. seq: how often a part has changed.
CREATE TABLE parts (
    part   SMALLINT NOT NULL PRIMARY KEY,
    seq    BIGINT NOT NULL,
    digest BYTEA    NOT NULL,
    mac    BYTEA    NOT NULL
) WITH (fillfactor = 25);

CREATE TABLE accounts (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL UNIQUE,
    enabled    BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    mac        BYTEA NOT NULL
);

CREATE TABLE users (
    id         BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    account_id TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    name       TEXT COLLATE "C" NOT NULL,
    enabled    BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    mac        BYTEA NOT NULL,
    UNIQUE (account_id, name)
);

-- user_id is null for a key of the account's root.
CREATE TABLE access_keys (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    account_id TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    user_id    BYTEA REFERENCES users (id),
    enabled    BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    suite      SMALLINT NOT NULL,
    wrapped    BYTEA NOT NULL,
    mac        BYTEA NOT NULL
);
CREATE INDEX access_keys_by_owner ON access_keys (account_id, user_id);
CREATE INDEX access_keys_by_user ON access_keys (user_id);

CREATE TABLE bearer_tokens (
    digest      BYTEA NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    account_id  TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    user_id     BYTEA,
    access_key  TEXT COLLATE "C",
    accessor    TEXT COLLATE "C" NOT NULL UNIQUE,
    login       TEXT COLLATE "C" NOT NULL,
    label       TEXT COLLATE "C" NOT NULL,
    parent      BYTEA,
    issued_at   BIGINT NOT NULL,
    ttl_ms      BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    max_at      BIGINT NOT NULL,
    renewable   BOOLEAN NOT NULL,
    mac         BYTEA NOT NULL
);
CREATE INDEX bearer_tokens_by_owner ON bearer_tokens (account_id, digest);
CREATE INDEX bearer_tokens_by_parent ON bearer_tokens (parent) WHERE parent IS NOT NULL;
CREATE INDEX bearer_tokens_due ON bearer_tokens (expires_at);

CREATE TABLE policies (
    account_id TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    name       TEXT COLLATE "C" NOT NULL,
    document   TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    mac        BYTEA NOT NULL,
    PRIMARY KEY (account_id, name)
);

-- system: the policy is one of those built in, which have no row in policies.
CREATE TABLE policy_attachments (
    user_id     BYTEA NOT NULL REFERENCES users (id),
    system      BOOLEAN NOT NULL,
    policy_name TEXT COLLATE "C" NOT NULL,
    account_id  TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    mac         BYTEA NOT NULL,
    PRIMARY KEY (user_id, system, policy_name)
);
CREATE INDEX policy_attachments_by_policy ON policy_attachments (account_id, policy_name);

-- Access points: what a client key may do, and from where. policies, permissions, resources, network_rules and source_ips are JSON
-- lists of texts.
CREATE TABLE access_points (
    account_id  TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    name        TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C" NOT NULL,
    policies    TEXT COLLATE "C" NOT NULL,
    created_at  BIGINT NOT NULL,
    mac         BYTEA NOT NULL,
    PRIMARY KEY (account_id, name)
);

CREATE TABLE access_policies (
    account_id    TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    name          TEXT COLLATE "C" NOT NULL,
    description   TEXT COLLATE "C" NOT NULL,
    kms_instance  TEXT COLLATE "C" NOT NULL,
    permissions   TEXT COLLATE "C" NOT NULL,
    resources     TEXT COLLATE "C" NOT NULL,
    network_rules TEXT COLLATE "C" NOT NULL,
    created_at    BIGINT NOT NULL,
    mac           BYTEA NOT NULL,
    PRIMARY KEY (account_id, name)
);

CREATE TABLE network_rules (
    account_id  TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    name        TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C" NOT NULL,
    source_ips  TEXT COLLATE "C" NOT NULL,
    created_at  BIGINT NOT NULL,
    mac         BYTEA NOT NULL,
    PRIMARY KEY (account_id, name)
);

-- The public half alone: the private one left with the caller.
CREATE TABLE client_keys (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    account_id   TEXT COLLATE "C" NOT NULL,
    access_point TEXT COLLATE "C" NOT NULL,
    public_key   BYTEA NOT NULL,
    not_before   BIGINT NOT NULL,
    not_after    BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    mac          BYTEA NOT NULL,
    FOREIGN KEY (account_id, access_point) REFERENCES access_points (account_id, name)
);
CREATE INDEX client_keys_by_access_point ON client_keys (account_id, access_point);

-- service: made by the service as an account's default key, not by a caller.
CREATE TABLE keys (
    id                  BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    account_id          TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    spec                TEXT COLLATE "C" NOT NULL,
    usage               TEXT COLLATE "C" NOT NULL,
    origin              TEXT COLLATE "C" NOT NULL,
    protection          TEXT COLLATE "C" NOT NULL,
    state               TEXT COLLATE "C" NOT NULL,
    service             BOOLEAN NOT NULL,
    description         TEXT COLLATE "C" NOT NULL,
    primary_version     BYTEA NOT NULL CHECK (length(primary_version) = 16),
    created_at          BIGINT NOT NULL,
    delete_at           BIGINT,
    material_expires_at BIGINT,
    deletion_protection TEXT COLLATE "C",
    kms_instance        TEXT COLLATE "C",
    mac                 BYTEA NOT NULL
);
CREATE INDEX keys_by_account ON keys (account_id, created_at, id);
CREATE INDEX keys_due ON keys (delete_at) WHERE delete_at IS NOT NULL;
CREATE INDEX keys_expiring ON keys (material_expires_at) WHERE material_expires_at IS NOT NULL;

-- ready: its object on the token is proved; of a key, one version at a time is being made. uses: how many encryptions under it the
-- nodes have reserved, never fewer than there were.
CREATE TABLE key_versions (
    id         BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    key_id     BYTEA NOT NULL REFERENCES keys (id),
    created_at BIGINT NOT NULL,
    ready      BOOLEAN NOT NULL,
    uses       BIGINT NOT NULL,
    mac        BYTEA NOT NULL
);
CREATE INDEX key_versions_by_key ON key_versions (key_id, created_at);
CREATE UNIQUE INDEX key_versions_in_the_making ON key_versions (key_id) WHERE NOT ready;

-- Objects on the token that are to be destroyed when their quarantine is over. No reference: key and version are gone.
CREATE TABLE condemned (
    id           BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    key_id       BYTEA NOT NULL CHECK (length(key_id) = 16),
    account_id   TEXT COLLATE "C" NOT NULL,
    condemned_at BIGINT NOT NULL,
    mac          BYTEA NOT NULL
);
CREATE INDEX condemned_by_key ON condemned (key_id);
CREATE INDEX condemned_due ON condemned (condemned_at);

-- When a key gets its next version. interval_s: seconds between two; null where rotation is off and the present version has encrypted
-- so often that it needs a successor all the same.
CREATE TABLE key_rotations (
    key_id     BYTEA NOT NULL PRIMARY KEY REFERENCES keys (id),
    interval_s BIGINT,
    due_at     BIGINT NOT NULL,
    mac        BYTEA NOT NULL
);
CREATE INDEX key_rotations_due ON key_rotations (due_at);

-- What an EXTERNAL key's version was given. check_value tells whether material that comes again is the same; null until some came.
CREATE TABLE key_materials (
    key_version_id BYTEA NOT NULL PRIMARY KEY CHECK (length(key_version_id) = 16),
    key_id         BYTEA NOT NULL REFERENCES keys (id),
    state          TEXT COLLATE "C" NOT NULL,
    check_value    BYTEA,
    changed_at     BIGINT NOT NULL,
    mac            BYTEA NOT NULL
);
CREATE INDEX key_materials_by_key ON key_materials (key_id);
CREATE INDEX key_materials_moving ON key_materials (changed_at) WHERE state IN ('Importing', 'Removing');

-- A wrapping pair for one day: on the token under its id, or wrapped by SYS. No reference to keys: a key may go before its day ends.
CREATE TABLE import_parameters (
    id            BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    key_id        BYTEA NOT NULL CHECK (length(key_id) = 16),
    algorithm     TEXT COLLATE "C" NOT NULL,
    token_digest  BYTEA NOT NULL CHECK (length(token_digest) = 32),
    ready         BOOLEAN NOT NULL,
    failures      BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    wrapped_suite SMALLINT,
    wrapped       BYTEA,
    mac           BYTEA NOT NULL
);
CREATE INDEX import_parameters_by_key ON import_parameters (key_id);
CREATE INDEX import_parameters_due ON import_parameters (expires_at);

CREATE TABLE default_keys (
    account_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES accounts (id),
    key_id     BYTEA NOT NULL REFERENCES keys (id),
    mac        BYTEA NOT NULL
);
CREATE INDEX default_keys_by_key ON default_keys (key_id);

CREATE TABLE aliases (
    account_id TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    name       TEXT COLLATE "C" NOT NULL,
    key_id     BYTEA NOT NULL REFERENCES keys (id),
    created_at BIGINT NOT NULL,
    mac        BYTEA NOT NULL,
    PRIMARY KEY (account_id, name)
);
CREATE INDEX aliases_by_key ON aliases (key_id);

-- user_key: the caller chose the key. content: digests of its labels, versions, tags and rotation. No index by key_id: a key is deleted rarely, and the index would cost every secret about a
-- tenth of its size; the deletion of a key reads the table once instead.
CREATE TABLE secrets (
    account_id   TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    name         TEXT COLLATE "C" NOT NULL,
    id           BYTEA NOT NULL UNIQUE CHECK (length(id) = 16),
    secret_type  TEXT COLLATE "C" NOT NULL,
    description  TEXT COLLATE "C" NOT NULL,
    key_id       BYTEA NOT NULL REFERENCES keys (id),
    user_key     BOOLEAN NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    delete_at    BIGINT,
    kms_instance TEXT COLLATE "C",
    content      BYTEA NOT NULL,
    mac          BYTEA NOT NULL,
    PRIMARY KEY (account_id, name)
);
CREATE INDEX secrets_due ON secrets (delete_at) WHERE delete_at IS NOT NULL;

-- How many secrets an account has, in parts that are added up: two that make or delete secrets at once seldom change the same one. A
-- list would otherwise count all rows for each page. No mac: nothing is decided by it but an account's quota.
CREATE TABLE secret_counts (
    account_id TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    part       SMALLINT NOT NULL,
    secrets    BIGINT NOT NULL CHECK (secrets >= 0),
    PRIMARY KEY (account_id, part)
);

-- No mac: the associated data of the encryption binds the columns (docs/formats.md).
CREATE TABLE secret_versions (
    secret_id      BYTEA NOT NULL REFERENCES secrets (id),
    version_id     TEXT COLLATE "C" NOT NULL,
    uuid           BYTEA NOT NULL CHECK (length(uuid) = 16),
    number         BIGINT NOT NULL,
    deleted_at     BIGINT,
    destroyed      BOOLEAN NOT NULL,
    data_type      TEXT COLLATE "C" NOT NULL,
    created_at     BIGINT NOT NULL,
    key_version_id BYTEA NOT NULL CHECK (length(key_version_id) = 16),
    suite          SMALLINT NOT NULL,
    wrapped        BYTEA NOT NULL,
    commitment     BYTEA NOT NULL,
    nonce          BYTEA NOT NULL,
    ciphertext     BYTEA NOT NULL,
    PRIMARY KEY (secret_id, version_id)
);

-- Ciphertext does not compress; don't try.
ALTER TABLE secret_versions ALTER COLUMN ciphertext SET STORAGE EXTERNAL;

CREATE TABLE version_stages (
    secret_id    BYTEA NOT NULL,
    stage        TEXT COLLATE "C" NOT NULL,
    version_id   TEXT COLLATE "C" NOT NULL,
    version_uuid BYTEA NOT NULL CHECK (length(version_uuid) = 16),
    number       BIGINT NOT NULL,
    withheld     BOOLEAN NOT NULL,
    mac          BYTEA NOT NULL,
    PRIMARY KEY (secret_id, stage),
    FOREIGN KEY (secret_id, version_id) REFERENCES secret_versions (secret_id, version_id)
);

-- How a managed secret is rotated. interval_ms: none while it is not by itself. pending_*: the version whose password is being set
-- on the server. attempt_at: when the job acts next. holder: the node that rotates it now, until held_until.
CREATE TABLE rotations (
    secret_id    BYTEA NOT NULL PRIMARY KEY REFERENCES secrets (id),
    sub_type     TEXT COLLATE "C" NOT NULL,
    instance     TEXT COLLATE "C" NOT NULL,
    custom_data  TEXT COLLATE "C" NOT NULL,
    interval_ms  BIGINT,
    last_at      BIGINT,
    next_at      BIGINT,
    pending_id   TEXT COLLATE "C",
    pending_uuid BYTEA CHECK (length(pending_uuid) = 16),
    attempt_at   BIGINT,
    failures     BIGINT NOT NULL,
    holder       BYTEA CHECK (length(holder) = 16),
    held_until   BIGINT,
    mac          BYTEA NOT NULL
);
CREATE INDEX rotations_due ON rotations (attempt_at) WHERE attempt_at IS NOT NULL;

-- An account of a server is managed by one secret.
CREATE TABLE rotation_accounts (
    instance  TEXT COLLATE "C" NOT NULL,
    name      TEXT COLLATE "C" NOT NULL,
    secret_id BYTEA NOT NULL REFERENCES secrets (id),
    mac       BYTEA NOT NULL,
    PRIMARY KEY (instance, name)
);
CREATE INDEX rotation_accounts_by_secret ON rotation_accounts (secret_id);

-- Rotations that callers began within the last hour. No mac: an account's limit alone depends on it.
CREATE TABLE rotation_calls (
    account_id   TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    called_at    BIGINT NOT NULL,
    version_uuid BYTEA NOT NULL CHECK (length(version_uuid) = 16),
    PRIMARY KEY (account_id, called_at, version_uuid)
);

-- resource_kind: 1 a key, 2 a secret.
CREATE TABLE tags (
    resource_id   BYTEA NOT NULL CHECK (length(resource_id) = 16),
    tag_key       TEXT COLLATE "C" NOT NULL,
    account_id    TEXT COLLATE "C" NOT NULL,
    resource_kind SMALLINT NOT NULL CHECK (resource_kind IN (1, 2)),
    tag_value     TEXT COLLATE "C" NOT NULL,
    mac           BYTEA NOT NULL,
    PRIMARY KEY (resource_id, tag_key)
);
CREATE INDEX tags_by_key ON tags (account_id, resource_kind, tag_key, tag_value);

-- resource: 'secret/NAME' or 'key/ID', as in its ARN.
CREATE TABLE resource_policies (
    account_id TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    resource   TEXT COLLATE "C" NOT NULL,
    document   TEXT   NOT NULL,
    updated_at BIGINT NOT NULL,
    mac        BYTEA  NOT NULL,
    PRIMARY KEY (account_id, resource)
);

CREATE TABLE nonces (
    digest     BYTEA NOT NULL PRIMARY KEY CHECK (length(digest) = 16),
    request_id BYTEA NOT NULL CHECK (length(request_id) = 16),
    node       BYTEA NOT NULL CHECK (length(node) = 16),
    expires_at BIGINT NOT NULL,
    mac        BYTEA NOT NULL
);
CREATE INDEX nonces_by_expiry ON nonces (node, expires_at);

CREATE TABLE leases (
    name   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder BYTEA NOT NULL CHECK (length(holder) = 16),
    until  BIGINT NOT NULL
);
