//! Augmentation of statements about pairs of images (BLIP's NLVR2).

/// Probability with which the two images change places.
pub const SWAPPED: f64 = 0.5;

/// The statement after its two images have changed places: "left" and "right" change places too, as in BLIP's
/// data set of NLVR2. The statement is cleaned, so its words are in lower case with one space between them.
pub fn swapped(statement: &str) -> String {
    let word = |word| match word {
        "left" => "right",
        "right" => "left",
        other => other,
    };
    statement.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_words_left_and_right_change_places() {
        let statement = "the left one is right of the leftmost one, right?";
        assert_eq!(swapped(statement), "the right one is left of the leftmost one, right?");
        assert_eq!(swapped(&swapped(statement)), statement);
        assert_eq!(swapped("both show a dog"), "both show a dog");
    }
}
