use super::*;

/// Numbers that follow from a seed (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// Hashes of which about half are an earlier hash with up to `bits` flipped bits.
    fn hashes(&mut self, count: usize, bits: u64) -> Vec<u64> {
        let mut hashes: Vec<u64> = Vec::with_capacity(count);
        for i in 0..count {
            let hash = self.next();
            let is_near = i > 0 && self.next().is_multiple_of(2);
            hashes.push(if is_near {
                let flips = self.next() % (bits + 1);
                let earlier = hashes[self.next() as usize % i];
                (0..flips).fold(earlier, |hash, _| hash ^ 1 << (self.next() % 64))
            } else {
                hash
            });
        }
        hashes
    }
}

fn kept(hashes: &[u64], sizes: Sizes) -> Vec<bool> {
    let mut sizes = sizes;
    hashes.iter().for_each(|hash| sizes.count(*hash));
    let mut index = sizes.index();
    index.keep(hashes)
}

fn by_comparing_all(hashes: &[u64], distance: u32) -> Vec<bool> {
    let mut kept: Vec<u64> = Vec::new();
    let stays = |hash: &u64| {
        let is_near = kept.iter().any(|other| (hash ^ other).count_ones() <= distance);
        if !is_near {
            kept.push(*hash);
        }
        !is_near
    };
    hashes.iter().map(stays).collect()
}

#[test]
fn the_index_keeps_the_same_images_as_a_comparison_of_all_with_all() {
    let seed = std::process::id().into();
    println!("seed {seed}");
    let mut numbers = Numbers(seed);
    for distance in 0..=16 {
        let hashes = numbers.hashes(2500, 20);
        let expected = by_comparing_all(&hashes, distance);
        assert!(expected.contains(&false) && expected.contains(&true));
        // The number of images chooses the number of bands.
        for images in [1, 2500, 1_000_000, 1_000_000_000] {
            assert!(kept(&hashes, Sizes::new(distance, images)) == expected, "distance {distance}, {images}");
        }
    }
}

#[test]
fn a_chain_of_similar_images_keeps_each_that_is_not_near_a_kept_one() {
    let sizes = || Sizes::new(2, 4);
    assert_eq!(kept(&[0b0000, 0b0011, 0b1111, 0b0111], sizes()), [true, false, true, false]);
    assert_eq!(kept(&[0, 0, u64::MAX], Sizes::new(0, 3)), [true, false, true]);
}

#[test]
fn radii_of_the_bands_cover_every_distance() {
    for distance in 0..=16 {
        for bands in 1..=MOST_BANDS {
            let misses: u32 = layout(distance, bands).iter().map(|band| band.radius + 1).sum();
            assert_eq!(misses, distance + 1, "{bands} bands");
        }
    }
}
