//! Symbolic links below a folder that the program writes are not followed.
//!
//! In a folder, a job writes only plain files and folders. Another program created any link among them, and
//! its target may be anywhere: a read through it would take another folder's files for the job's, and `gc`
//! would delete them. So every request whose path leads through a link is refused, and listings skip links.
//! The job's own folder, and the folders above it, may be links.

use crate::{Location, StoreError, link_refused::LinkRefused, local_walk::Walk, named_once::name_once};
use futures::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, path::Path,
};
use std::{fmt, fs, ops::Range, path::PathBuf, sync::Arc};

impl Location {
    /// Opens a folder or prefix that the program itself writes. In a local folder, no symbolic link below the
    /// folder is followed; the folder itself may be a link. A cloud store is opened as by
    /// [`open`](Self::open).
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_without_links(url: &str) -> Result<Self, StoreError> {
        let location = Self::open(url)?;
        let Some(folder) = location.local_path() else { return Ok(location) };
        let (store, root) = (Arc::clone(&location.store), location.prefix.clone());
        let store = NoLinks(Arc::new(Guarded { store, root, folder }));
        Ok(Self { store: Arc::new(store), ..location })
    }
}

/// Names of the symbolic links below a folder, sorted; empty for a cloud store.
///
/// # Errors
/// An unreadable folder.
pub fn links_below(place: &Location) -> std::io::Result<Vec<String>> {
    let Some(folder) = place.local_path() else { return Ok(Vec::new()) };
    let mut walk = Walk::new(folder.clone());
    let mut names = Vec::new();
    while let Some(step) = walk.step()? {
        let name = |link: &PathBuf| link.strip_prefix(&folder).unwrap_or(link).display().to_string();
        names.extend(step.links.iter().map(name));
    }
    names.sort();
    Ok(names)
}

/// The store of a folder's file system, restricted to that folder.
#[derive(Debug)]
struct NoLinks(Arc<Guarded>);

#[derive(Debug)]
struct Guarded {
    store: Arc<dyn ObjectStore>,
    /// The folder as the store names it.
    root: Path,
    folder: PathBuf,
}

impl Guarded {
    /// Refuses a path with a link among its parts, including the last. A missing part ends the check.
    fn check(&self, location: &Path) -> Result<()> {
        let mut path = self.folder.clone();
        for part in location.prefix_match(&self.root).into_iter().flatten() {
            path.push(part.as_ref());
            match fs::symlink_metadata(&path) {
                Ok(found) if found.is_symlink() => {
                    let source = LinkRefused { link: path, folder: self.folder.clone() };
                    return Err(Error::NotSupported { source: source.into() });
                }
                Ok(_) => {}
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    fn path_of(&self, location: &Path) -> PathBuf {
        let mut path = self.folder.clone();
        path.extend(
            location.prefix_match(&self.root).into_iter().flatten().map(|part| part.as_ref().to_owned()),
        );
        path
    }

    /// Lists the objects below a folder without links, a few thousand at a time.
    fn list(self: &Arc<Self>, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let prefix = prefix.cloned().unwrap_or_else(|| self.root.clone());
        if let Err(refused) = self.check(&prefix) {
            return stream::once(async { Err(refused) }).boxed();
        }
        let walk = Walk::new(self.path_of(&prefix));
        let steps =
            stream::try_unfold((Arc::clone(self), walk, prefix), |(store, mut walk, prefix)| async move {
                let walked = tokio::task::spawn_blocking(move || (walk.step(), walk)).await;
                let (step, walk) = walked.map_err(|source| Error::JoinError { source })?;
                let failed =
                    |source: std::io::Error| Error::Generic { store: "local folder", source: source.into() };
                let Some(step) = step.map_err(failed)? else { return Ok(None) };
                step.links.iter().for_each(|link| pass_over(link));
                let objects: Vec<_> =
                    step.files.into_iter().map(|file| Ok(file.into_meta(&prefix))).collect();
                Ok::<_, Error>(Some((stream::iter(objects), (store, walk, prefix))))
            });
        steps.try_flatten().boxed()
    }
}

fn pass_over(link: &std::path::Path) {
    name_once(&link.display().to_string(), "a symbolic link");
}

impl fmt::Display for NoLinks {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.store.fmt(out)
    }
}

#[async_trait::async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for NoLinks {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.check(location)?;
        self.0.store.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        self.0.check(location)?;
        self.0.store.get_ranges(location, ranges).await
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let offset = offset.clone();
        self.0.list(prefix).try_filter(move |meta| std::future::ready(meta.location > offset)).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        prefix.map_or(Ok(()), |prefix| self.0.check(prefix))?;
        let mut listed = self.0.store.list_with_delimiter(prefix).await?;
        let is_ours = |location: &Path| {
            let is_link = self.0.check(location).is_err();
            if is_link {
                pass_over(&self.0.path_of(location));
            }
            !is_link
        };
        listed.objects.retain(|meta| is_ours(&meta.location));
        listed.common_prefixes.retain(|prefix| is_ours(prefix));
        Ok(listed)
    }

    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.0.check(location)?;
        self.0.store.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.check(location)?;
        self.0.store.put_multipart_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let guarded = Arc::clone(&self.0);
        let checked = locations.map(move |location| {
            let location = location?;
            guarded.check(&location)?;
            Ok(location)
        });
        self.0.store.delete_stream(checked.boxed())
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.check(from)?;
        self.0.check(to)?;
        self.0.store.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.0.check(from)?;
        self.0.check(to)?;
        self.0.store.rename_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Location;
    use bytes::Bytes;
    use std::{collections::BTreeSet, os::unix::fs::symlink};

