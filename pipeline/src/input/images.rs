//! Images that the input only names: objects in the same bucket.

use super::{ImageInput, Origin, columns::ImageCell};
use capfilt_bucket::{BucketError, FaultKind, Place, last_cause};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::ObjectStoreExt as _;

/// Objects fetched at the same time, per shard being read. Memory: this many images of `limits.image_bytes`.
const FETCHES_AT_ONCE: usize = 16;

/// Fetches what is only named; what is here already stays as it is.
///
/// # Errors
/// When the store fails: that is no fault of the row, and may pass.
pub(super) async fn fetch(
    cells: Vec<ImageCell>,
    input: &Place,
    limit_bytes: u64,
) -> Result<Vec<ImageInput>, BucketError> {
    let fetches = cells.into_iter().map(|cell| async move {
        match cell {
            ImageCell::Nothing => Ok(ImageInput::Missing),
            ImageCell::Bytes { bytes, .. } if bytes.is_empty() => Ok(ImageInput::Missing),
            ImageCell::Bytes { bytes, path } => Ok(ImageInput::Bytes { bytes, origin: Origin::Row { path } }),
            ImageCell::NoPath => Ok(ImageInput::Unreadable("the path is not UTF-8".to_owned())),
            ImageCell::Path(path) => fetch_one(path, input, limit_bytes).await,
        }
    });
    stream::iter(fetches).buffered(FETCHES_AT_ONCE).try_collect().await
}

async fn fetch_one(path: String, input: &Place, limit_bytes: u64) -> Result<ImageInput, BucketError> {
    let shown = shortened(&path);
    let Some(name) = name_below(&path, &input.url) else {
        let why = format!("{shown} is not below {}; only objects of the input's bucket are read", input.url);
        return Ok(ImageInput::Unreadable(why));
    };
    let object = input.path_of(&name);
    let read = async {
        let found = input.store.get(&object).await?;
        if found.meta.size > limit_bytes {
            return Ok(Err(format!("{shown} has {} bytes; limits.image_bytes is {limit_bytes}", found.meta.size)));
        }
        Ok::<_, object_store::Error>(Ok(found.bytes().await?))
    };
    match read.await {
        Ok(Ok(bytes)) if bytes.is_empty() => Ok(ImageInput::Missing),
        Ok(Ok(bytes)) => Ok(ImageInput::Bytes { bytes, origin: Origin::Object { path } }),
        Ok(Err(too_large)) => Ok(ImageInput::TooLarge(too_large)),
        Err(error) if is_of_the_row(&error) => {
            Ok(ImageInput::Unreadable(format!("{shown} cannot be read: {}", shortened(&last_cause(&error)))))
        }
        Err(source) => {
            let object = shortened(&input.url_of(&name));
            Err(BucketError::Store { what: "read the image", object, source })
        }
    }
}

/// Characters of a path, or of a store's error, that a row's detail holds: some rows hold a whole picture in the path.
const DETAIL: usize = 300;

fn shortened(text: &str) -> String {
    match text.char_indices().nth(DETAIL) {
        Some((end, _)) => format!("{}… ({} characters)", &text[..end], text.chars().count()),
        None => text.to_owned(),
    }
}

/// Whether the row names what is not there, what no object can be called, or what is not for us: stores that do not let
/// us list answer both with 403. In a local folder it may also name what cannot be a file.
fn is_of_the_row(error: &object_store::Error) -> bool {
    match FaultKind::of(error) {
        FaultKind::NotThere | FaultKind::Forbidden | FaultKind::Name | FaultKind::Archived => true,
        // 400 without a cause that is the store's own (a token that ended, a request to slow down): the name is at fault.
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
/// A path is relative to the input, or begins with the input's URL; of a local input, that may also be the file:// URL
/// or the absolute path. `.` parts and empty ones are dropped, as a shell drops them.
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
        for path in ["/data/website/x", "file:///data/other/x", "file:///data/web/../x", "./..", "/data/web", "."] {
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
