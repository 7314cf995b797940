-- Where the clients of an account want to be told of messages (XEP-0357). A node is empty where none was named. The options
-- are a form as its client wrote it, empty where there is none; they may hold a secret of the push service.
CREATE TABLE push_registration (
    account_id     BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    service        TEXT COLLATE "C" NOT NULL CHECK (service <> ''),
    node           TEXT COLLATE "C" NOT NULL,
    options        TEXT COLLATE "C" NOT NULL,
    enabled_unix_s BIGINT NOT NULL,
    PRIMARY KEY (account_id, service, node)
);
