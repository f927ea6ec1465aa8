//! Thresholds: histogram, slider and bars of each source.

use super::{
    chart::{histogram, range},
    pictures,
    table::{
        Column::{self, Numbers, Words},
        number, table,
    },
    words::{count, percent, quoted, visible},
};
use crate::{
    Gallery, Statistics,
    statistics::{BARS, SourceStatistics, TruthRates, condition},
};
use capfilt_schemas::texts::SYNTHETIC;
use maud::{Markup, html};

/// Name of the cut that a command of the page makes.
const CUT: &str = "other-threshold";

/// The section.
pub fn section(statistics: &Statistics, gallery: &Gallery) -> Markup {
    html! {
        section id="thresholds" {
            h2 { "Thresholds" }
            p class="lead" { "A text is kept when its P(match) reaches the threshold of its source. The \
                negative control is the P(match) of images with texts of other rows: the share of it that a \
                threshold keeps, times the judged texts, is the number of texts that would be kept if none \
                matched its image." }
            p class="muted small" { "The counts at every position are exact, from the stored scores. \
                Captions that a job writes only where no text was kept do not change with the slider." }
            @for (number, source) in statistics.sources.iter().enumerate() {
                (panel(statistics, gallery, source, number))
            }
        }
    }
}

fn panel(statistics: &Statistics, gallery: &Gallery, source: &SourceStatistics, number: usize) -> Markup {
    html! {
        div class="source" {
            h3 { bdi { (visible(&source.source, 60)) } }
            (figures(statistics, source))
            (slider(statistics, source, number))
            ul class="legend" {
                (legend("kept", "texts at or above the threshold")) (legend("dropped", "texts below"))
                (legend("control", "share of the negative control that is kept"))
            }
            (histogram(statistics, source, number))
            p class="muted small" { "P(match), in bars of 0.02; the heights are on a square-root scale. \
                Choose a bar to see texts of it." }
            div class="chosen-bar" aria-live="polite" hidden {}
            (recut(statistics, source))
            h4 { "Nearest to the threshold" }
            ul class="pictures nearest" {
                @for row in &source.nearest { (pictures::of_text(gallery, row)) }
            }
            (positions(statistics, source))
            (bars(statistics, source, number))
        }
    }
}

fn legend(class: &str, text: &str) -> Markup {
    html! {
        li {
            svg viewBox="0 0 16 10" aria-hidden="true" { rect class=(class) width="16" height="10" {} }
            (text)
        }
    }
}

fn figures(statistics: &Statistics, source: &SourceStatistics) -> Markup {
    let (control, at) = (&statistics.control, source.position);
    let expected = control.false_accepts(at, source.judged);
    let note = |out: &str| html! { @if out == "threshold" { small class="own" { "the job’s" } } };
    let figure = |name: &str, out: &str, value: String| {
        html! { div { dt { (name) } dd { span data-out=(out) { (value) } (note(out)) } } }
    };
    html! {
        dl class="figures" {
            (figure("threshold", "threshold", source.threshold.to_string()))
            (figure("texts kept", "kept", count(source.kept_at[at])))
            (figure("of the judged", "share", percent(source.share_at(at))))
            (figure("control kept", "control", percent(control.share(at))))
            (figure("false accepts, expected", "false",
                expected.map_or_else(|| "–".to_owned(), |n| count(n.round() as u64))))
            @if let Some(truth) = &source.truth {
                (figure("precision", "precision", percent(truth.precision_at(at))))
                (figure("recall", "recall", percent(truth.recall_at(at))))
            }
        }
        @if let Some(truth) = &source.truth { p { (about(truth)) } }
        @if source.kept != source.kept_at[at] {
            p { "The job kept " (count(source.kept)) " texts: it has another rule beside the threshold." }
        }
    }
}

/// A sentence about the texts whose truth is known, with the verdicts of the job on them.
fn about(truth: &TruthRates) -> String {
    let TruthRates { known, are_true, kept, kept_true, .. } = truth;
    format!(
        "The truth of {} judged texts is known, and {} of them are true. The job kept {} of them, of which \
         {} are true. Precision is the share of true texts among those kept, recall the share of those kept \
         among the true ones.",
        count(*known),
        count(*are_true),
        count(*kept),
        count(*kept_true)
    )
}

