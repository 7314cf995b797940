//! PLAIN (RFC 4616), under TLS only unless the config says otherwise.
