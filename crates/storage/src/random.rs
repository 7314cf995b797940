//! Random bytes from the operating system: for secrets and identities.

use zeroize::Zeroizing;

/// `count` random bytes.
pub(crate) fn bytes(count: usize) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; count]);
    getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(bytes)
}
