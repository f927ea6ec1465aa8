//! Language of a text, by its letters and trigrams (`whatlang`: 70 languages in 0.1 MB of profiles).
//!
//! `lingua` is better on texts of one or two words and takes a hundred times the memory. A text of a few
//! words often has no certain language, so an uncertain guess is not reported, and never refuses a text.

use whatlang::Lang;

/// Bytes at the start of a text that decide its language.
const BEGIN_BYTES: usize = 2 << 10;

/// Languages with their codes of ISO 639-1, which `capfilt_schemas::settings::LANGUAGES` lists too.
const CODES: [(Lang, &str); 70] = [
    (Lang::Afr, "af"),
    (Lang::Aka, "ak"),
    (Lang::Amh, "am"),
    (Lang::Ara, "ar"),
    (Lang::Aze, "az"),
    (Lang::Bel, "be"),
    (Lang::Bul, "bg"),
    (Lang::Ben, "bn"),
    (Lang::Cat, "ca"),
    (Lang::Ces, "cs"),
    (Lang::Cym, "cy"),
    (Lang::Dan, "da"),
    (Lang::Deu, "de"),
    (Lang::Ell, "el"),
    (Lang::Eng, "en"),
    (Lang::Epo, "eo"),
    (Lang::Spa, "es"),
    (Lang::Est, "et"),
    (Lang::Pes, "fa"),
    (Lang::Fin, "fi"),
    (Lang::Fra, "fr"),
    (Lang::Guj, "gu"),
    (Lang::Heb, "he"),
    (Lang::Hin, "hi"),
    (Lang::Hrv, "hr"),
    (Lang::Hun, "hu"),
    (Lang::Hye, "hy"),
    (Lang::Ind, "id"),
    (Lang::Ita, "it"),
    (Lang::Jpn, "ja"),
    (Lang::Jav, "jv"),
    (Lang::Kat, "ka"),
    (Lang::Khm, "km"),
    (Lang::Kan, "kn"),
    (Lang::Kor, "ko"),
    (Lang::Lat, "la"),
    (Lang::Lit, "lt"),
    (Lang::Lav, "lv"),
    (Lang::Mkd, "mk"),
    (Lang::Mal, "ml"),
    (Lang::Mar, "mr"),
    (Lang::Mya, "my"),
    (Lang::Nob, "nb"),
    (Lang::Nep, "ne"),
    (Lang::Nld, "nl"),
    (Lang::Ori, "or"),
    (Lang::Pan, "pa"),
    (Lang::Pol, "pl"),
    (Lang::Por, "pt"),
    (Lang::Ron, "ro"),
    (Lang::Rus, "ru"),
    (Lang::Sin, "si"),
    (Lang::Slk, "sk"),
    (Lang::Slv, "sl"),
    (Lang::Sna, "sn"),
    (Lang::Srp, "sr"),
    (Lang::Swe, "sv"),
    (Lang::Tam, "ta"),
    (Lang::Tel, "te"),
    (Lang::Tha, "th"),
    (Lang::Tuk, "tk"),
    (Lang::Tgl, "tl"),
    (Lang::Tur, "tr"),
    (Lang::Ukr, "uk"),
    (Lang::Urd, "ur"),
    (Lang::Uzb, "uz"),
    (Lang::Vie, "vi"),
    (Lang::Yid, "yi"),
    (Lang::Cmn, "zh"),
    (Lang::Zul, "zu"),
];

/// Code (ISO 639-1) of a text's language; `None` if it is uncertain, or if the text has no letters.
pub fn language(text: &str) -> Option<&'static str> {
    let begin = &text[..text.floor_char_boundary(BEGIN_BYTES)];
    let found = whatlang::detect(begin).filter(whatlang::Info::is_reliable)?;
    CODES.iter().find(|(lang, _)| *lang == found.lang()).map(|(_, code)| *code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use capfilt_schemas::settings::LANGUAGES;

    #[test]
    fn every_language_has_a_code_that_the_settings_know() {
        let codes: Vec<&str> = CODES.iter().map(|(_, code)| *code).collect();
        assert_eq!(codes, LANGUAGES);
        let all = Lang::all().iter().filter(|lang| CODES.iter().all(|(known, _)| known != *lang));
        assert_eq!(all.collect::<Vec<_>>(), Vec::<&Lang>::new());
    }

    #[test]
    fn sentences_have_their_language_and_a_single_word_or_number_has_none() {
        for (text, expected) in [
            ("Two children are playing with a brown dog in front of the old house", Some("en")),
            ("Ein kleiner Hund läuft über die grüne Wiese und bellt den Briefträger an", Some("de")),
            ("Un chien brun court sur la plage pendant que les enfants jouent avec le sable", Some("fr")),
            ("一只狗在海滩上奔跑", Some("zh")),
            ("12345 67", None),
            ("", None),
        ] {
            assert_eq!(language(text), expected, "{text}");
        }
    }

    #[test]
    fn the_language_of_a_long_text_is_that_of_its_begin() {
        let text = "Two children are playing with a brown dog in front of the old house. ".repeat(1000);
        assert_eq!(language(&text), Some("en"));
        let umlauts = "ä".repeat(BEGIN_BYTES);
        language(&umlauts[..BEGIN_BYTES + 2]);
    }
}
