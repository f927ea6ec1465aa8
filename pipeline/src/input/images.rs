//! Images that the input only names: objects in the same bucket.

use super::{ImageInput, Origin, columns::ImageCell};
use capfilt_bucket::{BucketError, Place};
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
    let Some(name) = name_below(&path, &input.url) else {
        let why = format!("{path} is not below {}; only objects of the input's bucket are read", input.url);
        return Ok(ImageInput::Unreadable(why));
    };
    let object = input.path_of(&name);
    let read = async {
        let found = input.store.get(&object).await?;
        if found.meta.size > limit_bytes {
            return Ok(Err(format!("{path} has {} bytes; limits.image_bytes is {limit_bytes}", found.meta.size)));
        }
        Ok::<_, object_store::Error>(Ok(found.bytes().await?))
    };
    match read.await {
        Ok(Ok(bytes)) if bytes.is_empty() => Ok(ImageInput::Missing),
        Ok(Ok(bytes)) => Ok(ImageInput::Bytes { bytes, origin: Origin::Object { path } }),
        Ok(Err(too_large)) => Ok(ImageInput::TooLarge(too_large)),
        Err(error) if is_of_the_row(&error) => Ok(ImageInput::Unreadable(format!("{path}: {error}"))),
        Err(source) => Err(BucketError::Store { what: "read the image", object: input.url_of(&name), source }),
    }
}

/// Whether the row names what is not there, or what is not for us: stores that do not let us list answer both with 403.
/// In a local folder it may also name what cannot be a file.
fn is_of_the_row(error: &object_store::Error) -> bool {
    use object_store::Error;
    matches!(
        error,
        Error::NotFound { .. }
            | Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
            | Error::InvalidPath { .. }
    ) || io_kind(error).is_some_and(|kind| {
        use std::io::ErrorKind as Kind;
        matches!(kind, Kind::InvalidInput | Kind::InvalidFilename | Kind::IsADirectory | Kind::NotADirectory)
    })
}

/// What the operating system said, if it was asked.
fn io_kind(error: &(dyn std::error::Error + 'static)) -> Option<std::io::ErrorKind> {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.filter_map(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind).last()
}

/// The object's name below the input's URL. Rows are untrusted: they may not point anywhere else.
fn name_below(path: &str, input_url: &str) -> Option<String> {
    let relative = match path.strip_prefix(input_url) {
        Some(rest) => rest.strip_prefix('/')?,
        None if path.contains("://") || path.starts_with('/') => return None,
        None => path,
    };
    let climbs = relative.split('/').any(|part| part == "..");
    (!climbs && !relative.is_empty()).then(|| relative.to_owned())
}

#[cfg(test)]
mod tests {
    use super::name_below;

    #[test]
    fn a_row_cannot_name_an_object_outside_of_the_input() {
        assert_eq!(name_below("images/a.jpg", "s3://b/web").as_deref(), Some("images/a.jpg"));
        assert_eq!(name_below("s3://b/web/a.jpg", "s3://b/web").as_deref(), Some("a.jpg"));
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
