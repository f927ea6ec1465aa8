use super::*;
use crate::Location;
use capfilt_schemas::plan::InputFile;
use flate2::{Compression, write::GzEncoder};
use std::io::Write as _;
use tar::{Builder, EntryType, Header};

fn header(bytes: u64, kind: EntryType) -> Header {
    let mut header = Header::new_gnu();
    header.set_size(bytes);
    header.set_entry_type(kind);
    header
}

/// A tar with these files; the data of a file is its name.
fn tar_of(names: &[&str]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for name in names {
        let mut header = header(name.len() as u64, EntryType::Regular);
        tar.append_data(&mut header, name, name.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap()
}

struct Walk {
    stream: TarStream,
    _folder: tempfile::TempDir,
}

fn object(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PinnedObject {
    std::fs::write(folder.path().join(name), bytes).unwrap();
    let place = Location::open(folder.path().to_str().unwrap()).unwrap();
    let file = InputFile { path: name.to_owned(), etag: String::new(), bytes: bytes.len() as u64 };
    PinnedObject::new(&place, &file)
}

fn walk(bytes: &[u8], piece_bytes: u64) -> Walk {
    let folder = tempfile::tempdir().unwrap();
    let object = object(&folder, "a.tar", bytes);
    let stream = TarStream::of_object(object, 0..bytes.len() as u64, piece_bytes);
    Walk { stream, _folder: folder }
}

/// Names, with a star for the first member of a sample, and the damage.
async fn names(mut stream: TarStream) -> (Vec<String>, Option<String>) {
    let mut names = Vec::new();
    loop {
        match stream.next().await.unwrap() {
            None => return (names, None),
            Some(TarItem::Damage { why, .. }) => return (names, Some(why)),
            Some(TarItem::Member(member)) => {
                let name = String::from_utf8_lossy(&member.name).into_owned();
                names.push(if member.is_first { format!("*{name}") } else { name });
            }
        }
    }
}

#[tokio::test]
async fn members_are_grouped_by_neighbouring_keys_and_their_data_is_right_in_any_piece() {
    let long = format!("{}/0.jpg", "folder".repeat(40));
    let tar = tar_of(&["0.jpg", "0.txt", "__meta__", "README", "1.jpg", "0.json", &long]);
    for piece_bytes in [512, 700, 4096, 1 << 20] {
        let mut walk = walk(&tar, piece_bytes);
        let (mut found, mut first) = (Vec::new(), Vec::new());
        while let Some(item) = walk.stream.next().await.unwrap() {
            let TarItem::Member(member) = item else { panic!("{item:?}") };
            let data = walk.stream.read(u64::MAX).await.unwrap();
            assert_eq!(data.as_ref(), &member.name[..], "pieces of {piece_bytes} bytes");
            first.push(member.is_first);
            found.push(String::from_utf8(member.name).unwrap());
        }
        assert_eq!(found, ["0.jpg", "0.txt", "1.jpg", "0.json", &long]);
        assert_eq!(first, [true, false, true, true, true]);
    }
}

#[tokio::test]
async fn a_part_begins_and_ends_between_samples() {
    let tar = tar_of(&["0.jpg", "0.txt", "1.jpg", "1.txt", "2.jpg"]);
    let folder = tempfile::tempdir().unwrap();
    let object = object(&folder, "a.tar", &tar);
    let part = |range| names(TarStream::of_object(object.clone(), range, 4096));
    assert_eq!(part(2048..4096).await.0, ["*1.jpg", "1.txt"]);
    assert_eq!(part(4096..tar.len() as u64).await.0, ["*2.jpg"]);
}

#[tokio::test]
async fn a_compressed_tar_has_the_same_members_and_a_cut_one_ends_with_damage() {
    let names_in = ["0.jpg", "0.txt", "1.jpg"];
    let tar = tar_of(&names_in);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&tar).unwrap();
    let packed = encoder.finish().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let of = |bytes: &[u8]| names(TarStream::of_gzip(object(&folder, "a.tar.gz", bytes), 4096));
    assert_eq!(of(&packed).await, (vec!["*0.jpg".to_owned(), "0.txt".into(), "*1.jpg".into()], None));
    assert!(of(&packed[..packed.len() / 2]).await.1.unwrap().contains("gzip"));
    assert!(of(b"not gzip at all, but some text").await.1.unwrap().contains("gzip"));
}

#[tokio::test]
async fn damage_is_the_last_item_and_says_what_and_where() {
    let tar = tar_of(&["0.jpg", "1.jpg"]);
    let of = |bytes: &[u8]| {
        let walk = walk(bytes, 4096);
        async move {
            let Walk { stream, _folder } = walk;
            names(stream).await
        }
    };
    assert_eq!(of(&tar[..1024]).await, (vec!["*0.jpg".to_owned()], None), "the end mark is missing");
    assert_eq!(of(&tar[..514]).await.1.unwrap(), "the tar ends within a member");
    assert_eq!(of(&tar[..1100]).await.1.unwrap(), "the tar ends within a header");
    let mut wrong = tar.clone();
    wrong[1024 + 3] ^= 1;
    assert_eq!(of(&wrong).await, (vec!["*0.jpg".to_owned()], Some("a header has a wrong checksum".into())));
    let mut huge = tar.clone();
    let mut header = Header::from_byte_slice(&tar[1024..1536]).clone();
    header.set_size(u64::MAX);
    header.set_cksum();
    huge[1024..1536].copy_from_slice(header.as_bytes());
    assert!(of(&huge).await.1.unwrap().contains("header"));
}

#[tokio::test]
async fn pax_headers_name_and_measure_the_next_file_only_and_have_a_limit() {
    let mut tar = Builder::new(Vec::new());
    let long = format!("{}/0.jpg", "p".repeat(300));
    tar.append_pax_extensions([("path", long.as_bytes()), ("size", b"3".as_slice())]).unwrap();
    let mut plain = header(9, EntryType::Regular);
    plain.set_path("short.jpg").unwrap();
    plain.set_cksum();
    tar.append(&plain, &b"abc"[..]).unwrap();
    let mut bytes = tar.into_inner().unwrap();
    // `append` wrote three bytes of data and its padding.
    let end = bytes.len() - 1024;
    bytes.splice(end.., tar_of(&["1.jpg"]));
    let (found, damage) = names(walk(&bytes, 4096).stream).await;
    assert_eq!((found, damage), (vec![format!("*{long}"), "*1.jpg".to_owned()], None));

    let mut tar = Builder::new(Vec::new());
    let mut vast = header(2 << 20, EntryType::XHeader);
    vast.set_path("pax").unwrap();
    vast.set_cksum();
    tar.append(&vast, std::io::repeat(b'x').take(2 << 20)).unwrap();
    let damage = names(walk(&tar.into_inner().unwrap(), 4096).stream).await.1.unwrap();
    assert!(damage.contains("the limit is 1048576"), "{damage}");
}

use std::io::Read as _;

#[tokio::test]
async fn entries_that_are_not_files_are_passed_and_sparse_files_are_marked() {
    let mut tar = Builder::new(Vec::new());
    for (name, kind) in [("d.jpg", EntryType::Directory), ("l.jpg", EntryType::Symlink)] {
        let mut other = header(0, kind);
        other.set_path(name).unwrap();
        other.set_cksum();
        tar.append(&other, std::io::empty()).unwrap();
    }
    let mut sparse = header(4, EntryType::GNUSparse);
    sparse.set_path("s.jpg").unwrap();
    sparse.set_cksum();
    tar.append(&sparse, &b"abcd"[..]).unwrap();
    let bytes = tar.into_inner().unwrap();
    let mut walk = walk(&bytes, 4096);
    let Some(TarItem::Member(member)) = walk.stream.next().await.unwrap() else { panic!("no member") };
    assert!(member.is_sparse && member.name == b"s.jpg");
    assert_eq!(walk.stream.next().await.unwrap(), None);
}
