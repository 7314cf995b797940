//! "Did you mean": the known name nearest to one that is not known.

/// The candidate nearest to `text`, if one is near enough that it was probably meant.
pub(crate) fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = text.to_lowercase();
    let near_enough = 1 + wanted.chars().count() / 4;
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= near_enough)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `: did you mean "x"?`, or nothing where no candidate is near.
pub(crate) fn question<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(text, candidates) {
        Some(candidate) => format!(": did you mean {candidate:?}?"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposed_letter_finds_its_name() {
        assert_eq!(nearest("require_tsl", ["address", "require_tls"]), Some("require_tls"));
    }

    #[test]
    fn a_name_like_nothing_known_gets_no_suggestion() {
        assert_eq!(nearest("colour", ["address", "require_tls"]), None);
        assert_eq!(question("colour", ["address"]), "");
    }

    #[test]
    fn the_nearest_of_several_is_suggested() {
        assert_eq!(nearest("user", ["uses", "users", "user_s"]), Some("uses"));
        assert_eq!(question("hots", ["hosts", "host"]), ": did you mean \"hosts\"?");
    }
}
