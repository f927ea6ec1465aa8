//! Pictures of rows: thumbnails, made on request within bounds of number, time and memory.

use crate::{aside::aside, fields::Fields};
use axum::{
    body::Bytes,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use capfilt_coordinator::{job, state::commits};
use capfilt_report::{
    gallery::{self, NoPicture, Thumbnail},
    statistics::CommittedShard,
};
use capfilt_schemas::{
    job::JobDigest,
    plan::{Shard, ShardId},
    settings::Settings,
};
use capfilt_store::Location;
use maud::html;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{OnceCell, Semaphore},
    time::timeout,
};

/// Pictures that are made at one time. Memory of each: an encoded and a decoded image within the limits of
/// the job.
const AT_ONCE: usize = 2;

/// Requests that wait for their picture. Memory: a few hundred bytes each; more are refused.
const WAITING: usize = 256;

/// Longest wait for the turn of a request, and longest time for its picture.
const WITHIN: Duration = Duration::from_secs(20);

/// Most bytes of a picture.
const BYTES_EACH: usize = 12_000;

/// Pictures that are kept for the next request. Memory: [`BYTES_EACH`] for each, 6 MB.
const KEPT: usize = 512;

/// Letters of a line of the picture that says why there is none.
const LETTERS: usize = 18;

/// Name of a picture: a row of a commit, by its number in the input file. A commit never changes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PictureName {
    pub shard: ShardId,
    pub commit: u32,
    pub row: u64,
}

impl PictureName {
    pub fn of(fields: &Fields) -> Option<Self> {
        let shard = ShardId::parse(fields.get("shard")?)?;
        Some(Self {
            shard,
            commit: fields.get("commit")?.parse().ok()?,
            row: fields.get("row")?.parse().ok()?,
        })
    }

    /// Path of the picture. Nothing of it needs an escape.
    pub fn path(&self) -> String {
        format!("/picture?shard={}&commit={}&row={}", self.shard.as_str(), self.commit, self.row)
    }
}

/// Settings and plan of the job. Memory: about 300 bytes per shard.
struct Job {
    settings: Settings,
    plan: Vec<Shard>,
}

/// Pictures that were made, the oldest first.
#[derive(Default)]
struct Made {
    by_name: HashMap<PictureName, Bytes>,
    order: VecDeque<PictureName>,
}

impl Made {
    fn keep(&mut self, name: &PictureName, jpeg: &Bytes) {
        if self.by_name.insert(name.clone(), jpeg.clone()).is_none() {
            self.order.push_back(name.clone());
        }
        while self.order.len() > KEPT {
            if let Some(oldest) = self.order.pop_front() {
                self.by_name.remove(&oldest);
            }
        }
    }
}

/// Why a picture is not in the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Lack {
    /// The row has none.
    Row(NoPicture),
    /// Too many pictures are requested, or one takes too long.
    Busy,
}

/// Pictures of the rows of a job.
pub(crate) struct Pictures {
    bucket: Arc<Location>,
    digest: Option<JobDigest>,
    job: OnceCell<Arc<Job>>,
    made: Mutex<Made>,
    waiting: Semaphore,
    places: Semaphore,
}

impl Pictures {
    pub fn new(bucket: Arc<Location>, digest: Option<JobDigest>) -> Self {
        let (waiting, places) = (Semaphore::new(WAITING), Semaphore::new(AT_ONCE));
        Self { bucket, digest, job: OnceCell::new(), made: Mutex::default(), waiting, places }
    }

    /// A JPEG, or a picture that says why there is none.
    pub async fn answer(&self, name: PictureName) -> Response {
        match self.find(name).await {
            Ok(jpeg) => ([(header::CONTENT_TYPE, "image/jpeg")], jpeg).into_response(),
            Err(Lack::Row(why)) => in_words(StatusCode::NOT_FOUND, why.as_str()),
            Err(Lack::Busy) => {
                in_words(StatusCode::SERVICE_UNAVAILABLE, "too many requests; reload the page")
            }
        }
    }

