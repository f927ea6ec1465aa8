//! Separate random numbers for each item, so that items can be made in any order, on any number of cores.

use rand::{SeedableRng as _, rngs::Xoshiro256PlusPlus};

/// A named algorithm and not `StdRng`, whose algorithm may change with its crate: equal seeds give equal
/// files as long as this line stays.
pub type Random = Xoshiro256PlusPlus;

/// Purpose of random numbers, a part of their seed: the kinds of data of one seed share no
/// picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Human = 1,
    Web = 2,
    /// Order of the kinds of text.
    Kinds = 3,
    Questions = 4,
    /// Clips with texts: equal pictures for each kind of text.
    Clips = 5,
    ClipQuestions = 6,
    Statements = 7,
}

/// Random generator of item `number`. No two of (seed, number, purpose) have the same initial state: seed and
/// number can be computed from the second and third word of the state, and then the purpose from the first.
/// The first random number depends on the first and fourth word, so these contain all three.
pub(crate) fn of(seed: u64, purpose: Purpose, number: u64) -> Random {
    let (second, third) = (mix(seed), mix(number));
    let first = mix(second ^ third.rotate_left(17) ^ purpose as u64);
    let mut state = [0; 32];
    for (bytes, word) in state.chunks_exact_mut(8).zip([first, second, third, mix(first ^ third)]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    Random::from_seed(state)
}

/// SplitMix64's finaliser (Steele et al., 2014): a bijection that maps neighbours to very different values.
/// Without it, the first numbers of neighbouring seeds would be similar, because the generator is linear.
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng as _;
    use std::collections::HashSet;

    #[test]
    fn no_two_things_have_the_same_numbers() {
        let mut seen = HashSet::new();
        for seed in [0, 1, 2, 1 << 32, u64::MAX] {
            for number in [0, 1, 2, 1 << 32, u64::MAX] {
                let of_clips = [Purpose::Clips, Purpose::ClipQuestions, Purpose::Statements];
                let of_pictures = [Purpose::Human, Purpose::Web, Purpose::Kinds, Purpose::Questions];
                for purpose in of_pictures.into_iter().chain(of_clips) {
                    assert!(seen.insert(of(seed, purpose, number).next_u64()), "{seed} {purpose:?} {number}");
                }
            }
        }
    }
}
