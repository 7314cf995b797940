-- Accounts and what their logins need. Keys only: no column can hold a password.

CREATE TABLE server_value (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT: an id is never used twice, so that an account made anew cannot inherit a row of its predecessor.
CREATE TABLE account (
    id                     INTEGER PRIMARY KEY AUTOINCREMENT,
    domain                 TEXT    NOT NULL CHECK (domain <> ''),
    localpart              TEXT    NOT NULL CHECK (localpart <> ''),
    disabled               INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    created_unix_s         INTEGER NOT NULL,
    credentials_set_unix_s INTEGER NOT NULL,
    UNIQUE (domain, localpart)
) STRICT;

-- Every table that belongs to an account refers to it like this one: removing the account removes the rows.
CREATE TABLE scram_key (
    account_id INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    hash       TEXT    NOT NULL CHECK (hash IN ('sha-1', 'sha-256', 'sha-512')),
    iterations INTEGER NOT NULL CHECK (iterations > 0),
    salt       BLOB    NOT NULL CHECK (length(salt) > 0),
    stored_key BLOB    NOT NULL,
    server_key BLOB    NOT NULL,
    PRIMARY KEY (account_id, hash),
    CHECK (length(stored_key) = CASE hash WHEN 'sha-1' THEN 20 WHEN 'sha-256' THEN 32 ELSE 64 END),
    CHECK (length(server_key) = length(stored_key))
) STRICT, WITHOUT ROWID;
