//! Work: time, worker processes, failures.

use super::{
    cards::models,
    chart::meter,
    table::{
        Column::{self, Bars, Numbers, Words},
        number, table,
    },
    words::{bytes, count, seconds, visible},
};
use crate::{Statistics, statistics::Work};
use maud::{Markup, html};

/// The section.
pub fn section(statistics: &Statistics) -> Markup {
    let work = &statistics.work;
    html! {
        section id="work" {
            h2 { "Work" }
            (figures(work))
            div class="two" { (stages(work)) (faults(work)) }
            (workers(work))
            p class="muted small" { "Models: " (models(statistics)) ". Planned by capfilt "
                (visible(&statistics.job.program, 40)) "." }
        }
    }
}

/// Images per second; a dash without a time.
fn speed(images: u64, seconds: f64) -> String {
    if seconds > 0.0 { format!("{:.1}", images as f64 / seconds) } else { "–".to_owned() }
}

fn figures(work: &Work) -> Markup {
    let total = work.timings.total_seconds;
    let figure = |name: &str, value: String, note: String| {
        html! { div { dt { (name) } dd { (value) small { (note) } } } }
    };
    let repaired = format!("{} of them repairs", count(work.repaired));
    let summed = "summed over worker processes".to_owned();
    let average = "judged images, average".to_owned();
    html! {
        dl class="figures" {
            (figure("attempts that count", count(work.attempts), repaired))
            (figure("time of all attempts", seconds(total), summed))
            (figure("images per second and process", speed(work.images, total), average))
            @if let Some(pace) = &work.pace {
                (figure("images per second", format!("{:.1}", pace.images_per_second),
                    format!("all processes, newest {} commits", count(pace.commits))))
            }
        }
    }
}

fn stages(work: &Work) -> Markup {
    let stages = work.timings.stages();
    let longest = stages.iter().map(|(_, seconds)| *seconds).fold(f64::MIN_POSITIVE, f64::max);
    let rows = html! {
        @for (name, time) in stages {
            tr {
                th scope="row" { (name) } (number(seconds(time)))
                td class="wide" { (meter(time / longest, "value")) }
            }
        }
    };
    table("Stages, which overlap in time", &[Words("stage"), Numbers("time"), Bars("compared")], &rows)
}

fn faults(work: &Work) -> Markup {
    let row = |name: &str, value: String| html! { tr { th scope="row" { (name) } (number(value)) } };
    let failed: u64 = work.failures.values().sum();
    let rows = html! {
        (row("failed attempts", count(failed)))
        @for (class, n) in &work.failures {
            (row(&format!("– {}", class.as_str().replace('_', " ")), count(*n)))
        }
        @match &work.unused {
            Some(unused) => {
                (row("objects of no commit", count(unused.objects)))
                (row("bytes of these", bytes(unused.bytes)))
            },
            None => (row("objects of no commit", "capfilt gc counts them".to_owned())),
        }
    };
    table("Attempts that do not count", &[Words("reason"), Numbers("number")], &rows)
}

fn workers(work: &Work) -> Markup {
    let caption = format!("Worker processes: {} of {}", work.workers.len(), count(work.workers_total));
    let rows = html! {
        @for worker in &work.workers {
            tr {
                th scope="row" { bdi { (visible(&worker.worker, 80)) } }
                (number(count(worker.shards))) (number(count(worker.rows))) (number(count(worker.images)))
                (number(seconds(worker.seconds))) (number(speed(worker.images, worker.seconds)))
            }
        }
    };
    let numbers = ["shards", "rows", "images", "time", "images per second"].map(Numbers);
    let columns: Vec<Column> = [Words("process")].into_iter().chain(numbers).collect();
    table(&caption, &columns, &rows)
}
