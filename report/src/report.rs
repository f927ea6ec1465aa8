//! The whole report, from the job to the file.

use crate::{Gallery, Options, Page, ReportError, Statistics, gallery, statistics};
use capfilt_store::Location;
use std::path::Path;

/// A report that was made.
#[derive(Debug)]
pub struct Written {
    /// The page's numbers.
    pub statistics: Statistics,
    /// Bytes of the page; 0 without a page.
    pub page_bytes: usize,
}

/// Reads a job and makes its page.
///
/// # Errors
/// The job or the truths cannot be read, or its ledgers contradict its tally.
pub async fn html(job: &Location, options: &Options) -> Result<String, ReportError> {
    let statistics = statistics::read(job, options).await?;
    let gallery = gallery::read(job, &statistics).await?;
    Ok(Page { statistics: &statistics, gallery: &gallery }.render())
}

/// Reads a job and writes its report into a file, if one is named. The file is complete or not there: it is
/// written under another name first.
///
/// # Errors
/// The job or the truths cannot be read, its ledgers contradict its tally, or the file cannot be written.
pub async fn write(job: &Location, options: &Options, file: Option<&Path>) -> Result<Written, ReportError> {
    let statistics = statistics::read(job, options).await?;
    let Some(file) = file else { return Ok(Written { statistics, page_bytes: 0 }) };
    let gallery: Gallery = gallery::read(job, &statistics).await?;
    let html = Page { statistics: &statistics, gallery: &gallery }.render();
    let fail = |source| ReportError::Page { path: file.display().to_string(), source };
    let mut draft = file.as_os_str().to_owned();
    draft.push(".part");
    std::fs::write(&draft, &html).and_then(|()| std::fs::rename(&draft, file)).map_err(fail)?;
    Ok(Written { statistics, page_bytes: html.len() })
}
