-- Message archives (XEP-0313).

-- One row for each account that has one: how many messages are in it, so that nothing has to count them, and when the
-- last one came. No row refers to its account, because an account goes at once and its messages go piece by piece
-- (`trim`); the number of an account is never used again.
CREATE TABLE archive (
    account_id   BIGINT PRIMARY KEY,
    messages     BIGINT NOT NULL CHECK (messages >= 0),
    last_unix_us BIGINT NOT NULL
);

-- The time of a message is its place in the archive: the writer makes it later than that of the one before, so it is in
-- the order of the commits and no two have the same. A contact is a bare address; its resource may be empty.
CREATE TABLE archive_message (
    account_id    BIGINT NOT NULL,
    stamp_unix_us BIGINT NOT NULL,
    uid           BYTEA NOT NULL CHECK (length(uid) = 16),
    contact       TEXT COLLATE "C" NOT NULL,
    resource      TEXT COLLATE "C" NOT NULL,
    stanza        BYTEA NOT NULL,
    UNIQUE (account_id, stamp_unix_us),
    UNIQUE (account_id, uid)
);

-- With the resource in it, what one resource of a contact said is found without reading what the others did.
CREATE INDEX archive_message_contact ON archive_message (account_id, contact, stamp_unix_us, resource);

-- What an account wants archived (XEP-0441). Addresses are separated by U+001F, which no address can hold.
CREATE TABLE archive_prefs (
    account_id BIGINT PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
    otherwise  TEXT COLLATE "C" NOT NULL CHECK (otherwise IN ('always', 'never', 'roster')),
    always     TEXT COLLATE "C" NOT NULL,
    never      TEXT COLLATE "C" NOT NULL
);
