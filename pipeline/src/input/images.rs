//! Images that the input names: objects in the same bucket.

use super::{ImageInput, Origin};
use bytes::Bytes;
use capfilt_links::{Link, is_link};
use capfilt_schemas::plan::InputFile;
use capfilt_store::{FaultKind, Location, PinnedObject, StoreError, last_cause};
use futures::{StreamExt as _, TryStreamExt as _, future::ready, stream};
use object_store::ObjectStoreExt as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// Largest number of concurrent reads per shard. Memory: see [`FETCHED_BYTES`].
const FETCHES_AT_ONCE: usize = 16;

/// Largest number of bytes of objects that one call reads, unless the first object alone is larger. The store
/// reports an object's size before its bytes.
const FETCHED_BYTES: u64 = 64 << 20;

/// Image cell of a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ImageCell {
    Nothing,
    Bytes {
        bytes: Bytes,
        path: Option<String>,
    },
    Path(String),
    /// Number of bytes of a value over the limit; the bytes were not read.
    TooLarge(u64),
    /// A path that is not UTF-8, so that no object can be read.
    NoPath,
    /// An object in a planned state.
    Object(InputFile),
    /// An image that is already read.
    Read(ImageInput),
}

/// Whether the job fetches links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TakesLinks {
    Yes,
    No,
}

impl TakesLinks {
    fn image(self, url: String) -> ImageInput {
        let link = Link { url, digest: None };
        match self {
            Self::Yes => ImageInput::Link(link),
            Self::No => {
                let shown = shortened(&link.shown());
                ImageInput::Unreadable(format!("{shown} is a link; links.fetch = true fetches links"))
            }
        }
    }
}

/// Reads the objects of cells that name one; other cells are not changed. Returns fewer images than cells,
/// but at least one, if more would exceed [`FETCHED_BYTES`].
///
/// # Errors
/// The store fails; this is not an error of the row, and a retry may succeed.
pub(super) async fn fetch(
    cells: Vec<ImageCell>,
    input: &Location,
    limit_bytes: u64,
    links: TakesLinks,
) -> Result<Vec<ImageInput>, StoreError> {
    let fetched = &AtomicU64::new(0);
    let fetches = cells.into_iter().enumerate().map(|(at, cell)| {
        let fits =
            move |bytes: u64| at == 0 || fetched.fetch_add(bytes, Ordering::Relaxed) + bytes <= FETCHED_BYTES;
        async move {
            match cell {
                ImageCell::Nothing => Ok(Some(ImageInput::Missing)),
                ImageCell::TooLarge(bytes) => Ok(Some(ImageInput::TooLarge(format!(
                    "it has {bytes} bytes; limits.image_bytes is {limit_bytes}"
                )))),
                ImageCell::Bytes { bytes, .. } if bytes.is_empty() => Ok(Some(ImageInput::Missing)),
                ImageCell::Bytes { bytes, path } => {
                    Ok(Some(ImageInput::Bytes { bytes, origin: Origin::Row { path } }))
                }
                ImageCell::NoPath => Ok(Some(ImageInput::Unreadable("the path is not UTF-8".to_owned()))),
                ImageCell::Read(image) => Ok(Some(image)),
                ImageCell::Object(file) => read_planned(file, input, limit_bytes, fits).await,
                ImageCell::Path(url) if is_link(&url) => Ok(Some(links.image(url))),
                ImageCell::Path(path) => fetch_one(path, input, limit_bytes, fits).await,
            }
        }
    });
    // From the first image that does not fit on, the images are read again with the next rows.
    let fetched =
        stream::iter(fetches).buffered(FETCHES_AT_ONCE).try_take_while(|image| ready(Ok(image.is_some())));
    fetched.try_filter_map(|image| ready(Ok(image))).try_collect().await
}

