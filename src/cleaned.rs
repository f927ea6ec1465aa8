//! A finished job's pairs, opened for those who use them.

use crate::{
    exit::{Blame as _, Failure},
    release,
};
use capfilt_bucket::Bucket;
use capfilt_coordinator::cleaned::{Cleaned, CleanedError, cleaned};

/// Opens the newest version of a job's pairs; a store that fails is the environment's fault, anything else the user's to
/// mend.
pub async fn open(url: &str) -> Result<Cleaned, Failure> {
    let bucket = Bucket::open(url).usage()?;
    release::warn_of(&bucket).await;
    match cleaned(&bucket).await {
        Err(error @ CleanedError::Bucket(_)) => Err(error).environment(),
        opened => opened.usage(),
    }
}
