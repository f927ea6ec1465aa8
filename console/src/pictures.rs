//! Pictures in a terminal that shows them: the protocols of kitty and iTerm2, and sixels.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _},
};

/// Bytes of base64 in one command of kitty's protocol, which refuses more.
const CHUNK: usize = 4096;

/// Steps of each colour of the palette of sixels: 6³ colours, as most terminals have.
const STEPS: u8 = 6;

/// A picture in two forms: terminals decode PNG, sixels are pixels.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    /// The picture as a PNG file.
    pub png: &'a [u8],
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `height × width × 3` bytes, row by row, red first.
    pub pixels_u8: &'a [u8],
}

/// Protocol of a terminal for pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pictures {
    /// kitty's graphics protocol; Ghostty has it too.
    Kitty,
    /// Inline images of iTerm2; WezTerm and mintty have them too.
    Iterm,
    /// Sixels, as foot, mlterm and contour show them.
    Sixel,
}

impl Pictures {
    /// Protocol of the terminal at standard output; `None` if standard output is not a terminal, or the
    /// variables name no terminal that shows pictures. The terminal is not asked.
    pub fn of_terminal() -> Option<Self> {
        if !io::stdout().is_terminal() {
            return None;
        }
        Self::named(|name| std::env::var(name).unwrap_or_default())
    }

    /// Protocol of the terminal that the environment variables name.
    fn named(variable: impl Fn(&str) -> String) -> Option<Self> {
        let (term, program) = (variable("TERM"), variable("TERM_PROGRAM"));
        // tmux and screen drop the sequences, or show them as text.
        if !variable("TMUX").is_empty() || term.starts_with("screen") || term.starts_with("tmux") {
            return None;
        }
        let has = |names: &[&str], text: &str| names.iter().any(|name| text.contains(name));
        if has(&["kitty", "ghostty"], &term) || !variable("KITTY_WINDOW_ID").is_empty() {
            Some(Self::Kitty)
        } else if has(&["iTerm.app", "WezTerm", "mintty"], &program) {
            Some(Self::Iterm)
        } else if has(&["foot", "mlterm", "contour", "sixel"], &term) {
            Some(Self::Sixel)
        } else {
            None
        }
    }

    /// Control sequences that draw a picture at the cursor.
    pub fn sequence(self, picture: &Picture<'_>) -> String {
        match self {
            Self::Kitty => kitty(picture.png),
            Self::Iterm => iterm(picture),
            Self::Sixel => sixels(picture),
        }
    }
}

/// `a=T`: transmit and show; `f=100`: PNG; `q=2`: no answer; `m=1`: more chunks follow.
fn kitty(png: &[u8]) -> String {
    let text = STANDARD.encode(png);
    let mut sequence = String::new();
    for (at, chunk) in text.as_bytes().chunks(CHUNK).enumerate() {
        let first = if at == 0 { "a=T,f=100,q=2," } else { "" };
        let more = u8::from((at + 1) * CHUNK < text.len());
        let chunk = str::from_utf8(chunk).expect("base64 is ASCII");
        write!(sequence, "\x1b_G{first}m={more};{chunk}\x1b\\").expect("a text takes all writes");
    }
    sequence
}

fn iterm(picture: &Picture<'_>) -> String {
    let Picture { png, width, height, .. } = picture;
    let size = format!("size={};width={width}px;height={height}px", png.len());
    format!("\x1b]1337;File=inline=1;{size};preserveAspectRatio=1:{}\x07", STANDARD.encode(png))
}

/// Bands of six rows; in each band, for each colour, one character per column with a bit for each row.
fn sixels(picture: &Picture<'_>) -> String {
    let colours = palette_of(picture);
    let (width, height) = (picture.width as usize, picture.height as usize);
    let mut out = format!("\x1bPq\"1;1;{width};{height}");
    for colour in 0..STEPS.pow(3) {
        let [red, green, blue] = [colour / 36, colour / 6 % 6, colour % 6].map(|step| u32::from(step) * 20);
        write!(out, "#{colour};2;{red};{green};{blue}").expect("a text takes all writes");
    }
    for band in colours.chunks(6 * width) {
        let mut used: Vec<u8> = band.to_vec();
        used.sort_unstable();
        used.dedup();
        for colour in used {
            write!(out, "#{colour}").expect("a text takes all writes");
            run_lengths(band, width, colour, &mut out);
            out.push('$');
        }
        out.push('-');
    }
    out + "\x1b\\"
}

