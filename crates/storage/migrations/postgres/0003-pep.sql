-- Personal eventing (XEP-0163): the nodes of an account, what was published there, and whom they let in.

-- A sum, so that no change has to count: bytes of the ids and payloads of all items.
ALTER TABLE account ADD COLUMN pep_bytes BIGINT NOT NULL DEFAULT 0 CHECK (pep_bytes >= 0);

-- The config is the server's own text, which no database looks into. `changes` counts changes of the config and of whom
-- it lets in, `item_changes` those of the items; `items` is how many there are.
CREATE TABLE pep_node (
    number       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id   BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    name         TEXT COLLATE "C" NOT NULL CHECK (name <> ''),
    config       TEXT COLLATE "C" NOT NULL,
    changes      BIGINT NOT NULL DEFAULT 0,
    item_changes BIGINT NOT NULL DEFAULT 0,
    items        BIGINT NOT NULL DEFAULT 0 CHECK (items >= 0),
    UNIQUE (account_id, name)
);

-- In the order of their last publication: an item that is published again gets a new number.
CREATE TABLE pep_item (
    number           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node_number      BIGINT NOT NULL REFERENCES pep_node (number) ON DELETE CASCADE,
    id               TEXT COLLATE "C" NOT NULL CHECK (id <> ''),
    publisher        TEXT COLLATE "C" NOT NULL,
    published_unix_s BIGINT NOT NULL,
    payload          TEXT COLLATE "C" NOT NULL,
    UNIQUE (node_number, id)
);

CREATE INDEX pep_item_order ON pep_item (node_number, number);

CREATE TABLE pep_affiliation (
    node_number BIGINT NOT NULL REFERENCES pep_node (number) ON DELETE CASCADE,
    jid         TEXT COLLATE "C" NOT NULL CHECK (jid <> ''),
    affiliation TEXT COLLATE "C" NOT NULL CHECK (affiliation IN ('owner', 'publisher', 'member', 'outcast')),
    PRIMARY KEY (node_number, jid)
);

-- Of others, with or without a resource (XEP-0060, 6.1).
CREATE TABLE pep_subscription (
    node_number BIGINT NOT NULL REFERENCES pep_node (number) ON DELETE CASCADE,
    jid         TEXT COLLATE "C" NOT NULL CHECK (jid <> ''),
    PRIMARY KEY (node_number, jid)
);
