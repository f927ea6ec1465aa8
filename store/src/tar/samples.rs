//! Whole samples of a tar, for tars whose samples fit in memory: those that a job writes.

use super::{Member, TarItem, TarStream};
use crate::{Location, PinnedObject, StoreError};
use bytes::Bytes;
use capfilt_schemas::commit::Output;

/// Bytes that are read at a time.
const PIECE_BYTES: u64 = 4 << 20;

/// A sample with the data of its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeSample {
    /// Name of the sample: the path of its members without the suffix.
    pub name: String,
    /// Suffixes and data of the members, in their order. The data share memory with the pieces of the tar.
    pub members: Vec<(String, Bytes)>,
}

impl WholeSample {
    /// Data of the first member with a suffix.
    pub fn member(&self, suffix: &str) -> Option<&Bytes> {
        self.members.iter().find(|(found, _)| found == suffix).map(|(_, data)| data)
    }
}

/// Reads the samples of a tar in order. Memory: two pieces of the tar, and one sample.
pub struct WholeSamples {
    walk: TarStream,
    /// First member of the next sample; its data is not yet read.
    ahead: Option<Member>,
}

impl WholeSamples {
    /// The samples of a table below a job's URL; nothing is read.
    pub fn of_output(job: &Location, output: &Output) -> Self {
        let object = PinnedObject::of_output(job, output);
        Self { walk: TarStream::of_object(object, 0..output.bytes, PIECE_BYTES), ahead: None }
    }

    /// The next sample; `None` at the end. The inner error is a fault of the tar, behind which nothing can be
    /// read.
    ///
    /// # Errors
    /// The store fails.
    pub async fn next(&mut self) -> Result<Result<Option<WholeSample>, String>, StoreError> {
        let mut sample: Option<WholeSample> = None;
        loop {
            let member = match self.ahead.take() {
                Some(member) => member,
                None => match self.walk.next().await? {
                    None => return Ok(Ok(sample)),
                    Some(TarItem::Damage { at, why }) => return Ok(Err(format!("{why}, at byte {at}"))),
                    Some(TarItem::Member(member)) => member,
                },
            };
            if member.is_first && sample.is_some() {
                self.ahead = Some(member);
                return Ok(Ok(sample));
            }
            let data = self.walk.read(member.bytes).await?;
            if member.is_sparse || (data.len() as u64) < member.bytes {
                return Ok(Err(format!("member {} is not whole", member.path())));
            }
            let name = || String::from_utf8_lossy(&member.key).into_owned();
            let sample = sample.get_or_insert_with(|| WholeSample { name: name(), members: Vec::new() });
            sample.members.push((member.suffix, data));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tar::{SampleData, SampleWriter};
    use capfilt_schemas::object_keys::Table;

    /// A tar of three samples; the second has no image.
    fn tar() -> Vec<u8> {
        let mut writer = SampleWriter::new();
        let mut tar = Vec::new();
        for (name, image) in [("0", Some(&[7; 1000][..])), ("1", None), ("2", Some(&[]))] {
            let data = SampleData { image, text: "a dog", record: b"{}" };
            tar.extend(writer.add(name, data).unwrap());
        }
        tar.extend(writer.finish().unwrap());
        tar
    }

    async fn read(tar: &[u8]) -> Result<Vec<WholeSample>, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("pairs.tar"), tar).unwrap();
        let (path, bytes) = ("pairs.tar".to_owned(), tar.len() as u64);
        let output = Output { table: Table::Pairs, path, bytes, sha256: String::new(), rows: 3 };
        let place = Location::open(folder.path().to_str().unwrap()).unwrap();
        let mut samples = WholeSamples::of_output(&place, &output);
        let mut found = Vec::new();
        while let Some(sample) = samples.next().await.unwrap()? {
            found.push(sample);
        }
        Ok(found)
    }

    #[tokio::test]
    async fn samples_come_back_as_they_were_written() {
        let found = read(&tar()).await.unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|sample| (sample.name.as_str(), sample.member("jpg").map(Bytes::len), sample.members.len()))
            .collect();
        assert_eq!(shown, [("0", Some(1000), 3), ("1", None, 2), ("2", Some(0), 3)]);
        assert!(found.iter().all(|sample| sample.member("txt").unwrap() == "a dog"));
        assert_eq!(tar(), tar(), "equal samples give equal bytes");
    }

    #[tokio::test]
    async fn a_tar_that_is_cut_within_a_member_is_a_fault() {
        let tar = tar();
        for bytes in [100, 512 + 900, 2048 + 512 + 2] {
            assert!(read(&tar[..bytes]).await.is_err(), "{bytes} bytes");
        }
    }
}
