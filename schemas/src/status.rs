//! Status of a row, and of each of its texts: two closed sets of ledger values, metric labels and report
//! rows.

use std::fmt;

/// Declares an enum with the written names of its members.
macro_rules! closed_set {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// Every member, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Name in ledgers and records.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The member with this name.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use closed_set;

closed_set! {
    /// Outcome of an input row.
    RowStatus {
        /// The models processed the image. Each text has a status in the ledger.
        Judged = "judged",
        /// The row does not satisfy the input's `where` and was not processed.
        NotSelected = "not_selected",
        /// There are no image bytes: null or length zero.
        ImageMissing = "image_missing",
        /// The row names an object, which could not be read.
        ImageUnreadable = "image_unreadable",
        /// The row has a link, and its host did not answer with an image.
        ImageUnreachable = "image_unreachable",
        /// The row has a link that the settings do not allow: its address, or its owner's `X-Robots-Tag`.
        ImageRefused = "image_refused",
        /// The row has a link, and the fetched bytes have another digest than the row says.
        ImageChanged = "image_changed",
        /// The bytes start like an image and cannot be decoded completely.
        ImageUndecodable = "image_undecodable",
        /// The bytes are not an image of a supported format.
        ImageUnsupported = "image_unsupported",
        /// More bytes or pixels than `limits` allows.
        ImageTooLarge = "image_too_large",
        /// A side below `limits.min_side`.
        ImageTooSmall = "image_too_small",
        /// Processing this row ended the process twice; the row is quarantined alone.
        Crashed = "crashed",
    }
}

closed_set! {
    /// Outcome of one text of a row.
    TextStatus {
        /// The text was scored.
        Judged = "judged",
        /// The row has no text of this source: null, an empty list, or no column.
        Missing = "missing",
        /// The text is empty after cleaning.
        Empty = "empty",
        /// The text is bytes that are not UTF-8.
        NotUtf8 = "not_utf8",
        /// The text has no character that an uncased English model can read.
        UnsupportedScript = "unsupported_script",
        /// The text has more bytes than `limits.text_bytes`.
        TooLong = "too_long",
        /// The row has more texts of this source than `limits.texts`; the further texts were not read. One
        /// entry without a text has this status.
        TooMany = "too_many",
        /// The language of the text is certain and not in `filter.languages`.
        WrongLanguage = "wrong_language",
        /// The caption repeats itself more than `captioner.max_repetition`.
        Repetitive = "repetitive",
        /// Another program wrote no caption of the image; the row's `detail` has the reason.
        NoCaption = "no_caption",
        /// The image was not judged, so the text was not judged either.
        NotReached = "not_reached",
    }
}

impl RowStatus {
    /// Whether the row's bytes are stored in the quarantine table, for a later repetition.
    ///
    /// Rows without bytes (missing, not selected) have nothing to store, and a refused link is refused again.
    /// An unreachable link is stored without bytes: a repetition fetches it.
    pub fn is_quarantined(self) -> bool {
        !matches!(self, Self::Judged | Self::NotSelected | Self::ImageMissing | Self::ImageRefused)
    }

    /// Whether the row has no image that could fail: the input has none, or its link leads to none. Dead
    /// links are usual in web data.
    pub fn is_without_image(self) -> bool {
        matches!(
            self,
            Self::NotSelected
                | Self::ImageMissing
                | Self::ImageUnreachable
                | Self::ImageRefused
                | Self::ImageChanged
        )
    }

    /// Whether many such rows in one shard point to a broken reader, decoder or store, not to bad data.
    pub fn counts_as_failure(self) -> bool {
        matches!(
            self,
            Self::ImageUnreadable | Self::ImageUndecodable | Self::ImageUnsupported | Self::Crashed
        )
    }
}
