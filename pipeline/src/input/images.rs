//! Images that the input only names: objects in the same bucket.

use super::{ImageInput, Origin, columns::ImageCell};
use bytes::Bytes;
use capfilt_bucket::{BucketError, FaultKind, Place, last_cause};
use futures::{StreamExt as _, TryStreamExt as _, future::ready, stream};
use object_store::ObjectStoreExt as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// Objects fetched at the same time, per shard being read. Memory: see [`FETCHED_BYTES`].
const FETCHES_AT_ONCE: usize = 16;

/// Bytes of objects that one call fetches, unless the first alone has more: a store says an object's size
/// before its bytes.
const FETCHED_BYTES: u64 = 64 << 20;

/// Fetches what is only named; what is here already stays as it is. Gives fewer images than cells, and at
/// least one, when more would be too many bytes.
///
/// # Errors
/// When the store fails: that is no fault of the row, and may pass.
pub(super) async fn fetch(
    cells: Vec<ImageCell>,
    input: &Place,
    limit_bytes: u64,
) -> Result<Vec<ImageInput>, BucketError> {
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
                ImageCell::Path(path) => fetch_one(path, input, limit_bytes, fits).await,
            }
        }
    });
    // From the first that does not fit on, all are asked for again with the next rows.
    let fetched =
        stream::iter(fetches).buffered(FETCHES_AT_ONCE).try_take_while(|image| ready(Ok(image.is_some())));
    fetched.try_filter_map(|image| ready(Ok(image))).try_collect().await
}

/// Fetches one image that a row names, from below the input's URL.
///
/// # Errors
/// When the store fails; what is wrong with the row is part of the answer.
pub async fn fetch_named_image(
    path: String,
    input: &Place,
    limit_bytes: u64,
) -> Result<ImageInput, BucketError> {
    Ok(fetch_one(path, input, limit_bytes, |_| true).await?.unwrap_or(ImageInput::Missing))
}

/// The image, or `None` when its bytes do not fit.
async fn fetch_one(
    path: String,
    input: &Place,
    limit_bytes: u64,
    fits: impl FnOnce(u64) -> bool,
) -> Result<Option<ImageInput>, BucketError> {
    let shown = shortened(&path);
    let Some(name) = name_below(&path, &input.url) else {
        let why = format!("{shown} is not below {}; only objects of the input's bucket are read", input.url);
        return Ok(Some(ImageInput::Unreadable(why)));
    };
    if is_special(input, &name).await {
        return Ok(Some(ImageInput::Unreadable(format!("{shown} is no regular file"))));
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
            return Err(BucketError::Store { what: "read the image", object, source });
        }
    }))
}

/// Whether a local name is a FIFO, a device or a socket: opening one may wait for ever, and reading one may
/// have no end.
async fn is_special(input: &Place, name: &str) -> bool {
    let Some(file) = input.local_path().map(|folder| folder.join(name)) else { return false };
    let look = move || std::fs::metadata(file).is_ok_and(|found| !found.is_file() && !found.is_dir());
    tokio::task::spawn_blocking(look).await.unwrap_or(false)
}

enum Found {
    Bytes(Bytes),
    TooLarge(u64),
    DoesNotFit,
}

/// Characters of a path, or of a store's error, that a row's detail holds: some rows hold a whole picture in
/// the path.
const DETAIL: usize = 300;

fn shortened(text: &str) -> String {
    match text.char_indices().nth(DETAIL) {
        Some((end, _)) => format!("{}… ({} characters)", &text[..end], text.chars().count()),
        None => text.to_owned(),
    }
}

/// Whether the row names what is not there, what no object can be called, or what is not for us: stores that
/// do not let us list answer both with 403. In a local folder it may also name what cannot be a file.
fn is_of_the_row(error: &object_store::Error) -> bool {
    match FaultKind::of(error) {
        FaultKind::NotThere | FaultKind::Forbidden | FaultKind::Name | FaultKind::Archived => true,
        // 400 without a cause that is the store's own (a token that ended, a request to slow down): the name
        // is at fault.
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

/// Linux's number for a name that goes through too many links; std has no stable kind for it.
const ELOOP: i32 = 40;

/// What the operating system said, if it was asked.
fn io_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a std::io::Error> {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.filter_map(|cause| cause.downcast_ref::<std::io::Error>()).last()
}

/// The object's name below the input's URL. Rows are untrusted: they may not point anywhere else.
///
/// A path is relative to the input, or begins with the input's URL; of a local input, that may also be the
/// file:// URL or the absolute path. `.` parts and empty ones are dropped, as a shell drops them.
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
