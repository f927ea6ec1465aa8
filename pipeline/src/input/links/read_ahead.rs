//! Reads rows ahead and fetches their links meanwhile.

use super::{Links, RowStream, earlier::EarlierReader};
use crate::input::{ImageInput, Origin, ReadError, Rows, Sample};
use arrow::array::RecordBatch;
use bytes::Bytes;
use capfilt_links::{Fetched, Link, NetworkDown, Seat};
use futures::StreamExt as _;
use std::{collections::VecDeque, sync::Arc};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, watch},
    task::JoinHandle,
};

/// Bytes of the rows that are returned together, unless a single row is larger.
const CHUNK_BYTES: u64 = 64 << 20;

/// The rows of a shard with the images of their links, in the shard's order.
///
/// Memory: the rows ahead and their images, bounded by [`Links`], and the returned rows. The next row to be
/// returned may exceed the bound, so that the rows behind it never block it.
pub(in crate::input) struct LinkedRows {
    chunks: mpsc::UnboundedReceiver<Result<Ahead, ReadError>>,
    current: Option<Ahead>,
    /// Number of the next row, counted from the begin of the reading.
    first: watch::Sender<u64>,
    file: String,
    read_out: ReadOut,
    #[expect(dead_code, reason = "it ends with the reader")]
    reading: Task<()>,
}

/// The end of a shard's reading: all its links are being fetched, or are fetched.
#[derive(Debug, Clone)]
pub struct ReadOut(watch::Receiver<()>);

impl ReadOut {
    /// Waits for the end.
    pub async fn ended(&mut self) {
        // The reading task sends nothing and drops the sender when it ends.
        while self.0.changed().await.is_ok() {}
    }
}

/// Rows that were read, and are partly returned.
struct Ahead {
    samples: VecDeque<(Sample, u64, Image)>,
    passthrough: RecordBatch,
    #[expect(dead_code, reason = "held until the rows are returned")]
    room: Seat,
}

/// Image of a row ahead, with its share of the room.
enum Image {
    Ready(Option<Seat>),
    Fetching(Task<Result<(ImageInput, Seat), NetworkDown>>, Option<OwnedSemaphorePermit>),
}

/// A task that ends when its owner does.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl LinkedRows {
    /// Begins to read. `most`: largest number of bytes of an image.
    pub fn begin(rows: RowStream, links: Arc<Links>, most: u64, file: &str) -> Self {
        let (first, watched) = watch::channel(0);
        // The number of chunks is bounded by the number of rows ahead.
        let (out, chunks) = mpsc::unbounded_channel();
        let reading = ReadAhead { links, most, first: watched, number: 0, earlier: EarlierReader::default() };
        let (ends, ended) = watch::channel(());
        let reading = Task(tokio::spawn(async move {
            reading.read(rows, out).await;
            drop(ends);
        }));
        let read_out = ReadOut(ended);
        Self { chunks, current: None, first, file: file.to_owned(), read_out, reading }
    }

    /// The end of the reading ahead.
    pub fn read_out(&self) -> ReadOut {
        self.read_out.clone()
    }

    /// Returns the next rows, or `None` after the last.
    ///
    /// # Errors
    /// As of the rows' reader; and no host answers any more.
    pub async fn next(&mut self) -> Result<Option<Rows>, ReadError> {
        if self.current.is_none() {
            self.current = self.chunks.recv().await.transpose()?;
        }
        let Some(ahead) = &mut self.current else { return Ok(None) };
        let from = ahead.passthrough.num_rows() - ahead.samples.len();
        let (mut samples, mut bytes, mut total) = (Vec::new(), Vec::new(), 0);
        while total < CHUNK_BYTES
            && let Some((mut sample, mut row_bytes, image)) = ahead.samples.pop_front()
        {
            let _held = match image {
                Image::Ready(seat) => seat,
                Image::Fetching(mut task, _row) => {
                    let fetched = (&mut task.0).await.map_err(|error| panicked(&self.file, &error))?;
                    let (image, seat) = fetched?;
                    sample.image = image;
                    row_bytes += size(&sample.image);
                    Some(seat)
                }
            };
            self.first.send_modify(|first| *first += 1);
            total += row_bytes;
            samples.push(sample);
            bytes.push(row_bytes);
        }
        let passthrough = ahead.passthrough.slice(from, samples.len());
        if ahead.samples.is_empty() {
            self.current = None;
        }
        Ok(Some(Rows { samples, bytes, passthrough }))
    }
}

