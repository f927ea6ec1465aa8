//! Pickles as PyTorch writes them, damaged ones, and hostile ones.

use super::*;

/// `{"w": tensor of (2, 3) at offset 1 of storage "0"}` as protocol 2.
fn sample() -> Vec<u8> {
    let mut bytes =
        b"\x80\x02}q\x00X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage"
            .to_vec();
    bytes.extend(
        b"ctorch\nHalfStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu\
          K\x07tQK\x01K\x02K\x03\x86K\x03K\x01\x86\x89",
    );
    bytes.extend(b"ccollections\nOrderedDict\n)RtRs.");
    bytes
}

#[test]
fn a_tensor_is_read_with_its_offset_and_strides() {
    let Value::Dict(pairs) = read(&sample()).unwrap() else { panic!("a dictionary") };
    let [(Value::Text(name), Value::Tensor(layout))] = pairs.as_slice() else {
        panic!("one tensor: {pairs:?}")
    };
    assert_eq!(name, "w");
    let storage = Storage { key: "0".into(), kind: Kind::Half };
    assert_eq!(layout, &TensorLayout { storage, offset: 1, size: vec![2, 3], stride: vec![3, 1] });
}

#[test]
fn no_damaged_byte_and_no_cut_makes_the_reader_panic() {
    let whole = sample();
    for at in 0..whole.len() {
        let _ = read(&whole[..at]);
        for byte in 0..=255 {
            let mut damaged = whole.clone();
            damaged[at] = byte;
            let _ = read(&damaged);
        }
    }
}

#[test]
fn nesting_and_doubling_without_end_stay_small() {
    let deep = [b"\x80\x02N".to_vec(), vec![0x85; 1_000_000], b".".to_vec()].concat();
    assert!(read(&deep).is_ok());
    // x = (x, x), sixty times, through the memo.
    let doubling = [b"\x80\x02)q\x00".to_vec(), b"h\x00h\x00\x86q\x00".repeat(60), b".".to_vec()].concat();
    assert!(read(&doubling).is_ok());
}

#[test]
fn what_would_take_gigabytes_or_minutes_is_refused_within_its_bound() {
    let text = |n: u32, fill: u8| [b"X".to_vec(), n.to_le_bytes().to_vec(), vec![fill; n as usize]].concat();
    let put_in_memo = b"q\x000".to_vec();
    for (what, body) in [
        (
            "a text again and again",
            [text(1000, b'a'), put_in_memo.clone(), b"h\x00".repeat(400_000)].concat(),
        ),
        ("marks without end", b"(".repeat(3_000_000)),
        ("values put down and taken up", b"N0".repeat(9_000_000)),
        ("a tuple of texts again and again", {
            let tuple =
                [text(1000, b'a'), put_in_memo, b"(".to_vec(), b"h\x00".repeat(16), b"tq\x01".to_vec()];
            [tuple.concat(), b"h\x01".repeat(100_000)].concat()
        }),
    ] {
        let error = read(&[b"\x80\x02".to_vec(), body, b".".to_vec()].concat()).expect_err(what);
        assert!(error.contains("more values than any state dict"), "{what}: {error}");
    }
}
