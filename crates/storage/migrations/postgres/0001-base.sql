-- Accounts, what their logins need, and what instant messaging keeps for them: as schemas 1 to 3 of SQLite, whose files say
-- why each table is as it is. Texts compare by their bytes (COLLATE "C"), whatever the database's collation. Yes and no are
-- 1 and 0, as the statements are written for both databases. Identities are never used twice.

CREATE TABLE server_value (
    name  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);

CREATE TABLE account (
    id                     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    domain                 TEXT COLLATE "C" NOT NULL CHECK (domain <> ''),
    localpart              TEXT COLLATE "C" NOT NULL CHECK (localpart <> ''),
    disabled               SMALLINT NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    created_unix_s         BIGINT NOT NULL,
    credentials_set_unix_s BIGINT NOT NULL,
    roster_changes         BIGINT NOT NULL DEFAULT 0,
    roster_requests        BIGINT NOT NULL DEFAULT 0,
    offline_messages       BIGINT NOT NULL DEFAULT 0 CHECK (offline_messages >= 0),
    offline_bytes          BIGINT NOT NULL DEFAULT 0 CHECK (offline_bytes >= 0),
    UNIQUE (domain, localpart)
) WITH (fillfactor = 80);

CREATE TABLE scram_key (
    account_id BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    hash       TEXT COLLATE "C" NOT NULL CHECK (hash IN ('sha-1', 'sha-256', 'sha-512')),
    iterations BIGINT NOT NULL CHECK (iterations > 0),
    salt       BYTEA NOT NULL CHECK (length(salt) > 0),
    stored_key BYTEA NOT NULL,
    server_key BYTEA NOT NULL,
    PRIMARY KEY (account_id, hash),
    CHECK (length(stored_key) = CASE hash WHEN 'sha-1' THEN 20 WHEN 'sha-256' THEN 32 ELSE 64 END),
    CHECK (length(server_key) = length(stored_key))
);

CREATE TABLE digest_key (
    account_id BIGINT PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
    key        BYTEA NOT NULL CHECK (length(key) = 16)
);

CREATE TABLE roster_item (
    account_id BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    contact    TEXT COLLATE "C" NOT NULL CHECK (contact <> ''),
    listed     SMALLINT NOT NULL CHECK (listed IN (0, 1)),
    half_to    SMALLINT NOT NULL CHECK (half_to IN (0, 1, 2)),
    half_from  SMALLINT NOT NULL CHECK (half_from IN (0, 1, 2)),
    approved   SMALLINT NOT NULL CHECK (approved IN (0, 1)),
    name       TEXT,
    group_list TEXT,
    request_no BIGINT,
    request    BYTEA,
    PRIMARY KEY (account_id, contact),
    CHECK (approved = 0 OR half_from = 0),
    CHECK (request IS NULL OR half_from = 1),
    CHECK (listed = 1 OR half_to <> 0 OR half_from <> 0)
);

CREATE INDEX roster_item_approved ON roster_item (contact) WHERE approved = 1;

CREATE TABLE offline_message (
    number        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id    BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    taken_unix_ms BIGINT NOT NULL,
    stanza        BYTEA NOT NULL
);

CREATE INDEX offline_message_account ON offline_message (account_id, number);
CREATE INDEX offline_message_taken ON offline_message (taken_unix_ms);

CREATE TABLE private_element (
    account_id BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    namespace  TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    element    TEXT NOT NULL,
    UNIQUE (account_id, namespace, name)
);

CREATE TABLE vcard (
    account_id BIGINT PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
    avatar     BYTEA CHECK (length(avatar) = 20),
    vcard      TEXT NOT NULL
);

CREATE TABLE block (
    account_id BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    jid        TEXT COLLATE "C" NOT NULL CHECK (jid <> ''),
    PRIMARY KEY (account_id, jid)
);

CREATE TABLE last_activity (
    account_id  BIGINT PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
    left_unix_s BIGINT NOT NULL,
    status      TEXT
);

CREATE TABLE fast_token (
    account_id     BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    client         BYTEA NOT NULL CHECK (length(client) = 16),
    slot           TEXT COLLATE "C" NOT NULL CHECK (slot IN ('current', 'fresh')),
    mechanism      TEXT COLLATE "C" NOT NULL CHECK (mechanism <> ''),
    secret         TEXT COLLATE "C" NOT NULL CHECK (secret <> ''),
    issued_unix_s  BIGINT NOT NULL,
    expires_unix_s BIGINT NOT NULL,
    count          BIGINT NOT NULL CHECK (count >= 0),
    PRIMARY KEY (account_id, client, slot)
);

CREATE INDEX fast_token_expires ON fast_token (expires_unix_s);

-- Sums of scram_key, kept by triggers.
CREATE TABLE key_shape (
    domain     TEXT COLLATE "C" NOT NULL,
    hash       TEXT COLLATE "C" NOT NULL,
    iterations BIGINT NOT NULL,
    salt_bytes BIGINT NOT NULL,
    accounts   BIGINT NOT NULL CHECK (accounts >= 0),
    PRIMARY KEY (domain, hash, iterations, salt_bytes)
) WITH (fillfactor = 50);

CREATE FUNCTION scram_key_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO key_shape
    SELECT domain, new.hash, new.iterations, length(new.salt), 1 FROM account WHERE id = new.account_id
    ON CONFLICT (domain, hash, iterations, salt_bytes) DO UPDATE SET accounts = key_shape.accounts + 1;
    RETURN NULL;
END $$;

CREATE TRIGGER scram_key_inserted AFTER INSERT ON scram_key
    FOR EACH ROW EXECUTE FUNCTION scram_key_inserted();

CREATE FUNCTION scram_key_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE key_shape SET accounts = accounts - 1
    WHERE domain = (SELECT domain FROM account WHERE id = old.account_id) AND hash = old.hash
      AND iterations = old.iterations AND salt_bytes = length(old.salt);
    DELETE FROM key_shape
    WHERE domain = (SELECT domain FROM account WHERE id = old.account_id) AND hash = old.hash
      AND iterations = old.iterations AND salt_bytes = length(old.salt) AND accounts = 0;
    RETURN NULL;
END $$;

CREATE TRIGGER scram_key_deleted AFTER DELETE ON scram_key
    FOR EACH ROW EXECUTE FUNCTION scram_key_deleted();

-- When the cascade comes to the keys, the account is gone, and with it the domain.
CREATE FUNCTION account_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM scram_key WHERE account_id = old.id;
    RETURN old;
END $$;

CREATE TRIGGER account_deleted BEFORE DELETE ON account
    FOR EACH ROW EXECUTE FUNCTION account_deleted();