/// Appends the columns of a colour in a band; equal columns are a count and one character.
fn run_lengths(band: &[u8], width: usize, colour: u8, out: &mut String) {
    let column = |at: usize| {
        let rows = band.iter().skip(at).step_by(width).enumerate();
        rows.fold(0_u8, |bits, (row, pixel)| bits | u8::from(*pixel == colour) << row)
    };
    let mut at = 0;
    while at < width {
        let bits = column(at);
        let run = (at..width).take_while(|next| column(*next) == bits).count();
        write!(out, "!{run}{}", char::from(b'?' + bits)).expect("a text takes all writes");
        at += run;
    }
}

/// Number of the nearest colour of each pixel; the error goes to the next pixels (Floyd and Steinberg).
fn palette_of(picture: &Picture<'_>) -> Vec<u8> {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let mut values: Vec<f32> = picture.pixels_u8.iter().map(|value| f32::from(*value)).collect();
    let mut colours = Vec::with_capacity(width * height);
    let step = 255.0 / f32::from(STEPS - 1);
    for at in 0..width * height {
        let mut colour = 0;
        for channel in 0..3 {
            let value = values[3 * at + channel];
            let nearest = (value / step).round().clamp(0.0, f32::from(STEPS - 1));
            colour = colour * STEPS + nearest as u8;
            let error = value - nearest * step;
            let is_last = at % width + 1 == width;
            let below = at + width;
            for (next, share, is_there) in [
                (at + 1, 7.0, !is_last),
                (below.wrapping_sub(1), 3.0, at % width > 0),
                (below, 5.0, true),
                (below + 1, 1.0, !is_last),
            ] {
                if is_there && next < width * height {
                    values[3 * next + channel] += error * share / 16.0;
                }
            }
        }
        colours.push(colour);
    }
    colours
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(variables: &[(&str, &str)]) -> Option<Pictures> {
        let of = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        Pictures::named(|name| of(name).unwrap_or_default().to_owned())
    }

    #[test]
    fn a_terminal_is_known_by_its_variables_and_an_unknown_one_shows_no_picture() {
        assert_eq!(named(&[("TERM", "xterm-kitty")]), Some(Pictures::Kitty));
        assert_eq!(named(&[("TERM", "xterm"), ("KITTY_WINDOW_ID", "1")]), Some(Pictures::Kitty));
        assert_eq!(named(&[("TERM_PROGRAM", "iTerm.app")]), Some(Pictures::Iterm));
        assert_eq!(named(&[("TERM", "foot")]), Some(Pictures::Sixel));
        assert_eq!(named(&[("TERM", "xterm-256color")]), None);
        assert_eq!(named(&[("TERM", "xterm-kitty"), ("TMUX", "/tmp/tmux,1,0")]), None);
        assert_eq!(named(&[("TERM", "screen"), ("KITTY_WINDOW_ID", "1")]), None);
        assert_eq!(named(&[]), None);
    }

    #[test]
    fn sixels_have_each_row_of_a_picture_in_bands_of_six() {
        // White above black, 2 × 7 pixels: colour 215 in the first band, colour 0 in both.
        let pixels: Vec<u8> = [[255; 6], [0; 6], [0; 6], [0; 6], [0; 6], [0; 6], [0; 6]].concat();
        let picture = Picture { png: &[], width: 2, height: 7, pixels_u8: &pixels };
        let sequence = Pictures::Sixel.sequence(&picture);
        assert!(sequence.starts_with("\x1bPq\"1;1;2;7#0;2;0;0;0"), "{sequence}");
        assert!(sequence.ends_with("#0!2}$#215!2@$-#0!2@$-\x1b\\"), "{sequence}");
    }
}
