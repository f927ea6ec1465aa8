//! Whole pages. They need no script: a form and a reload do everything.

use crate::{
    explain::Explained,
    feed::View,
    pictures::PictureName,
    search::{Found, Kind, Query},
    sections::{self, visible},
};
use axum::response::Html;
use capfilt_store::Location;
use maud::{DOCTYPE, Markup, html};

/// Sections of the live page: ids and headings.
const HEADINGS: [(&str, &str); 5] = [
    ("state", "State"),
    ("progress", "Progress"),
    ("workers", "Workers"),
    ("shards", "Shards"),
    ("texts", "Newest rows"),
];

/// Abilities of the page beyond those of every page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Abilities {
    /// There is a report.
    pub report: bool,
    /// Images are searched by a text.
    pub images: bool,
}

/// The live page of a job. `done` is a sentence about a request that was just obeyed.
pub(crate) fn live(job: &str, view: &View, abilities: Abilities, done: Option<&str>) -> Html<String> {
    let html_of = |id: &str| view.sections.iter().find(|section| section.id == id).map(|one| &*one.html);
    let body = html! {
        p.small { "Connection: "
            span #connection role="status" { "without a script; reload for the newest state" } }
        @if let Some(done) = done { p.good { (done) } }
        (search_form(None, abilities.images))
        (row_form())
        @if abilities.report { p { a href="/report" { "Report: statistics and examples" } } }
        @for (id, heading) in HEADINGS {
            h2 { (heading) }
            section id=(id) data-live { (maud::PreEscaped(html_of(id).unwrap_or(""))) }
        }
        h2 { "Controls" }
        (controls())
        script src="/live.js" defer {}
    };
    whole(job, &body)
}

/// Forms for the controls. The token is a field, because a browser sends no other secret without a cookie.
fn controls() -> Markup {
    html! {
        form method="post" action="/control" {
            label { "Token " input type="password" name="token" required autocomplete="off"; }
            button name="action" value="pause" { "Pause" }
            button name="action" value="resume" { "Resume" }
            button name="action" value="drain" { "Drain" }
            button formaction="/retry" { "Retry what is quarantined" }
        }
        p.small {
            "Pause: running shards finish, no other is handed out. Drain: as pause, then the processes of \
             the job end. Both stay in force when this page ends. Retry: quarantined rows and shards are \
             executed again, by the running or the next " code { "capfilt run" } ". "
            code { "capfilt serve" } " printed the token at its start, or it is in the variable of "
            code { "--token-env" } "."
        }
    }
}

fn search_form(query: Option<&Query>, images: bool) -> Markup {
    let (text, kind) = query.map_or(("", Kind::Words), |query| (query.q.as_str(), query.kind));
    let choice = |of: Kind, means: &str| {
        html! { option value=(of.as_str()) selected[kind == of] { (means) } }
    };
    html! {
        form method="get" action="/search" {
            label { "Search " input name="q" required maxlength="200" value=(text); }
            select name="kind" aria-label="meaning of the search" {
                (choice(Kind::Words, "texts with these words"))
                (choice(Kind::Regex, "texts that match this regular expression"))
                @if images { (choice(Kind::Image, "images like this text")) }
            }
            button { "Search" }
        }
    }
}

fn row_form() -> Markup {
    html! {
        form method="get" action="/row" {
            label { "Row with the key " input name="key" required maxlength="2000"; }
            button { "Show" }
        }
    }
}

/// Results of a search.
pub(crate) fn results(job: &str, query: &Query, images: bool, found: &Found) -> Html<String> {
    let body = html! {
        p { a href="/" { "Back to the job" } }
        (search_form(Some(query), images))
        p {
            (found.rows.len()) " rows found in " (found.searched_rows) " rows of " (found.searched_commits)
            " shards, "
            @if query.kind == Kind::Image { "greatest cosine of image and text first." }
            @else { "newest first." }
            @if found.without_vector > 0 {
                " " (found.without_vector) " rows have no vector of this model: vectors are stored with "
                code { "output.embeddings = true" } ", and come from the job's filter."
            }
            @if let Some(why) = found.stopped { " The search ended early: " (why) "." }
            @if found.unreadable > 0 {
                " " (found.unreadable) " shards could not be read; `capfilt verify` names them."
            }
        }
        @for (row, cosine) in &found.rows {
            @if let Some(cosine) = cosine { p.small { "cosine " (format!("{cosine:.3}")) } }
            (sections::row(row))
        }
    };
    whole(job, &body)
}

/// Everything about rows with one name.
pub(crate) fn rows(job: &str, bucket: &Location, rows: &[Explained]) -> Html<String> {
    let body = html! {
        p { a href="/" { "Back to the job" } }
        @for row in rows {
            @let (shard, commit) = (row.commit.shard.clone(), row.commit.n);
            (sections::thumb(&PictureName { shard, commit, row: row.row.row }))
            pre tabindex="0" { @for line in row.lines(bucket) { (visible(&line)) "\n" } }
        }
    };
    whole(job, &body)
}

/// A page with a sentence.
pub(crate) fn message(title: &str, text: &str) -> Html<String> {
    whole(title, &html! { p { (visible(text)) } p { a href="/" { "Back to the job" } } })
}

fn whole(title: &str, body: &Markup) -> Html<String> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "capfilt: " (visible(title)) }
                link rel="stylesheet" href="/style.css";
                link rel="icon" href="data:,";
            }
            body { h1 { (visible(title)) } main { (body) } }
        }
    };
    Html(page.into_string())
}
