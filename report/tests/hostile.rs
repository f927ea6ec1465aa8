//! The promise that captions, keys and URLs are text on the page, with any content.

use crate::support::{Row, World, judged};
use bytes::Bytes;
use capfilt_report::{Options, Page, gallery, statistics};
use capfilt_schemas::status::RowStatus;

/// Texts that act in a browser, in a terminal or on the direction of a line if they are not escaped.
pub const HOSTILE: [&str; 8] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "</script><script>alert(1)</script>",
    "' onmouseover='alert(1)",
    "\u{202e}txet desrever\u{2066}",
    "zero\0byte and \u{1b}[2J",
    "{{constructor.constructor('alert(1)')()}} &lt;b&gt; ]]> <!-- --><svg onload=alert(1)>",
];

/// A row whose every text is hostile.
fn row(number: u64) -> Row {
    let text = HOSTILE[number as usize % HOSTILE.len()];
    let long = "x".repeat(10_240);
    let web = if number % 9 == 8 { long.as_str() } else { text };
    let mut row = judged(number, &[("caption", web, 0.3), ("synthetic", text, 0.9)]);
    row.key = text.to_owned();
    row.detail = Some(text.to_owned());
    if number % 5 == 4 {
        (row.status, row.image) = (RowStatus::ImageUndecodable, Bytes::from_static(b"<svg onload=alert(1)>"));
    }
    row
}

/// A finished job whose texts, keys, details and file name are hostile.
pub async fn job() -> World {
    let world = World::new(&[]);
    let blank: Vec<Row> = (0..60).map(row).collect();
    world.write_input("a\"><img src=x onerror=alert(1)>.parquet", &blank, 60);
    world.finish(|_, number| row(number), |_| ()).await;
    world
}

async fn page() -> String {
    let world = job().await;
    let bucket = world.bucket();
    let statistics = statistics::read(&bucket, &Options::default()).await.unwrap();
    let gallery = gallery::read(&bucket, &statistics).await.unwrap();
    Page { statistics: &statistics, gallery: &gallery }.render()
}

#[tokio::test]
async fn hostile_texts_are_shown_and_do_nothing() {
    let page = page().await;
    let is_shown = |escaped: &str| assert!(page.contains(escaped), "{escaped} is not on the page");
    is_shown("&lt;script&gt;alert(1)&lt;/script&gt;");
    is_shown("&lt;img src=x onerror=alert(1)&gt;");
    is_shown("javascript:alert(1)");
    is_shown("&amp;lt;b&amp;gt;");
    is_shown(r"\u{202e}txet desrever\u{2066}");
    is_shown(r"zero\u{0}byte and \u{1b}[2J");
    is_shown("… (10,240 characters)");
    assert_eq!(page.matches("<script").count(), 2, "the numbers and the page's script");
    assert_eq!(page.matches("</script").count(), 2);
    for markup in ["<img", "<svg onload", "href=\"javascript", "onerror=\"", "onmouseover=\""] {
        assert!(!page.contains(markup), "{markup}");
    }
    let acts = |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!page.contains(acts));
}

#[tokio::test]
async fn every_address_on_the_page_is_of_the_page_or_of_a_picture_in_it() {
    let page = page().await;
    for attribute in ["href=\"", "src=\"", "action=\"", "url(", "@import", "srcset"] {
        for (at, _) in page.match_indices(attribute) {
            let value = &page[at + attribute.len()..];
            let is_inside = value.starts_with('#') || value.starts_with("data:image/jpeg;base64,");
            assert!(is_inside, "{attribute}{}", value.chars().take(60).collect::<String>());
        }
    }
    assert!(page.contains("default-src 'none'") && !page.contains("unsafe-inline"), "the policy");
    assert!(!page.contains(" style=\""), "the policy refuses styles of elements");
}
