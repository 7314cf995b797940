-- What logins by other mechanisms than SCRAM and PLAIN need, and what keys there are, for those who have none.

-- Tokens of FAST (XEP-0484). A client has two places: the token that it uses, and the one that it was given last. The
-- secret stands here as it is: its proof is made of it on both sides (draft-schmaus-kitten-sasl-ht-09, 3).
CREATE TABLE fast_token (
    account_id     INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    client         BLOB    NOT NULL CHECK (length(client) = 16),
    slot           TEXT    NOT NULL CHECK (slot IN ('current', 'fresh')),
    mechanism      TEXT    NOT NULL CHECK (mechanism <> ''),
    secret         TEXT    NOT NULL CHECK (secret <> ''),
    issued_unix_s  INTEGER NOT NULL,
    expires_unix_s INTEGER NOT NULL,
    count          INTEGER NOT NULL CHECK (count >= 0),
    PRIMARY KEY (account_id, client, slot)
) STRICT, WITHOUT ROWID;

CREATE INDEX fast_token_expires ON fast_token (expires_unix_s);

-- H(username:realm:password), where a host offers DIGEST-MD5 (RFC 2831, 2.1.2.1).
CREATE TABLE digest_key (
    account_id INTEGER PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
    key        BLOB NOT NULL CHECK (length(key) = 16)
) STRICT;

-- Sums of scram_key, so that no start of the server has to count: how many accounts of a domain have keys of which
-- shape. The triggers keep them right whoever changes keys. Keys are inserted and deleted, never updated or replaced.
CREATE TABLE key_shape (
    domain     TEXT    NOT NULL,
    hash       TEXT    NOT NULL,
    iterations INTEGER NOT NULL,
    salt_bytes INTEGER NOT NULL,
    accounts   INTEGER NOT NULL CHECK (accounts > 0),
    PRIMARY KEY (domain, hash, iterations, salt_bytes)
) STRICT, WITHOUT ROWID;

INSERT INTO key_shape
SELECT domain, hash, iterations, length(salt), count(*)
FROM scram_key JOIN account ON account.id = scram_key.account_id
GROUP BY domain, hash, iterations, length(salt);

CREATE TRIGGER scram_key_inserted AFTER INSERT ON scram_key BEGIN
    INSERT INTO key_shape
    SELECT domain, new.hash, new.iterations, length(new.salt), 1 FROM account WHERE id = new.account_id
    ON CONFLICT (domain, hash, iterations, salt_bytes) DO UPDATE SET accounts = accounts + 1;
END;

CREATE TRIGGER scram_key_deleted AFTER DELETE ON scram_key BEGIN
    DELETE FROM key_shape
    WHERE domain = (SELECT domain FROM account WHERE id = old.account_id) AND hash = old.hash
      AND iterations = old.iterations AND salt_bytes = length(old.salt) AND accounts = 1;
    UPDATE key_shape SET accounts = accounts - 1
    WHERE domain = (SELECT domain FROM account WHERE id = old.account_id) AND hash = old.hash
      AND iterations = old.iterations AND salt_bytes = length(old.salt) AND accounts > 1;
END;

-- When the cascade comes to the keys, the account is gone, and with it the domain.
CREATE TRIGGER account_deleted BEFORE DELETE ON account BEGIN
    DELETE FROM scram_key WHERE account_id = old.id;
END;
