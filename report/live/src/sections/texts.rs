//! Rows with their texts and verdicts.

use super::visible;
use crate::{
    pictures::PictureName,
    samples::{RowView, TextView},
    snapshot::Snapshot,
};
use maud::{Markup, html};

pub(super) fn newest(snapshot: &Snapshot) -> Markup {
    html! {
        @if snapshot.samples.rows.is_empty() { p { "No row is committed yet." } }
        @for one in &snapshot.samples.rows { (row(one)) }
    }
}

/// A row, with a link to everything that the job recorded about it.
pub(crate) fn row(view: &RowView) -> Markup {
    let name = format!("{}#{}", view.file, view.row);
    html! {
        article {
            @match &view.picture {
                Ok(picture) => (thumb(picture)),
                Err(why) => div.thumb.none { (why.as_str()) },
            }
            div {
                p.small {
                    a href=(link(&name)) { (visible(&name)) }
                    @if let Some(key) = &view.key { " · key " bdi { (visible(key)) } }
                    @if view.status != "judged" { " · " strong { (view.status.replace('_', " ")) } }
                    @if let Some(detail) = &view.detail { " · " (visible(detail)) }
                }
                @for one in &view.texts { (text(one)) }
            }
        }
    }
}

/// The picture of a row, which the browser fetches when it is near the visible part of the page.
pub(crate) fn thumb(name: &PictureName) -> Markup {
    html! {
        img.thumb src=(name.path()) alt={ "Picture of row " (name.row) } width="120" height="120"
            loading="lazy";
    }
}

/// Path of the page of a row; the name is percent-encoded.
fn link(name: &str) -> String {
    let encoded = name.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    format!("/row?address={}", encoded.collect::<String>())
}

fn text(view: &TextView) -> Markup {
    let (class, verdict) = match view.verdict {
        Some((itm, true)) => ("kept", format!("kept, P(match) {itm:.3}")),
        Some((itm, false)) => ("dropped", format!("dropped, P(match) {itm:.3}")),
        None => ("dropped", format!("not judged: {}", view.status)),
    };
    html! {
        p class=(class) {
            span.source { (visible(&view.source)) } " " bdi { (visible(&view.text)) } " "
            span.small { (verdict) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capfilt_report::gallery::NoPicture;

    #[test]
    fn markup_in_keys_texts_and_names_is_text() {
        let evil = "<script>alert(1)</script>\"'&\u{202e}";
        let text = TextView { source: evil.into(), text: evil.into(), verdict: None, status: "missing" };
        let view = RowView {
            key: Some(evil.into()),
            file: evil.into(),
            row: 3,
            status: "crashed",
            detail: Some(evil.into()),
            texts: vec![text],
            picture: Err(NoPicture::Missing),
        };
        let html = row(&view).into_string();
        assert!(!html.contains("<script") && !html.contains('\u{202e}'), "{html}");
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{html}");
        assert!(html.contains("href=\"/row?address=%3Cscript%3Ealert%281%29"), "{html}");
    }
}
