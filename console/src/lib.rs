#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod ask;
mod exit;
mod own_program;
pub mod parent;
mod pictures;
mod progress;
pub mod reexec;
mod screen;
pub mod shutdown;
mod spans;
mod streams;
pub mod surroundings;

pub use ask::ask;
pub use exit::{Ending, Exit, ExitCodeExt, Failure, leave, with_causes};
pub use indicatif::{FormattedDuration, HumanDuration};
pub use own_program::own_program;
pub use pictures::{Picture, Pictures};
pub use progress::Progress;
pub use screen::Screen;
pub use streams::{
    LogFormat, error, flush, format, is_output_lost, line, line_of_child, note, open, output, relay,
};
