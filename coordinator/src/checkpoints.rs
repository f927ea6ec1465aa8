//! Checkpoints identified by content: their digests, and a verified local copy.

use capfilt_schemas::{
    job::{ModelFile, ModelRecord},
    model_files::{DESCRIPTIONS, MAX_INDEX_BYTES, ORIGINAL, WEIGHTS, WeightIndex, is_index},
};
use capfilt_store::{Location, StoreError, without_secrets};
use futures::StreamExt as _;
use object_store::{GetResultPayload, ObjectStoreExt as _};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{ErrorKind, Read as _, Write as _},
    path::PathBuf,
};

/// Reads a checkpoint and returns its files with their digests.
///
/// # Errors
/// A folder that cannot be listed or has no checkpoint, and an index of weights that names a missing file.
pub async fn record(place: &Location) -> Result<ModelRecord, StoreError> {
    let mut files = Vec::new();
    for name in taking_part(place).await? {
        let (bytes, sha256) = match of_the_hub(place, &name).await? {
            Some(known) => known,
            None => copy(place, &name, None).await?,
        };
        files.push(ModelFile { name, bytes, sha256 });
    }
    if !files.iter().any(|file| file.bytes > 0 && is_weights(&file.name)) {
        let why = "holds no checkpoint: expected model.safetensors, pytorch_model.bin (or the index of \
                   either in several files), or a .pth file";
        return Err(StoreError::Refused(format!("{} {why}; is the URL right?", without_secrets(&place.url))));
    }
    Ok(ModelRecord { files })
}

/// Names of the files of a checkpoint that are read: descriptions of the model, and the weights that
/// transformers would load. Other weights (a pickle beside safetensors) must not change the digest.
async fn taking_part(place: &Location) -> Result<Vec<String>, StoreError> {
    let listed = place.store.list_with_delimiter(Some(&place.prefix)).await;
    let listed =
        listed.map_err(|source| StoreError::store("list the checkpoint", &place.url, source))?.objects;
    let there: BTreeMap<&str, u64> =
        listed.iter().filter_map(|meta| Some((meta.location.filename()?, meta.size))).collect();
    let mut names: BTreeSet<String> = DESCRIPTIONS
        .iter()
        .filter(|name| there.contains_key(**name))
        .map(|name| (*name).to_owned())
        .collect();
    match WEIGHTS.into_iter().find_map(|name| there.get_key_value(name)) {
        Some((name, bytes)) if is_index(name) => names.extend(indexed(place, name, *bytes, &there).await?),
        Some((name, _)) => drop(names.insert((*name).to_owned())),
        None => {
            names.extend(there.keys().filter(|name| name.ends_with(ORIGINAL)).map(|name| (*name).to_owned()))
        }
    }
    Ok(names.into_iter().collect())
}

/// An index of weights and the files that it names, which must exist.
async fn indexed(
    place: &Location,
    name: &str,
    bytes: u64,
    there: &BTreeMap<&str, u64>,
) -> Result<Vec<String>, StoreError> {
    let url = without_secrets(&place.url_of(name));
    let refused = |why: String| StoreError::Refused(format!("{url}: {why}"));
    if bytes > MAX_INDEX_BYTES {
        return Err(refused(format!(
            "the index of weights has {bytes} bytes; expected at most {MAX_INDEX_BYTES}"
        )));
    }
    let fail = |source| StoreError::store("read", &url, source);
    let text = place.store.get(&place.path_of(name)).await.map_err(fail)?.bytes().await.map_err(fail)?;
    let index = WeightIndex::parse(&text).map_err(refused)?;
    if let Some(missing) = index.files().into_iter().find(|file| !there.contains_key(file)) {
        return Err(refused(index.missing(missing)));
    }
    Ok(index.files().into_iter().chain([name]).map(str::to_owned).collect())
}

/// Length and SHA-256 of a large file in a repository of the Hub: its ETag is the digest, so gigabytes need
/// not be read here. The copy that is loaded is compared with it ([`local_copy`]).
async fn of_the_hub(place: &Location, name: &str) -> Result<Option<(u64, String)>, StoreError> {
    if !place.is_repository() {
        return Ok(None);
    }
    let meta = place.store.head(&place.path_of(name)).await;
    let fail = |source| StoreError::store("read the metadata of", place.url_of(name), source);
    let meta = meta.map_err(fail)?;
    let is_sha256 = |digest: &String| digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit());
    Ok(meta.e_tag.filter(is_sha256).map(|digest| (meta.size, digest)))
}

