//! Files as `torch.save` writes them, valid and invalid ones.

#![allow(dead_code, clippy::unwrap_used)]

use std::{fs::File, io::Write as _, path::Path};

use tch::{Kind, Tensor};
use zip::{CompressionMethod, ZipWriter, write::FileOptions};

/// A tensor as the pickle describes it.
pub struct Described {
    pub name: String,
    pub storage: String,
    pub offset: i64,
    pub size: Vec<i64>,
    pub stride: Vec<i64>,
}

/// A dictionary of f32 tensors, protocol 2.
pub fn pickle(tensors: &[Described]) -> Vec<u8> {
    let mut out = b"\x80\x02}(".to_vec();
    for tensor in tensors {
        text(&mut out, &tensor.name);
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut out, "storage");
        out.extend(b"ctorch\nFloatStorage\n");
        text(&mut out, &tensor.storage);
        text(&mut out, "cpu");
        number(&mut out, 1);
        out.extend(b"tQ");
        number(&mut out, tensor.offset);
        for numbers in [&tensor.size, &tensor.stride] {
            out.push(b'(');
            numbers.iter().for_each(|n| number(&mut out, *n));
            out.push(b't');
        }
        out.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    out.extend(b"u.");
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

fn number(out: &mut Vec<u8>, n: i64) {
    out.extend([0x8a, 8]);
    out.extend(n.to_le_bytes());
}

/// An archive of a pickle and its storages.
pub fn archive(path: &Path, pickle: &[u8], storages: &[(String, Vec<u8>)]) {
    let mut zip = ZipWriter::new(File::create(path).unwrap());
    let options = FileOptions::default().compression_method(CompressionMethod::Stored);
    let mut add = |name: &str, bytes: &[u8]| {
        zip.start_file(format!("archive/{name}"), options).unwrap();
        zip.write_all(bytes).unwrap();
    };
    add("data.pkl", pickle);
    add("version", b"3\n");
    storages.iter().for_each(|(key, bytes)| add(&format!("data/{key}"), bytes));
    zip.finish().unwrap();
}

/// Saves tensors as f32, each with a separate storage.
pub fn save(path: &Path, tensors: &[(String, Tensor)]) {
    let (mut described, mut storages) = (Vec::new(), Vec::new());
    for (i, (name, tensor)) in tensors.iter().enumerate() {
        let tensor = tensor.to_kind(Kind::Float).contiguous();
        let mut bytes = vec![0; tensor.numel() * 4];
        tensor.copy_data_u8(&mut bytes, tensor.numel());
        storages.push((i.to_string(), bytes));
        let (name, storage) = (name.clone(), i.to_string());
        described.push(Described { name, storage, offset: 0, size: tensor.size(), stride: tensor.stride() });
    }
    archive(path, &pickle(&described), &storages);
}
