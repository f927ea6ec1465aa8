//! Work: time, worker processes, failures.

use super::{
    cards::models,
    chart::meter,
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

fn figures(work: &Work) -> Markup {
    let total = work.timings.total_seconds;
    let speed = |images: f64| format!("{images:.1}");
    html! {
        dl class="figures" {
            div { dt { "attempts that count" } dd { (count(work.attempts))
                small { (count(work.repaired)) " of them repairs" } } }
            div { dt { "time of all attempts" } dd { (seconds(total)) small { "summed over worker processes" } } }
            div { dt { "images per second and process" } dd {
                (if total > 0.0 { speed(work.images as f64 / total) } else { "–".to_owned() })
                small { "judged images, average" } } }
            @if let Some(pace) = &work.pace {
                div { dt { "images per second" } dd { (speed(pace.images_per_second))
                    small { "all processes, newest " (count(pace.commits)) " commits" } } }
            }
        }
    }
}

fn stages(work: &Work) -> Markup {
    let stages = work.timings.stages();
    let longest = stages.iter().map(|(_, seconds)| *seconds).fold(0.0, f64::max);
    html! {
        div class="scroll" {
            table {
                caption { "Stages, which overlap in time" }
                thead { tr { th scope="col" { "stage" } th scope="col" class="n" { "time" }
                    th scope="col" { span class="small" { "compared" } } } }
                tbody {
                    @for (name, time) in stages {
                        tr { th scope="row" { (name) } td class="n" { (seconds(time)) }
                            td class="wide" { (meter(if longest > 0.0 { time / longest } else { 0.0 }, "value")) } }
                    }
                }
            }
        }
    }
}

fn faults(work: &Work) -> Markup {
    let failed: u64 = work.failures.values().sum();
    html! {
        div class="scroll" {
            table {
                caption { "Attempts that do not count" }
                thead { tr { th scope="col" { "reason" } th scope="col" class="n" { "number" } } }
                tbody {
                    tr class="sum" { th scope="row" { "failed attempts" } td class="n" { (count(failed)) } }
                    @for (class, n) in &work.failures {
                        tr { th scope="row" { "– " (class.as_str().replace('_', " ")) } td class="n" { (count(*n)) } }
                    }
                    @match &work.unused {
                        Some(unused) => {
                            tr { th scope="row" { "objects of no commit" } td class="n" { (count(unused.objects)) } }
                            tr { th scope="row" { "bytes of these" } td class="n" { (bytes(unused.bytes)) } }
                        },
                        None => tr { th scope="row" { "objects of no commit" } td class="n" { "capfilt gc counts them" } },
                    }
                }
            }
        }
    }
}

fn workers(work: &Work) -> Markup {
    let caption = format!("Worker processes: {} of {}", work.workers.len(), count(work.workers_total));
    html! {
        div class="scroll" tabindex="0" role="region" aria-label=(caption) {
            table {
                caption { (caption) }
                thead { tr { th scope="col" { "process" } th scope="col" class="n" { "shards" }
                    th scope="col" class="n" { "rows" } th scope="col" class="n" { "images" }
                    th scope="col" class="n" { "time" } th scope="col" class="n" { "images per second" } } }
                tbody {
                    @for worker in &work.workers {
                        tr { th scope="row" { bdi { (visible(&worker.worker, 80)) } }
                            td class="n" { (count(worker.shards)) } td class="n" { (count(worker.rows)) }
                            td class="n" { (count(worker.images)) } td class="n" { (seconds(worker.seconds)) }
                            td class="n" { (if worker.seconds > 0.0 {
                                format!("{:.1}", worker.images as f64 / worker.seconds)
                            } else { "–".to_owned() }) } }
                    }
                }
            }
        }
    }
}