    async fn find(&self, name: PictureName) -> Result<Bytes, Lack> {
        if let Some(jpeg) = self.made(&name) {
            return Ok(jpeg);
        }
        let Ok(_waiting) = self.waiting.try_acquire() else { return Err(Lack::Busy) };
        let Ok(Ok(_place)) = timeout(WITHIN, self.places.acquire()).await else { return Err(Lack::Busy) };
        // Another request may have made it meanwhile.
        if let Some(jpeg) = self.made(&name) {
            return Ok(jpeg);
        }
        let thumbnail = self.make(name.clone()).await?;
        let jpeg = Bytes::from(thumbnail.jpeg);
        self.made.lock().unwrap_or_else(PoisonError::into_inner).keep(&name, &jpeg);
        Ok(jpeg)
    }

    fn made(&self, name: &PictureName) -> Option<Bytes> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).by_name.get(name).cloned()
    }

    async fn make(&self, name: PictureName) -> Result<Thumbnail, Lack> {
        let loaded = self.job.get_or_try_init(async || {
            let (record, plan) = job::load(&self.bucket).await?;
            Ok::<_, job::JobError>(Arc::new(Job { settings: record.settings, plan }))
        });
        let job = Arc::clone(loaded.await.map_err(|_| Lack::Row(NoPicture::Unreadable))?);
        let (bucket, digest) = (Arc::clone(&self.bucket), self.digest.clone());
        let made = aside(move || async move {
            timeout(WITHIN, thumbnail(&bucket, digest.as_ref(), &job, &name)).await
        });
        match made.await {
            Some(Ok(made)) => made.map_err(Lack::Row),
            Some(Err(_)) => Err(Lack::Busy),
            None => Err(Lack::Row(NoPicture::Undecodable)),
        }
    }
}

async fn thumbnail(
    bucket: &Location,
    digest: Option<&JobDigest>,
    job: &Job,
    name: &PictureName,
) -> Result<Thumbnail, NoPicture> {
    let shard = job.plan.iter().find(|shard| shard.id == name.shard).ok_or(NoPicture::Missing)?;
    let read = commits::read(bucket, &name.shard, name.commit, digest).await;
    let commit = read.map_err(|_| NoPicture::Unreadable)?.commit;
    let shard = CommittedShard::of(shard, &commit).ok_or(NoPicture::Missing)?;
    gallery::picture(bucket, &job.settings, &shard, name.row, BYTES_EACH).await
}

/// A picture of a sentence of this program, for the place of one that is not there. Its colours have enough
/// contrast on any background.
fn in_words(status: StatusCode, why: &str) -> Response {
    let mut lines = vec![String::new()];
    for word in why.split(' ') {
        let line = lines.last_mut().expect("there is one");
        if line.is_empty() || line.len() + 1 + word.len() <= LETTERS {
            *line = format!("{line} {word}").trim_start().to_owned();
        } else {
            lines.push(word.to_owned());
        }
    }
    let first = 85 - 9 * lines.len();
    let svg = html! {
        svg xmlns="http://www.w3.org/2000/svg" width="160" height="160" viewBox="0 0 160 160" {
            rect width="160" height="160" fill="#5b636d" {}
            @for (number, line) in lines.iter().enumerate() {
                text x="80" y=(first + 18 * number) fill="#fff" font-size="15" font-family="sans-serif"
                    text-anchor="middle" dominant-baseline="hanging" { (line) }
            }
        }
    };
    (status, [(header::CONTENT_TYPE, "image/svg+xml")], svg.into_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(row: u64) -> PictureName {
        PictureName { shard: ShardId::of("a.parquet", "1", 0..1), commit: 0, row }
    }

    #[test]
    fn a_name_is_read_from_its_own_path_and_from_nothing_else() {
        let of =
            |path: &str| PictureName::of(&Fields::of_query(path.split_once('?').map(|(_, query)| query)));
        assert_eq!(of(&name(7).path()), Some(name(7)));
        for wrong in ["?", "?shard=../../x&commit=0&row=1", "?shard=0123456789abcdef0123&commit=-1&row=1"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_number_of_kept_pictures_is_bounded() {
        let mut made = Made::default();
        (0..2 * KEPT as u64).for_each(|row| made.keep(&name(row), &Bytes::new()));
        made.keep(&name(2 * KEPT as u64 - 1), &Bytes::new());
        assert_eq!((made.by_name.len(), made.order.len()), (KEPT, KEPT));
        assert!(!made.by_name.contains_key(&name(0)) && made.by_name.contains_key(&name(KEPT as u64)));
    }
}
