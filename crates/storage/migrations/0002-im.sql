-- What instant messaging keeps for an account: its roster, what waits for it, and what its clients put here.

-- Sums, so that no change has to count. `roster_changes` is half of the roster's version; requests are numbered in the
-- order in which they came.
ALTER TABLE account ADD COLUMN roster_changes   INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN roster_requests  INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN offline_messages INTEGER NOT NULL DEFAULT 0 CHECK (offline_messages >= 0);
ALTER TABLE account ADD COLUMN offline_bytes    INTEGER NOT NULL DEFAULT 0 CHECK (offline_bytes >= 0);

-- One side of the relation between two accounts (RFC 6121, A.1). The halves are 0 none, 1 pending, 2 granted. A contact
-- that only asked is not listed. Groups are separated by U+001F, which no XML can hold. The request is the stanza, for
-- as long as it was not answered; it stands last, so that the other columns are read without it.
CREATE TABLE roster_item (
    account_id INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    contact    TEXT    NOT NULL CHECK (contact <> ''),
    listed     INTEGER NOT NULL CHECK (listed IN (0, 1)),
    half_to    INTEGER NOT NULL CHECK (half_to IN (0, 1, 2)),
    half_from  INTEGER NOT NULL CHECK (half_from IN (0, 1, 2)),
    approved   INTEGER NOT NULL CHECK (approved IN (0, 1)),
    name       TEXT,
    group_list TEXT,
    request_no INTEGER,
    request    BLOB,
    PRIMARY KEY (account_id, contact),
    CHECK (approved = 0 OR half_from = 0),
    CHECK (request IS NULL OR half_from = 1),
    CHECK (listed = 1 OR half_to <> 0 OR half_from <> 0)
) STRICT, WITHOUT ROWID;

-- Who has approved a request that has not come: there are few, and they must be found when the contact goes.
CREATE INDEX roster_item_approved ON roster_item (contact) WHERE approved = 1;

-- AUTOINCREMENT: a number is never used twice, so that what was forgotten up to a number takes nothing newer with it.
CREATE TABLE offline_message (
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id    INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    taken_unix_ms INTEGER NOT NULL,
    stanza        BLOB    NOT NULL
) STRICT;

CREATE INDEX offline_message_account ON offline_message (account_id);
CREATE INDEX offline_message_taken ON offline_message (taken_unix_ms);

-- Private XML storage (XEP-0049).
CREATE TABLE private_element (
    account_id INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    namespace  TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    element    TEXT    NOT NULL,
    UNIQUE (account_id, namespace, name)
) STRICT;

-- vCards (XEP-0054), with the SHA-1 of the photo (XEP-0153).
CREATE TABLE vcard (
    account_id INTEGER PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
    avatar     BLOB CHECK (length(avatar) = 20),
    vcard      TEXT NOT NULL
) STRICT;

-- Who is blocked by an account (XEP-0191).
CREATE TABLE block (
    account_id INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    jid        TEXT    NOT NULL CHECK (jid <> ''),
    PRIMARY KEY (account_id, jid)
) STRICT, WITHOUT ROWID;

-- When an account was last available (XEP-0012).
CREATE TABLE last_activity (
    account_id  INTEGER PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
    left_unix_s INTEGER NOT NULL,
    status      TEXT
) STRICT;
