//! Events of the objects of a clip.

use serde::{Deserialize, Serialize};

/// Action of an object during a clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// The object moves from the right border to the left one.
    Left,
    /// The object moves from the left border to the right one.
    Right,
    /// The object moves from the lower border to the upper one.
    Up,
    /// The object moves from the upper border to the lower one.
    Down,
    /// The object is seen from about the middle of the clip on.
    Appears,
    /// The object is seen until about the middle of the clip.
    Disappears,
}

impl Event {
    /// All events.
    pub const ALL: [Self; 6] =
        [Self::Left, Self::Right, Self::Up, Self::Down, Self::Appears, Self::Disappears];

    /// Phrases for the event, after the object. No phrase begins with another one.
    pub fn phrases(self) -> &'static [&'static str] {
        match self {
            Self::Left => &["moves to the left"],
            Self::Right => &["moves to the right"],
            Self::Up => &["moves up"],
            Self::Down => &["moves down"],
            Self::Appears => &["appears"],
            Self::Disappears => &["disappears"],
        }
    }

    /// The event of the same frames in reverse order.
    pub fn reversed(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
            Self::Up => Self::Down,
            Self::Down => Self::Up,
            Self::Appears => Self::Disappears,
            Self::Disappears => Self::Appears,
        }
    }
}