/// The image of an object in its planned state, or `None` when its bytes do not fit.
async fn read_planned(
    file: InputFile,
    input: &Location,
    limit_bytes: u64,
    fits: impl FnOnce(u64) -> bool,
) -> Result<Option<ImageInput>, StoreError> {
    let InputFile { path, bytes, .. } = &file;
    if *bytes > limit_bytes {
        let why = format!("it has {bytes} bytes; limits.image_bytes is {limit_bytes}");
        return Ok(Some(ImageInput::TooLarge(why)));
    }
    if *bytes == 0 {
        return Ok(Some(ImageInput::Missing));
    }
    if !fits(*bytes) {
        return Ok(None);
    }
    match PinnedObject::new(input, &file).range(0..*bytes).await {
        Ok(bytes) => Ok(Some(ImageInput::Bytes { bytes, origin: Origin::Object { path: path.clone() } })),
        Err(StoreError::Store { source, .. }) if is_of_the_row(&source) => {
            let why = format!("{} cannot be read: {}", shortened(path), shortened(&last_cause(&source)));
            Ok(Some(ImageInput::Unreadable(why)))
        }
        Err(error) => Err(error),
    }
}

/// Bytes of an image that was read from an object.
pub(super) fn fetched_bytes(image: &ImageInput) -> u64 {
    match image {
        ImageInput::Bytes { bytes, origin: Origin::Object { .. } } => bytes.len() as u64,
        _ => 0,
    }
}

/// Path below the input of an image that a table names: tables called `metadata` name images beside
/// themselves, as the `imagefolder` of Hugging Face's datasets reads them.
pub(super) fn beside_metadata(table: &str, path: String) -> String {
    let folder =
        table.rsplit_once('/').filter(|(_, name)| name.starts_with("metadata.")).map(|(folder, _)| folder);
    match folder {
        Some(folder) if !path.contains("://") && !path.starts_with('/') => format!("{folder}/{path}"),
        _ => path,
    }
}

/// Reads one image that a row names, below the input's URL.
///
/// # Errors
/// The store fails. An error of the row is part of the result.
pub async fn fetch_named_image(
    path: String,
    input: &Location,
    limit_bytes: u64,
) -> Result<ImageInput, StoreError> {
    Ok(fetch_one(path, input, limit_bytes, |_| true).await?.unwrap_or(ImageInput::Missing))
}

/// The image, or `None` when its bytes do not fit.
async fn fetch_one(
    path: String,
    input: &Location,
    limit_bytes: u64,
    fits: impl FnOnce(u64) -> bool,
) -> Result<Option<ImageInput>, StoreError> {
    let shown = shortened(&path);
    let Some(name) = name_below(&path, &input.url) else {
        let why = format!("{shown} is not below {}; only objects of the input's bucket are read", input.url);
        return Ok(Some(ImageInput::Unreadable(why)));
    };
    if is_special(input, &name).await {
        return Ok(Some(ImageInput::Unreadable(format!("{shown} is not a regular file"))));
    }
    let object = input.path_of(&name);
    let read = async {
        let found = input.store.get(&object).await?;
        let size = found.meta.size;
        if size > limit_bytes {
            return Ok(Found::TooLarge(size));
        }
        Ok::<_, object_store::Error>(if fits(size) {
            Found::Bytes(found.bytes().await?)
        } else {
            Found::DoesNotFit
        })
    };
    Ok(Some(match read.await {
        Ok(Found::Bytes(bytes)) if bytes.is_empty() => ImageInput::Missing,
        Ok(Found::Bytes(bytes)) => ImageInput::Bytes { bytes, origin: Origin::Object { path } },
        Ok(Found::TooLarge(size)) => {
            ImageInput::TooLarge(format!("{shown} has {size} bytes; limits.image_bytes is {limit_bytes}"))
        }
        Ok(Found::DoesNotFit) => return Ok(None),
        Err(error) if is_of_the_row(&error) => {
            ImageInput::Unreadable(format!("{shown} cannot be read: {}", shortened(&last_cause(&error))))
        }
        Err(source) => {
            let object = shortened(&input.url_of(&name));
            return Err(StoreError::Store { what: "read the image", object, source });
        }
    }))
}

/// Whether a local name is a FIFO, a device or a socket: opening one may block for ever, and reading one may
/// not end.
async fn is_special(input: &Location, name: &str) -> bool {
    let Some(file) = input.local_path().map(|folder| folder.join(name)) else { return false };
    let look = move || std::fs::metadata(file).is_ok_and(|found| !found.is_file() && !found.is_dir());
    tokio::task::spawn_blocking(look).await.unwrap_or(false)
}