    /// A job's folder that is reached through a link, with a file of the job and links to a folder and a file
    /// elsewhere.
    async fn world() -> (tempfile::TempDir, Location) {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("real")).unwrap();
        fs::create_dir(at("home")).unwrap();
        fs::write(at("home/thesis"), "precious").unwrap();
        symlink(at("real"), at("job")).unwrap();
        let bucket = Location::open_without_links(at("job").to_str().unwrap()).unwrap();
        bucket.write("attempts/a/own", Bytes::from("own")).await.unwrap();
        symlink(at("home"), at("real/attempts/linked")).unwrap();
        symlink(at("home/thesis"), at("real/attempts/a/file")).unwrap();
        symlink(at("home"), at("real/probes")).unwrap();
        symlink(at("job"), at("real/attempts/a/loop")).unwrap();
        (folder, bucket)
    }

    async fn listed(bucket: &Location, folder: &str) -> std::result::Result<Vec<String>, crate::StoreError> {
        bucket.list(folder).map_ok(|(name, _)| name).try_collect().await
    }

    #[tokio::test]
    async fn below_a_job_s_folder_no_link_is_listed_read_written_or_deleted_through() {
        let (folder, bucket) = world().await;
        assert_eq!(listed(&bucket, "attempts").await.unwrap(), ["attempts/a/own"]);
        assert!(listed(&bucket, "probes").await.unwrap_err().is_link());
        assert_eq!(listed(&bucket, "nothing").await.unwrap(), Vec::<String>::new());
        for name in ["attempts/linked/thesis", "attempts/a/file", "probes/thesis", "probes/new", "probes"] {
            assert!(bucket.read(name).await.unwrap_err().is_link(), "{name}");
            assert!(bucket.create(name, Bytes::from("x")).await.unwrap_err().is_link(), "{name}");
            assert!(bucket.write(name, Bytes::from("x")).await.unwrap_err().is_link(), "{name}");
            assert!(bucket.delete(name).await.unwrap_err().is_link(), "{name}");
            assert!(bucket.head(name).await.unwrap_err().is_link(), "{name}");
        }
        assert_eq!(bucket.list_here().await.unwrap(), []);
        assert_eq!(fs::read_to_string(folder.path().join("home/thesis")).unwrap(), "precious");
        assert!(!folder.path().join("home/new").exists());
        assert_eq!(bucket.read("attempts/a/own").await.unwrap(), "own");
        let names = ["attempts/a/file", "attempts/a/loop", "attempts/linked", "probes"];
        assert_eq!(links_below(&bucket).unwrap(), names);
        bucket.delete("attempts/a/own").await.unwrap();
    }

    #[tokio::test]
    async fn a_listing_of_many_files_names_each_once_with_its_size() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = Location::open_without_links(folder.path().to_str().unwrap()).unwrap();
        let names: BTreeSet<String> = (0..3000).map(|i| format!("commits/{}/{i}.json", i / 7)).collect();
        for name in &names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "12345").unwrap();
        }
        // A file of a killed writer: its name is not an object's name.
        fs::write(folder.path().join("commits/0/1.json#7"), "").unwrap();
        let found: Vec<_> = bucket.list("commits").try_collect().await.unwrap();
        assert_eq!((found.len(), found.iter().map(|(_, meta)| meta.size).sum::<u64>()), (3000, 15_000));
        assert_eq!(found.into_iter().map(|(name, _)| name).collect::<BTreeSet<_>>(), names);
    }
}
