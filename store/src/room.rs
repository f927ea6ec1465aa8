//! Detects writes that failed because the storage is full: no other object would fit either.

use std::{error::Error, io};

/// Whether a full disk or an exhausted quota is among an error's causes.
pub fn is_no_room(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(cause) = next {
        let Some(io) = cause.downcast_ref::<io::Error>() else {
            next = cause.source();
            continue;
        };
        if matches!(io.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return true;
        }
        // The `source` of an io::Error omits the error that it wraps.
        next = io.get_ref().map(|inner| inner as &(dyn Error + 'static)).or_else(|| io.source());
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_found_below_whatever_wraps_it() {
        let wrapped = |kind| {
            let source = Box::new(io::Error::from(kind)) as Box<dyn Error + Send + Sync>;
            let store = object_store::Error::Generic { store: "LocalFileSystem", source };
            parquet::errors::ParquetError::External(Box::new(io::Error::other(store)))
        };
        assert!(is_no_room(&wrapped(io::ErrorKind::StorageFull)));
        assert!(is_no_room(&wrapped(io::ErrorKind::QuotaExceeded)));
        assert!(!is_no_room(&wrapped(io::ErrorKind::FileTooLarge)), "a smaller object fits");
    }
}
