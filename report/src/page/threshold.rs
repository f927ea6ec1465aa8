//! Thresholds: histogram, slider and bars of each score of each source.

use super::{
    axis::Axis,
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
    statistics::{BARS, Scale, TruthRates, condition},
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
            @if statistics.clip_positions.is_some() {
                p { "Each source has two scores. The counts of one score hold with the job’s threshold of \
                    the other one." }
            }
            p class="muted small" { "The counts at every position are exact, from the stored scores. \
                Captions that a job writes only where no text was kept do not change with the slider." }
            @for (number, axis) in Axis::all(statistics).iter().enumerate() {
                (panel(statistics, gallery, axis, number))
            }
        }
    }
}

fn panel(statistics: &Statistics, gallery: &Gallery, axis: &Axis, number: usize) -> Markup {
    let (score, has_clip) = (axis.score(), axis.source.clip.is_some());
    html! {
        div class="source" {
            h3 { bdi { (visible(&axis.source.source, 60)) } @if has_clip { ": " (score) } }
            (figures(axis))
            (slider(axis, number))
            ul class="legend" {
                (legend("kept", "texts at or above the threshold")) (legend("dropped", "texts below"))
                (legend("control", "share of the negative control that is kept"))
            }
            (histogram(axis, number))
            p class="muted small" { (about_bars(axis.scale)) }
            div class="chosen-bar" aria-live="polite" hidden {}
            (recut(statistics, axis))
            @if axis.scale == Scale::Match {
                h4 { "Nearest to the threshold" }
                ul class="pictures nearest" {
                    @for row in &axis.source.nearest { (pictures::of_text(gallery, row)) }
                }
            }
            (positions(axis))
            (bars(statistics, axis, number))
        }
    }
}

