//! Colours, by what they mean. No text and no layout.

use comfy_table::{Attribute, Cell, Color};

/// What a piece of text is to its reader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tone {
    /// As it should be.
    Good,
    /// Worth a look.
    Odd,
    /// Wrong.
    Bad,
    /// Beside the point.
    Faint,
    /// To be found first.
    Strong,
}

impl Tone {
    fn escape(self) -> &'static str {
        match self {
            Self::Good => "\x1b[32m",
            Self::Odd => "\x1b[33m",
            Self::Bad => "\x1b[1;31m",
            Self::Faint => "\x1b[2m",
            Self::Strong => "\x1b[1m",
        }
    }

    /// A cell of a table. The table leaves the colour out where it is not wanted.
    pub(crate) fn cell(self, text: impl ToString) -> Cell {
        let cell = Cell::new(text);
        match self {
            Self::Good => cell.fg(Color::Green),
            Self::Odd => cell.fg(Color::Yellow),
            Self::Bad => cell.fg(Color::Red),
            Self::Faint => cell.add_attribute(Attribute::Dim),
            Self::Strong => cell.add_attribute(Attribute::Bold),
        }
    }
}

/// Puts colour on text, or does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Paint(bool);

impl Paint {
    /// Colours if `on`.
    pub(crate) fn new(on: bool) -> Self {
        Self(on)
    }

    /// Whether there is any colour.
    pub(crate) fn is_on(self) -> bool {
        self.0
    }

    /// `text` in the colour of `tone`.
    pub(crate) fn tone(self, tone: Tone, text: impl std::fmt::Display) -> String {
        if self.0 {
            format!("{}{text}\x1b[0m", tone.escape())
        } else {
            text.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_colour_means_the_text_itself() {
        assert_eq!(Paint::new(false).tone(Tone::Bad, 7), "7");
        assert_eq!(Paint::new(true).tone(Tone::Good, "ok"), "\x1b[32mok\x1b[0m");
    }
}
