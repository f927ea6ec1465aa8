//! What became of a row, and of the text that came with it: two closed sets, which are ledger values, metric
//! labels and report rows.

use std::fmt;

/// Declares a closed set with its written names.
macro_rules! closed_set {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// Every member, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name that stands in ledgers and records.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The member of this name.
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
    /// What became of an input row.
    RowStatus {
        /// The image went through the models. Whether its texts did, `web_status` and the scores say.
        Judged = "judged",
        /// The row does not satisfy the input's `where`; nothing was done with it.
        NotSelected = "not_selected",
        /// There are no image bytes: null or of length zero.
        ImageMissing = "image_missing",
        /// The image's object could not be read although the row names it.
        ImageUnreadable = "image_unreadable",
        /// The bytes start like an image and cannot be decoded to the end.
        ImageUndecodable = "image_undecodable",
        /// The bytes are no image of a kind that is read here.
        ImageUnsupported = "image_unsupported",
        /// More bytes or pixels than `limits` allows.
        ImageTooLarge = "image_too_large",
        /// A side below `limits.min_side`.
        ImageTooSmall = "image_too_small",
        /// Processing this row ended the process twice; it was set aside alone.
        Crashed = "crashed",
    }
}

closed_set! {
    /// What became of the text that came with the image.
    WebStatus {
        /// It was scored.
        Judged = "judged",
        /// The row has no text: null, or there is no text column.
        Missing = "missing",
        /// Nothing is left of it after cleaning.
        Empty = "empty",
        /// It came as bytes that are not UTF-8.
        NotUtf8 = "not_utf8",
        /// It has nothing an uncased English model can read.
        UnsupportedScript = "unsupported_script",
        /// It has more bytes than `limits.text_bytes`.
        TooLong = "too_long",
        /// The image was not judged, so the text was not either.
        NotReached = "not_reached",
    }
}

impl RowStatus {
    /// Whether the row's bytes go to the quarantine table, from where they can be replayed.
    ///
    /// Rows without bytes (missing, not selected) have nothing to keep.
    pub fn is_quarantined(self) -> bool {
        !matches!(self, Self::Judged | Self::NotSelected | Self::ImageMissing)
    }

    /// Whether many of these in one shard speak for a broken reader, decoder or store, not for bad data.
    pub fn counts_as_failure(self) -> bool {
        matches!(
            self,
            Self::ImageUnreadable | Self::ImageUndecodable | Self::ImageUnsupported | Self::Crashed
        )
    }
}