fn about_bars(scale: Scale) -> &'static str {
    match scale {
        Scale::Match => {
            "P(match), in bars of 0.02; the heights are on a square-root scale. Choose a bar to see texts of \
             it."
        }
        Scale::Clip => {
            "CLIP score, in bars of 1; the heights are on a square-root scale. A text is kept when it also \
             reaches the job’s threshold of P(match), so fewer texts are kept than have a CLIP score above \
             the threshold; the control is counted in the same way."
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

fn figures(axis: &Axis) -> Markup {
    let at = axis.position;
    let expected = axis.false_accepts_at(at);
    let note = |out: &str| html! { @if out == "threshold" { small class="own" { "the job’s" } } };
    let figure = |name: &str, out: &str, value: String| {
        html! { div { dt { (name) } dd { span data-out=(out) { (value) } (note(out)) } } }
    };
    html! {
        dl class="figures" {
            (figure("threshold", "threshold", shown(axis, at)))
            (figure("texts kept", "kept", count(axis.kept_at[at])))
            (figure(of_texts(axis.scale), "share", percent(axis.share_at(at))))
            (figure("control kept", "control", percent(axis.control_share_at(at))))
            (figure("false accepts, expected", "false",
                expected.map_or_else(|| "–".to_owned(), |n| count(n.round() as u64))))
            @if let Some(truth) = axis.truth {
                (figure("precision", "precision", percent(truth.precision_at(at))))
                (figure("recall", "recall", percent(truth.recall_at(at))))
            }
        }
        @if let Some(truth) = axis.truth { p { (about(truth)) } }
        @if axis.source.kept != axis.kept_at[at] {
            @let kept = count(axis.source.kept);
            p { "The job kept " (kept) " texts: it has another rule beside the threshold." }
        }
    }
}

/// A position as the page shows it.
fn shown(axis: &Axis, position: usize) -> String {
    let value = axis.positions[position];
    if value < 0.0 && axis.threshold.is_none_or(|threshold| threshold != value) {
        return "none".to_owned();
    }
    value.to_string()
}

fn of_texts(scale: Scale) -> &'static str {
    match scale {
        Scale::Match => "of the judged",
        Scale::Clip => "of those with a score",
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
fn slider(axis: &Axis, number: usize) -> Markup {
    let last = axis.positions.len() - 1;
    html! {
        div class="slider" hidden {
            label for={ "slider-" (number) } { "Threshold" }
            input id={ "slider-" (number) } type="range" min="0" max=(last) step="1" value=(axis.position);
            span { output for={ "slider-" (number) } {} " "
                button type="button" class="reset" { "Reset" } }
        }
    }
}

fn recut(statistics: &Statistics, axis: &Axis) -> Markup {
    // The script puts the position between the two parts, which together are one word of the shell.
    let word = quoted(&format!("{}=0", axis.source.source));
    let (before, after) = word.rsplit_once('0').unwrap_or((&word, ""));
    let before = format!("{} {} {before}", start(statistics), option(axis.scale));
    let value = axis.positions[axis.position];
    html! {
        div class="command" {
            code class="recut-threshold" data-before=(visible(&before, 2000)) data-after=(after) {
                (visible(&format!("{before}{value}{after}"), 2000))
            }
            button type="button" { "Copy" }
        }
    }
}

/// Option of `capfilt recut` with the threshold of a score.
fn option(scale: Scale) -> &'static str {
    match scale {
        Scale::Match => "--threshold",
        Scale::Clip => "--clip-threshold",
    }
}

fn start(statistics: &Statistics) -> String {
    format!("capfilt recut --job {} --name {CUT}", quoted(&statistics.url))
}

/// All positions as a table.
fn positions(axis: &Axis) -> Markup {
    let accepts = |at| axis.false_accepts_at(at).map_or_else(String::new, |n| format!("{n:.1}"));
    let rows = html! {
        @for at in 0..axis.positions.len() {
            tr {
                th scope="row" class="n" { (shown(axis, at)) }
                (number(count(axis.kept_at[at]))) (number(percent(axis.share_at(at))))
                (number(percent(axis.control_share_at(at)))) (number(accepts(at)))
                @if let Some(truth) = axis.truth {
                    (number(percent(truth.precision_at(at)))) (number(percent(truth.recall_at(at))))
                }
            }
        }
    };
    let mut columns =
        vec!["threshold", "texts kept", of_texts(axis.scale), "control kept", "false accepts, expected"];
    columns.extend(axis.truth.iter().flat_map(|_| ["precision", "recall"]));
    let columns: Vec<Column> = columns.into_iter().map(Numbers).collect();
    let caption =
        format!("Positions of the threshold of {} of {}", axis.score(), visible(&axis.source.source, 60));
    html! {
        details {
            summary { "Counts at every position" }
            (table(&caption, &columns, &rows))
        }
    }
}

/// All bars as a table, with the condition and the command of each.
fn bars(statistics: &Statistics, axis: &Axis, number_of_panel: usize) -> Markup {
    let source = &axis.source.source;
    let all = everything(statistics, source);
    let command = |condition: &str| format!("{} {all} --where {}", start(statistics), quoted(condition));
    let rows = html! {
        @for bar in 0..BARS {
            @let condition = condition(axis.scale, source, bar);
            tr id={ "bar-" (number_of_panel) "-" (bar) } {
                th scope="row" { (range(axis.scale, bar)) } (number(count(axis.bars[bar])))
                td { code class="where" { (visible(&condition, 2000)) } }
                td { code class="recut" { (visible(&command(&condition), 2000)) } }
            }
        }
    };
    let columns = [Words(axis.score()), Numbers("texts"), Words("condition"), Words("command")];
    let caption = format!("Bars of the histogram of {} of {}", axis.score(), visible(source, 60));
    html! {
        details class="bars" {
            summary { "Bars, as conditions and commands" }
            (table(&caption, &columns, &rows))
        }
    }
}

/// Options without which the thresholds and `captioner.keep` of the job would exclude texts of a bar.
fn everything(statistics: &Statistics, source: &str) -> String {
    let settings = &statistics.job.settings;
    let mut all = format!("--threshold {}", quoted(&format!("{source}=0")));
    if settings.filter.clip_threshold(source).is_some() {
        all += &format!(" --clip-threshold {}", quoted(&format!("{source}=-100")));
    }
    if settings.captioner.keep.is_some() && source == SYNTHETIC {
        all += &format!(" --keep {SYNTHETIC}={}", settings.captioner.captions);
    }
    all
}