fn panicked(file: &str, error: &tokio::task::JoinError) -> ReadError {
    ReadError::Panic { file: file.to_owned(), message: format!("fetching a link: {error}") }
}

fn size(image: &ImageInput) -> u64 {
    match image {
        ImageInput::Bytes { bytes, .. } => bytes.len() as u64,
        _ => 0,
    }
}

struct ReadAhead {
    links: Arc<Links>,
    most: u64,
    first: watch::Receiver<u64>,
    /// Number of the next row that is read.
    number: u64,
    earlier: EarlierReader,
}

impl ReadAhead {
    async fn read(mut self, mut rows: RowStream, out: mpsc::UnboundedSender<Result<Ahead, ReadError>>) {
        while let Some(read) = rows.next().await {
            let ahead = match read {
                Ok(rows) => self.ahead(rows).await,
                Err(error) => Err(error),
            };
            let is_last = ahead.is_err();
            if out.send(ahead).is_err() || is_last {
                return;
            }
        }
    }

    /// Begins to fetch the links of rows.
    async fn ahead(&mut self, rows: Rows) -> Result<Ahead, ReadError> {
        let Rows { samples, bytes, passthrough } = rows;
        let mut room = self.links.room.seat(self.number, self.first.clone());
        room.hold(bytes.iter().sum()).await;
        let mut ahead = VecDeque::with_capacity(samples.len());
        for (mut sample, mut bytes) in samples.into_iter().zip(bytes) {
            let image = match std::mem::replace(&mut sample.image, ImageInput::Missing) {
                ImageInput::Link(link) if self.is_fetched(sample.row) => self.fetch(link).await,
                ImageInput::Link(link) => {
                    let (image, seat) = self.earlier(sample.row, &link).await?;
                    sample.image = image;
                    bytes += size(&sample.image);
                    Image::Ready(Some(seat))
                }
                image => {
                    sample.image = image;
                    Image::Ready(None)
                }
            };
            self.number += 1;
            ahead.push_back((sample, bytes, image));
        }
        Ok(Ahead { samples: ahead, passthrough, room })
    }

    fn is_fetched(&self, row: u64) -> bool {
        self.links.earlier.as_ref().is_none_or(|earlier| earlier.is_fetched(row))
    }

    /// Image of a row that an earlier commit has processed, as far as a table needs it.
    async fn earlier(&mut self, row: u64, link: &Link) -> Result<(ImageInput, Seat), ReadError> {
        let bytes = match &self.links.earlier {
            Some(earlier) => self.earlier.image(earlier, row).await?,
            None => None,
        };
        let mut seat = self.links.room.seat(self.number, self.first.clone());
        seat.hold(bytes.as_ref().map_or(0, Bytes::len) as u64).await;
        let with = |bytes| ImageInput::Bytes { bytes, origin: origin(link) };
        Ok((bytes.map_or(ImageInput::Missing, with), seat))
    }

    /// Begins to fetch a link, once another row may be read ahead.
    async fn fetch(&mut self, link: Link) -> Image {
        let permit = self.row().await;
        let mut seat = self.links.room.seat(self.number, self.first.clone());
        let (fetcher, most) = (Arc::clone(&self.links.fetcher), self.most);
        let task = tokio::spawn(async move {
            let fetched = fetcher.fetch(&link, most, &mut seat).await?;
            Ok((image(fetched, &link), seat))
        });
        Image::Fetching(Task(task), permit)
    }

    /// Waits for the right to read another row ahead; the next row to be returned needs none.
    async fn row(&mut self) -> Option<OwnedSemaphorePermit> {
        let number = self.number;
        tokio::select! {
            permit = Arc::clone(&self.links.rows).acquire_owned() => permit.ok(),
            _ = self.first.wait_for(|first| *first >= number) => None,
        }
    }
}

fn image(fetched: Fetched, link: &Link) -> ImageInput {
    match fetched {
        Fetched::Bytes(bytes) => ImageInput::Bytes { bytes, origin: origin(link) },
        Fetched::Unreachable(why) => ImageInput::Unreachable(why),
        Fetched::Refused(why) => ImageInput::Refused(why),
        Fetched::Changed(why) => ImageInput::Changed(why),
        Fetched::TooLarge(why) => ImageInput::TooLarge(why),
    }
}

fn origin(link: &Link) -> Origin {
    Origin::Object { path: link.shown() }
}