/// The slider, which the script shows.
fn slider(statistics: &Statistics, source: &SourceStatistics, number: usize) -> Markup {
    let last = statistics.positions.positions().len() - 1;
    html! {
        div class="slider" hidden {
            label for={ "slider-" (number) } { "Threshold" }
            input id={ "slider-" (number) } type="range" min="0" max=(last) step="1"
                value=(source.position);
            span { output for={ "slider-" (number) } { (format!("{:.2}", source.threshold)) } " "
                button type="button" class="reset" { "Reset" } }
        }
    }
}

fn recut(statistics: &Statistics, source: &SourceStatistics) -> Markup {
    let name = source.source.as_str();
    // The script puts the position between the two parts, which together are one word of the shell.
    let word = quoted(&format!("{name}=0"));
    let (before, after) = word.rsplit_once('0').unwrap_or((&word, ""));
    let before = format!("{} --threshold {before}", start(statistics));
    html! {
        div class="command" {
            code class="recut-threshold" data-before=(visible(&before, 2000)) data-after=(after) {
                (visible(&format!("{before}{}{after}", source.threshold), 2000))
            }
            button type="button" { "Copy" }
        }
    }
}

fn start(statistics: &Statistics) -> String {
    format!("capfilt recut --job {} --name {CUT}", quoted(&statistics.url))
}

/// All positions as a table.
fn positions(statistics: &Statistics, source: &SourceStatistics) -> Markup {
    let control = &statistics.control;
    let accepts =
        |at| control.false_accepts(at, source.judged).map_or_else(String::new, |n| format!("{n:.1}"));
    let rows = html! {
        @for (at, position) in statistics.positions.positions().iter().enumerate() {
            tr {
                th scope="row" class="n" { (position) }
                (number(count(source.kept_at[at]))) (number(percent(source.share_at(at))))
                (number(percent(control.share(at)))) (number(accepts(at)))
                @if let Some(truth) = &source.truth {
                    (number(percent(truth.precision_at(at)))) (number(percent(truth.recall_at(at))))
                }
            }
        }
    };
    let mut columns =
        vec!["threshold", "texts kept", "of the judged", "control kept", "false accepts, expected"];
    columns.extend(source.truth.iter().flat_map(|_| ["precision", "recall"]));
    let columns: Vec<Column> = columns.into_iter().map(Numbers).collect();
    let caption = format!("Positions of the threshold of {}", visible(&source.source, 60));
    html! {
        details {
            summary { "Counts at every position" }
            (table(&caption, &columns, &rows))
        }
    }
}

/// All bars as a table, with the condition and the command of each.
fn bars(statistics: &Statistics, source: &SourceStatistics, number_of_source: usize) -> Markup {
    // Without these options, the thresholds and `captioner.keep` of the job would exclude texts of the bar.
    let all = format!("--threshold {}", quoted(&format!("{}=0", source.source)));
    let captioner = &statistics.job.settings.captioner;
    let keep = captioner.keep.filter(|_| source.source == SYNTHETIC);
    let all = keep.map_or(all.clone(), |_| format!("{all} --keep {SYNTHETIC}={}", captioner.captions));
    let command = |condition: &str| format!("{} {all} --where {}", start(statistics), quoted(condition));
    let rows = html! {
        @for bar in 0..BARS {
            @let condition = condition(&source.source, bar);
            tr id={ "bar-" (number_of_source) "-" (bar) } {
                th scope="row" { (range(bar)) } (number(count(source.bars[bar])))
                td { code class="where" { (visible(&condition, 2000)) } }
                td { code class="recut" { (visible(&command(&condition), 2000)) } }
            }
        }
    };
    let columns = [Words("P(match)"), Numbers("texts"), Words("condition"), Words("command")];
    html! {
        details class="bars" {
            summary { "Bars, as conditions and commands" }
            (table(&format!("Bars of the histogram of {}", visible(&source.source, 60)), &columns, &rows))
        }
    }
}
