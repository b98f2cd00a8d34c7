//! Finds the name that was probably meant by a misspelt one.

/// Separators that people write between the words of a name: `val-acc`, `val/acc`, `val_acc`.
const SEPARATORS: [char; 3] = ['-', '/', '.'];

/// Longest name that is compared. No known name is longer, and a comparison would take long.
const MAX_COMPARED: usize = 64;

/// Shortest beginning of a name that is taken for the name.
const MIN_PREFIX: usize = 3;

/// Returns the known name that was probably meant.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    if name.len() > MAX_COMPARED {
        return None;
    }

    // The beginning of a single name, such as `val_acc`.
    if name.len() >= MIN_PREFIX {
        let mut longer = known.iter().filter(|other| other.starts_with(name));
        if let (Some(only), None) = (longer.next(), longer.next()) {
            return Some(only);
        }
    }

    let folded = fold(name);
    let max_distance = (folded.chars().count() / 3).max(1);
    known
        .iter()
        .map(|other| {
            let distance = strsim::damerau_levenshtein(&folded, &fold(other));
            (distance, *other)
        })
        .filter(|(distance, _)| *distance <= max_distance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

/// A name without differences that do not count.
fn fold(name: &str) -> String {
    name.to_lowercase().replace(SEPARATORS, "_")
}
