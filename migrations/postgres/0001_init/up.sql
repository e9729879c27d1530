-- The first schema. Ids are 16 bytes, times are milliseconds since 1970, words are those of src/kinds.rs. Text is
-- compared by its bytes (COLLATE "C"). `mac` is the MAC of all other columns of the row (src/integrity.rs).
-- The twin of this file is migrations/sqlite; a test compares them.

-- One row: the installation. Read before the key of the MACs is known, so it carries none: a false id here names an object that the
-- token does not have, or a key that verifies no row.
CREATE TABLE deployment (
    id         BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    region     TEXT COLLATE "C" NOT NULL,
    sys_key    BYTEA NOT NULL CHECK (length(sys_key) = 16),
    int_key    BYTEA NOT NULL CHECK (length(int_key) = 16),
    aud_key    BYTEA NOT NULL CHECK (length(aud_key) = 16),
    suite      SMALLINT NOT NULL,
    ready      BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX deployment_is_one ON deployment ((1));

-- One row: rises with every change of who may do what; nodes watch it to drop what they remember.
CREATE TABLE identity_revision (
    id    SMALLINT NOT NULL PRIMARY KEY CHECK (id = 1),
    value BIGINT NOT NULL
);
INSERT INTO identity_revision (id, value) VALUES (1, 0);

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

-- service: made by the service as an account's default key, not by a caller.
CREATE TABLE keys (
    id                              BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    account_id                      TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    spec                            TEXT COLLATE "C" NOT NULL,
    usage                           TEXT COLLATE "C" NOT NULL,
    origin                          TEXT COLLATE "C" NOT NULL,
    protection                      TEXT COLLATE "C" NOT NULL,
    state                           TEXT COLLATE "C" NOT NULL,
    service                         BOOLEAN NOT NULL,
    description                     TEXT COLLATE "C" NOT NULL,
    primary_version                 BYTEA NOT NULL CHECK (length(primary_version) = 16),
    created_at                      BIGINT NOT NULL,
    delete_at                       BIGINT,
    deletion_protection             BOOLEAN NOT NULL,
    deletion_protection_description TEXT COLLATE "C" NOT NULL,
    mac                             BYTEA NOT NULL
);
CREATE INDEX keys_by_account ON keys (account_id, created_at, id);
CREATE INDEX keys_due ON keys (delete_at) WHERE delete_at IS NOT NULL;

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

-- When a key gets its next version. interval_s: seconds between two; null where rotation is off and the present version has encrypted
-- so often that it needs a successor all the same.
CREATE TABLE key_rotations (
    key_id     BYTEA NOT NULL PRIMARY KEY REFERENCES keys (id),
    interval_s BIGINT,
    due_at     BIGINT NOT NULL,
    mac        BYTEA NOT NULL
);
CREATE INDEX key_rotations_due ON key_rotations (due_at);

CREATE TABLE default_keys (
    account_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES accounts (id),
    key_id     BYTEA NOT NULL REFERENCES keys (id),
    mac        BYTEA NOT NULL
);

CREATE TABLE aliases (
    account_id TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    name       TEXT COLLATE "C" NOT NULL,
    key_id     BYTEA NOT NULL REFERENCES keys (id),
    created_at BIGINT NOT NULL,
    mac        BYTEA NOT NULL,
    PRIMARY KEY (account_id, name)
);
CREATE INDEX aliases_by_key ON aliases (key_id);

-- user_key: the caller chose the key. No index by key_id: a key is deleted rarely, and the index would cost every secret about a
-- tenth of its size; the deletion of a key reads the table once instead.
CREATE TABLE secrets (
    account_id  TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    name        TEXT COLLATE "C" NOT NULL,
    id          BYTEA NOT NULL UNIQUE CHECK (length(id) = 16),
    secret_type TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C" NOT NULL,
    key_id      BYTEA NOT NULL REFERENCES keys (id),
    user_key    BOOLEAN NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    delete_at   BIGINT,
    mac         BYTEA NOT NULL,
    PRIMARY KEY (account_id, name)
);
CREATE INDEX secrets_due ON secrets (delete_at) WHERE delete_at IS NOT NULL;

-- No mac: the associated data of the encryption binds the columns (docs/formats.md).
CREATE TABLE secret_versions (
    secret_id      BYTEA NOT NULL REFERENCES secrets (id),
    version_id     TEXT COLLATE "C" NOT NULL,
    uuid           BYTEA NOT NULL CHECK (length(uuid) = 16),
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
    mac          BYTEA NOT NULL,
    PRIMARY KEY (secret_id, stage),
    FOREIGN KEY (secret_id, version_id) REFERENCES secret_versions (secret_id, version_id)
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
    expires_at BIGINT NOT NULL
);
CREATE INDEX nonces_by_expiry ON nonces (node, expires_at);

CREATE TABLE leases (
    name   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder BYTEA NOT NULL CHECK (length(holder) = 16),
    until  BIGINT NOT NULL
);