fn is_weights(name: &str) -> bool {
    [".safetensors", ".bin", ORIGINAL].iter().any(|ending| name.ends_with(ending)) || is_index(name)
}

/// Returns a local folder with exactly the recorded files: the checkpoint's own folder if it is local and has
/// no other file that would be read, otherwise a copy in `cache`.
///
/// # Errors
/// A file that differs from the record.
pub async fn local_copy(
    place: &Location,
    record: &ModelRecord,
    cache: &std::path::Path,
) -> Result<PathBuf, StoreError> {
    if let Some(folder) = place.local_path()
        && taking_part(place).await?.iter().all(|name| record.files.iter().any(|file| file.name == *name))
    {
        for file in &record.files {
            let (_, sha256) = copy(place, &file.name, None).await?;
            same_file(place, file, &sha256)?;
        }
        return Ok(folder);
    }
    let folder = cache.join(record.digest());
    if folder.is_dir() {
        return Ok(folder);
    }
    let local =
        |path: &std::path::Path, source| StoreError::Local { path: path.display().to_string(), source };
    let of_cache = |source| StoreError::Local {
        path: format!("{} (the cache of models; CAPFILT_CACHE names another folder)", cache.display()),
        source,
    };
    std::fs::create_dir_all(cache).map_err(of_cache)?;
    // Filled under another name and renamed: a folder with the final name is complete.
    let filling = cache.join(format!("{}.{:08x}", record.digest(), rand::random::<u32>()));
    std::fs::create_dir(&filling).map_err(|source| local(&filling, source))?;
    for file in &record.files {
        let path = filling.join(&file.name);
        let out = File::create(&path).map_err(|source| local(&path, source))?;
        let (_, sha256) = copy(place, &file.name, Some(out)).await?;
        same_file(place, file, &sha256)?;
    }
    match std::fs::rename(&filling, &folder) {
        Err(_) if folder.is_dir() => {
            std::fs::remove_dir_all(&filling).map_err(|source| local(&filling, source))?
        }
        renamed => renamed.map_err(|source| local(&folder, source))?,
    }
    Ok(folder)
}

fn same_file(place: &Location, file: &ModelFile, sha256: &str) -> Result<(), StoreError> {
    if file.sha256 == sha256 {
        return Ok(());
    }
    Err(StoreError::Refused(format!(
        "{} has sha256 {sha256}, but the job was planned with {}: the checkpoint changed; start a new job, \
         or restore the old weights",
        without_secrets(&place.url_of(&file.name)),
        file.sha256
    )))
}

/// Reads an object and writes it to `out`, if given. Returns its length and digest.
async fn copy(place: &Location, name: &str, mut out: Option<File>) -> Result<(u64, String), StoreError> {
    let fail = |source| StoreError::store("read", without_secrets(&place.url_of(name)), source);
    let local = |source| StoreError::Local { path: name.to_owned(), source };
    let object = place.store.get(&place.path_of(name)).await.map_err(fail)?;
    let mut chunks = match object.payload {
        // As a stream, a file arrives in pieces of 8 kB, each from another thread.
        GetResultPayload::File(mut file, _) => {
            let copied = tokio::task::spawn_blocking(move || copy_file(&mut file, out.as_mut())).await;
            return copied.map_err(std::io::Error::from).flatten().map_err(local);
        }
        GetResultPayload::Stream(chunks) => chunks,
    };
    let (mut hasher, mut bytes) = (Sha256::new(), 0);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(fail)?;
        hasher.update(&chunk);
        bytes += chunk.len() as u64;
        out.iter_mut().try_for_each(|out| out.write_all(&chunk)).map_err(local)?;
    }
    Ok((bytes, hex::encode(hasher.finalize())))
}

fn copy_file(file: &mut File, mut out: Option<&mut File>) -> std::io::Result<(u64, String)> {
    let (mut hasher, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 20]);
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => return Ok((bytes, hex::encode(hasher.finalize()))),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read?,
        };
        hasher.update(&buffer[..read]);
        bytes += read as u64;
        out.iter_mut().try_for_each(|out| out.write_all(&buffer[..read]))?;
    }
}

#[cfg(test)]
mod tests;
