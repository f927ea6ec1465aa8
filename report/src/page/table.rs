//! Tables, each in a region that scrolls on a narrow screen.

use maud::{Markup, html};

/// Heading of a column.
#[derive(Debug, Clone, Copy)]
pub enum Column {
    /// Of words.
    Words(&'static str),
    /// Of numbers, which are aligned.
    Numbers(&'static str),
    /// Of bars that show the numbers beside them.
    Bars(&'static str),
}

/// A table with a caption.
pub fn table(caption: &str, columns: &[Column], rows: &Markup) -> Markup {
    html! {
        div class="scroll" tabindex="0" role="region" aria-label=(caption) {
            table {
                caption { (caption) }
                thead { tr { @for column in columns { (heading(*column)) } } }
                tbody { (rows) }
            }
        }
    }
}

fn heading(column: Column) -> Markup {
    match column {
        Column::Words(name) => html! { th scope="col" { (name) } },
        Column::Numbers(name) => html! { th scope="col" class="n" { (name) } },
        Column::Bars(name) => html! { th scope="col" class="bars-of" { (name) } },
    }
}

/// A cell with a number.
pub fn number(value: impl maud::Render) -> Markup {
    html! { td class="n" { (value) } }
}
