//! Colours: of the sixteen that every terminal has, or none.

use ratatui::style::{Color, Modifier, Style};

/// How things look.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    /// With colours.
    colours: bool,
}

impl Theme {
    /// As the environment has it: `NO_COLOR`, if it is not empty, asks for none (no-color.org).
    pub fn of_environment() -> Self {
        Self::new(std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
    }

    /// With colours, or without.
    pub const fn new(colours: bool) -> Self {
        Self { colours }
    }

    fn colour(self, colour: Color) -> Style {
        if self.colours { Style::new().fg(colour) } else { Style::new() }
    }

    pub fn rx(self) -> Style {
        self.colour(Color::Cyan)
    }

    pub fn tx(self) -> Style {
        self.colour(Color::Green)
    }

    pub fn good(self) -> Style {
        self.colour(Color::Green)
    }

    pub fn bad(self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }

    pub fn warning(self) -> Style {
        self.colour(Color::Yellow)
    }

    pub fn accent(self) -> Style {
        self.colour(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    pub fn bar(self) -> Style {
        self.colour(Color::Blue)
    }

    pub fn heading() -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub fn dim(self) -> Style {
        if self.colours {
            Style::new().fg(Color::DarkGray)
        } else {
            Style::new().add_modifier(Modifier::DIM)
        }
    }

    /// A word on a ground of its own.
    pub fn badge(self) -> Style {
        self.warning().add_modifier(Modifier::REVERSED | Modifier::BOLD)
    }

    /// The view that is looked at.
    pub fn chosen(self) -> Style {
        self.accent().add_modifier(Modifier::REVERSED)
    }
}
