//! Texts that appear with pictures on the web and do not describe them.

use crate::{random::Random, scene::one_of};
use rand::RngExt as _;

/// Phrases of shops and archives.
const PHRASES: [&str; 16] = [
    "free shipping on all orders",
    "click to enlarge",
    "add to cart",
    "best price guaranteed",
    "no image available",
    "new arrivals - up to 50% off",
    "royalty free stock photo",
    "buy now, pay later",
    "sign up for our newsletter",
    "read more",
    "untitled",
    "sold out",
    "share this page",
    "home | about | contact",
    "© all rights reserved",
    "cheap buy best online free download sale 2024",
];
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const THINGS: [&str; 6] = ["poster", "t-shirt", "mug", "sticker", "wallpaper", "print"];

/// A random junk text.
pub(crate) fn text(random: &mut Random) -> String {
    let (day, month) = (number(1, 28, random), number(1, 12, random));
    let year = number(2004, 2025, random);
    match random.random_range(0..12) {
        0 => format!("IMG_{:04}.jpg", number(1, 9999, random)),
        1 => format!("DSC{:05}.JPG", number(1, 99_999, random)),
        2 => format!("image {} of {}", number(1, 20, random), number(20, 90, random)),
        3 => format!("free shipping on orders over ${}", number(10, 100, random)),
        4 => format!("buy {} get {} % off", number(2, 5, random), number(5, 90, random)),
        5 => format!("photo taken on {year}-{month:02}-{day:02}"),
        6 => format!("{day} {} {year}", one_of(&MONTHS, random)),
        7 => format!("item no. {:05} - {}", number(1, 99_999, random), one_of(&THINGS, random)),
        8 => format!("{} for sale, only ${}.99", one_of(&THINGS, random), number(1, 99, random)),
        _ => one_of(&PHRASES, random).to_owned(),
    }
}

fn number(least: u32, most: u32, random: &mut Random) -> u32 {
    random.random_range(least..=most)
}

/// Its words of at least three letters, without duplicates.
pub(crate) fn words() -> Vec<&'static str> {
    let forms = ["img jpg dsc image orders over photo taken item for only get off"];
    let texts = PHRASES.into_iter().chain(MONTHS).chain(THINGS).chain(forms);
    let mut all = Vec::new();
    for word in texts.flat_map(|text| text.split(|c: char| !c.is_ascii_alphabetic())) {
        if word.len() > 2 && !all.contains(&word) {
            all.push(word);
        }
    }
    all
}