enum Found {
    Bytes(Bytes),
    TooLarge(u64),
    DoesNotFit,
}

/// Largest number of characters of a path, or of a store's error, in a row's detail: in some inputs the path
/// contains a whole image.
const DETAIL: usize = 300;

fn shortened(text: &str) -> String {
    match text.char_indices().nth(DETAIL) {
        Some((end, _)) => format!("{}… ({} characters)", &text[..end], text.chars().count()),
        None => text.to_owned(),
    }
}

/// Whether the row causes the error: it names a missing object, an invalid name, or a forbidden object.
/// Stores without list permission answer 403 for a missing object. In a local folder the row may also name
/// something that is not a file.
fn is_of_the_row(error: &object_store::Error) -> bool {
    match FaultKind::of(error) {
        FaultKind::NotThere | FaultKind::Forbidden | FaultKind::Name | FaultKind::Archived => true,
        // 400 for a reason other than the store's (an expired token, a request to slow down): the name is
        // invalid.
        FaultKind::Answer(status) => (400..500).contains(&status),
        _ => io_error(error).is_some_and(|error| {
            use std::io::ErrorKind as Kind;
            let is_name = matches!(
                error.kind(),
                Kind::InvalidInput | Kind::InvalidFilename | Kind::IsADirectory | Kind::NotADirectory
            );
            is_name || error.raw_os_error() == Some(ELOOP)
        }),
    }
}

/// Linux's error number for too many symbolic links in a name; std has no stable kind for it.
const ELOOP: i32 = 40;

/// The operating system's error, if there is one.
fn io_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a std::io::Error> {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.filter_map(|cause| cause.downcast_ref::<std::io::Error>()).last()
}

/// Name of the object below the input's URL. Rows are untrusted: they must not name an object elsewhere.
///
/// A path is relative to the input, or begins with the input's URL; for a local input also with the file://
/// URL or the absolute path. `.` parts and empty parts are dropped, as in a shell.
fn name_below(path: &str, input_url: &str) -> Option<String> {
    let is_local = !input_url.contains("://");
    let from_url = match url::Url::parse(path) {
        Ok(url) if is_local && url.scheme() == "file" => Some(url.to_file_path().ok()?.to_str()?.to_owned()),
        _ => None,
    };
    let path = from_url.as_deref().unwrap_or(path);
    let relative = match path.strip_prefix(input_url) {
        Some(rest) => rest.strip_prefix('/')?,
        None if path.contains("://") || path.starts_with('/') => return None,
        None => path,
    };
    let parts: Vec<&str> = relative.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let climbs = parts.contains(&"..");
    (!climbs && !parts.is_empty()).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::name_below;

    #[test]
    fn a_row_cannot_name_an_object_outside_of_the_input() {
        assert_eq!(name_below("images/a.jpg", "s3://b/web").as_deref(), Some("images/a.jpg"));
        assert_eq!(name_below("s3://b/web/a.jpg", "s3://b/web").as_deref(), Some("a.jpg"));
        for (path, name) in [
            ("./images/x.jpg", "images/x.jpg"),
            ("images/./x.jpg", "images/x.jpg"),
            ("images//x.jpg", "images/x.jpg"),
            ("/data/web/images/x.jpg", "images/x.jpg"),
            ("file:///data/web/images/x%20y.jpg", "images/x y.jpg"),
            ("images/x%20y.jpg", "images/x%20y.jpg"),
        ] {
            assert_eq!(name_below(path, "/data/web").as_deref(), Some(name));
        }
        for path in
            ["/data/website/x", "file:///data/other/x", "file:///data/web/../x", "./..", "/data/web", "."]
        {
            assert_eq!(name_below(path, "/data/web"), None, "{path}");
        }
        for path in [
            "s3://other/a.jpg",
            "/etc/passwd",
            "../secret",
            "a/../../b",
            "s3://b/website/a.jpg",
            "file:///etc/passwd",
            "",
        ] {
            assert_eq!(name_below(path, "s3://b/web"), None, "{path}");
        }
    }
}
