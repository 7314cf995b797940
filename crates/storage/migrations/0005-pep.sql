-- Personal eventing (XEP-0163): the nodes of an account, what was published there, and whom they let in.

-- A sum, so that no change has to count: bytes of the ids and payloads of all items.
ALTER TABLE account ADD COLUMN pep_bytes INTEGER NOT NULL DEFAULT 0 CHECK (pep_bytes >= 0);

-- The config is the server's own text, which no database looks into. `changes` counts changes of the config and of whom
-- it lets in, `item_changes` those of the items; `items` is how many there are.
CREATE TABLE pep_node (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id   INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    name         TEXT    NOT NULL CHECK (name <> ''),
    config       TEXT    NOT NULL,
    changes      INTEGER NOT NULL DEFAULT 0,
    item_changes INTEGER NOT NULL DEFAULT 0,
    items        INTEGER NOT NULL DEFAULT 0 CHECK (items >= 0),
    UNIQUE (account_id, name)
) STRICT;

-- In the order of their last publication: an item that is published again gets a new number.
CREATE TABLE pep_item (
    number           INTEGER PRIMARY KEY AUTOINCREMENT,
    node_number      INTEGER NOT NULL REFERENCES pep_node (number) ON DELETE CASCADE,
    id               TEXT    NOT NULL CHECK (id <> ''),
    publisher        TEXT    NOT NULL,
    published_unix_s INTEGER NOT NULL,
    payload          TEXT    NOT NULL,
    UNIQUE (node_number, id)
) STRICT;

CREATE INDEX pep_item_order ON pep_item (node_number, number);

CREATE TABLE pep_affiliation (
    node_number INTEGER NOT NULL REFERENCES pep_node (number) ON DELETE CASCADE,
    jid         TEXT    NOT NULL CHECK (jid <> ''),
    affiliation TEXT    NOT NULL CHECK (affiliation IN ('owner', 'publisher', 'member', 'outcast')),
    PRIMARY KEY (node_number, jid)
) STRICT, WITHOUT ROWID;

-- Of others, with or without a resource (XEP-0060, 6.1).
CREATE TABLE pep_subscription (
    node_number INTEGER NOT NULL REFERENCES pep_node (number) ON DELETE CASCADE,
    jid         TEXT    NOT NULL CHECK (jid <> ''),
    PRIMARY KEY (node_number, jid)
) STRICT, WITHOUT ROWID;
