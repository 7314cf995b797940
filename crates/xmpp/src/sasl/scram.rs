//! SCRAM-SHA-1, -256 and -512 (RFC 5802, 7677) on the server side, without channel binding yet.
