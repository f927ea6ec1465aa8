//! A local folder whose listings continue after unusable names and entries.

use crate::passed_over::{Passed, PassedOver, escaped};
use futures::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, local::LocalFileSystem,
    path::Path,
};
use std::{
    collections::BTreeSet,
    fmt,
    fs::Metadata,
    io::ErrorKind,
    ops::Range,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::PathBuf,
    sync::Arc,
    time::UNIX_EPOCH,
};
use walkdir::WalkDir;

/// Entries examined in one call of a blocking thread.
const ENTRIES_PER_CALL: usize = 1024;

/// object_store's local files with a separate listing: object_store's listing ends at the first name that is
/// not UTF-8 or has a control character, and at the first loop of links, and it omits broken links silently.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    files: LocalFileSystem,
    passed_over: Arc<PassedOver>,
}

/// An entry of a walk.
enum Met {
    File(ObjectMeta),
    Folder(Path),
}

impl Folder {
    pub(crate) fn new(passed_over: Arc<PassedOver>) -> Self {
        // fsync: a power cut must not undo a commit.
        Self { files: LocalFileSystem::new().with_fsync(true), passed_over }
    }

    /// Walks through the entries below a folder, to a depth.
    fn walk(
        &self,
        prefix: Option<&Path>,
        max_depth: usize,
    ) -> impl Iterator<Item = Result<Met>> + Send + use<> {
        let root = prefix.map_or_else(|| PathBuf::from("/"), |prefix| PathBuf::from(format!("/{prefix}")));
        let walk = WalkDir::new(root).min_depth(1).max_depth(max_depth).follow_links(true);
        let passed_over = Arc::clone(&self.passed_over);
        walk.into_iter().filter_map(move |entry| match entry {
            Ok(entry) => met(&entry, &passed_over).map(Ok),
            Err(error) => missed(error, &passed_over).map(Err),
        })
    }
}

fn met(entry: &walkdir::DirEntry, passed_over: &PassedOver) -> Option<Met> {
    let kind = entry.file_type();
    let path = entry.path();
    let pass = |why: &str| {
        let name = escaped(path.as_os_str().as_bytes());
        passed_over.note(Passed { name, why: why.to_owned(), is_folder: kind.is_dir() });
        None
    };
    let Ok(location) = Path::from_absolute_path(path) else {
        return pass(match path.to_str() {
            None => "its name is not UTF-8",
            Some(_) => "its name has a control character",
        });
    };
    if kind.is_dir() {
        return Some(Met::Folder(location));
    }
    if !kind.is_file() {
        return pass("it is not a regular file");
    }
    if is_staging(&location) {
        return pass("its name ends in `#` and digits, like the temporary files of a writer");
    }
    match entry.metadata() {
        Ok(metadata) => Some(Met::File(described(&metadata, location))),
        // The file was deleted meanwhile.
        Err(error) if error.io_error().is_some_and(|error| error.kind() == ErrorKind::NotFound) => None,
        Err(error) => pass(&error.to_string()),
    }
}

/// Notes an entry that cannot be examined. Returns an error only for the folder itself.
fn missed(error: walkdir::Error, passed_over: &PassedOver) -> Option<object_store::Error> {
    let kind = error.io_error().map(std::io::Error::kind);
    if error.depth() == 0 {
        let is_there = kind != Some(ErrorKind::NotFound);
        return is_there
            .then(|| object_store::Error::Generic { store: "LocalFileSystem", source: error.into() });
    }
    let path = error.path()?;
    let leads_nowhere = path.symlink_metadata().ok()?.is_symlink() && kind == Some(ErrorKind::NotFound);
    let why = match (error.loop_ancestor(), leads_nowhere) {
        (Some(ancestor), _) => format!("it is a link back to {}", escaped(ancestor.as_os_str().as_bytes())),
        (None, true) => {
            let to = std::fs::read_link(path).unwrap_or_default();
            format!("it is a link to {}, which does not exist", escaped(to.as_os_str().as_bytes()))
        }
        (None, false) => error.io_error().map_or_else(|| error.to_string(), ToString::to_string),
    };
    let is_folder = path.symlink_metadata().is_ok_and(|found| found.is_dir());
    passed_over.note(Passed { name: escaped(path.as_os_str().as_bytes()), why, is_folder });
    None
}

/// Whether object_store reserves the name for files that are being written.
fn is_staging(location: &Path) -> bool {
    let suffix = location.filename().and_then(|name| name.split_once('#')).map_or("", |(_, suffix)| suffix);
    !suffix.is_empty() && suffix.bytes().all(|byte| byte.is_ascii_digit())
}

/// Describes a file as object_store does: a read with this ETag as its condition must find the same ETag.
fn described(metadata: &Metadata, location: Path) -> ObjectMeta {
    let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
    let micros = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let size = metadata.len();
    let e_tag = Some(format!("\"{:x}-{micros:x}-{size:x}\"", metadata.ino()));
    ObjectMeta { location, last_modified: modified.into(), size, e_tag, version: None }
}

impl fmt::Display for Folder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.files.fmt(out)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Folder {
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let turns = stream::try_unfold(Some(self.walk(prefix, usize::MAX)), |walk| async move {
            let Some(mut walk) = walk else { return Ok::<_, object_store::Error>(None) };
            let turn = move || {
                let met: Vec<Result<Met>> = walk.by_ref().take(ENTRIES_PER_CALL).collect();
                let rest = (met.len() == ENTRIES_PER_CALL).then_some(walk);
                (met, rest)
            };
            let turn = tokio::task::spawn_blocking(turn).await;
            Ok(Some(turn.map_err(|source| object_store::Error::JoinError { source })?))
        });
        let met = turns.map_ok(stream::iter).try_flatten();
        met.try_filter_map(|met| async { Ok(if let Met::File(meta) = met { Some(meta) } else { None }) })
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let walk = self.walk(prefix, 1);
        let listed = tokio::task::spawn_blocking(move || {
            let (mut objects, mut common_prefixes) = (Vec::new(), BTreeSet::new());
            for met in walk {
                match met? {
                    Met::File(meta) => objects.push(meta),
                    Met::Folder(path) => drop(common_prefixes.insert(path)),
                }
            }
            let common_prefixes = common_prefixes.into_iter().collect();
            Ok(ListResult { common_prefixes, objects, extensions: Default::default() })
        });
        listed.await.map_err(|source| object_store::Error::JoinError { source })?
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.files.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        self.files.get_ranges(location, ranges).await
    }

    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.files.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.files.put_multipart_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.files.delete_stream(locations)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.files.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.files.rename_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests;
