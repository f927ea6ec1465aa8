//! The pickles `torch.save` writes: nested dictionaries of tensors, read without running anything.
//!
//! A pickle is a program. This reader knows the few instructions `torch.save` emits, builds plain values, and turns
//! every class and call except tensors into an opaque value; nothing from the file is ever executed.
//! (Python's `pickletools` documents the instructions; protocol 2 is what PyTorch writes.)

use std::collections::HashMap;

use tch::Kind;

/// A value of a pickle, as far as state dicts need it.
#[derive(Debug, Clone)]
pub enum Value {
    Int(i64),
    Text(String),
    Tuple(Vec<Value>),
    /// Pairs in file order.
    Dict(Vec<(Value, Value)>),
    /// A class or function by its full name.
    Global(String),
    Storage(Storage),
    Tensor(TensorLayout),
    /// Anything else: optimiser states, settings, floats. Kept only so that the stack stays in order.
    Opaque,
}

/// One block of memory in the archive; several tensors may share it.
#[derive(Debug, Clone, PartialEq)]
pub struct Storage {
    pub key: String,
    pub kind: Kind,
}

/// How a tensor lies in its storage: offset and strides count elements.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorLayout {
    pub storage: Storage,
    pub offset: i64,
    pub size: Vec<i64>,
    pub stride: Vec<i64>,
}

/// A damaged or hostile file must not exhaust memory; real files stay far below.
const MAX_VALUES: usize = 4_000_000;
/// Nor may it exhaust the stack by nesting; state dicts are five deep.
const MAX_DEPTH: usize = 16;
/// Nor may it multiply large values through the memo; shapes and strides are the only tuples worth remembering.
const MAX_REMEMBERED: usize = 16;

impl Value {
    /// What the memo keeps: flat values. No file we read refers back to a dictionary or to nested tuples.
    fn remembered(&self) -> Self {
        let is_flat = |value: &Self| !matches!(value, Self::Tuple(_) | Self::Dict(_));
        match self {
            Self::Tuple(items) if items.len() > MAX_REMEMBERED || !items.iter().all(is_flat) => Self::Opaque,
            Self::Dict(pairs) if !pairs.is_empty() => Self::Opaque,
            _ => self.clone(),
        }
    }

    /// Itself, unless it is nested too deeply.
    fn bounded(self) -> Self {
        if self.is_deeper_than(MAX_DEPTH) { Self::Opaque } else { self }
    }

    fn is_deeper_than(&self, depth: usize) -> bool {
        match (self, depth.checked_sub(1)) {
            (Self::Tuple(_) | Self::Dict(_), None) => true,
            (Self::Tuple(items), Some(depth)) => items.iter().any(|item| item.is_deeper_than(depth)),
            (Self::Dict(pairs), Some(depth)) => pairs.iter().any(|(_, value)| value.is_deeper_than(depth)),
            _ => false,
        }
    }
}

/// Reads the value a pickle describes.
///
/// # Errors
/// A sentence that says at which byte the file stops making sense.
pub fn read(bytes: &[u8]) -> Result<Value, String> {
    Machine { bytes, at: 0, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() }.run()
}

/// The pickle machine: a stack of values, marks on it, and a memo of values met before.
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
}

impl Machine<'_> {
    fn run(mut self) -> Result<Value, String> {
        loop {
            let start = self.at;
            let op = self.take(1)?[0];
            if op == b'.' {
                return self.pop();
            }
            self.step(op).map_err(|reason| format!("pickle, byte {start}: {reason}"))?;
            if self.stack.len() + self.memo.len() > MAX_VALUES {
                return Err("pickle holds too many values".into());
            }
        }
    }

    fn step(&mut self, op: u8) -> Result<(), String> {
        match op {
            0x80 => drop(self.take(1)?),               // PROTO
            0x95 => drop(self.take(8)?),               // FRAME
            b'(' => self.marks.push(self.stack.len()), // MARK
            b'}' => self.stack.push(Value::Dict(Vec::new())),
            b')' => self.stack.push(Value::Tuple(Vec::new())),
            b']' => self.stack.push(Value::Opaque), // EMPTY_LIST
            b'N' => self.stack.push(Value::Opaque), // NONE
            0x88 => self.stack.push(Value::Int(1)), // NEWTRUE
            0x89 => self.stack.push(Value::Int(0)), // NEWFALSE
            b'K' | b'M' | b'J' | 0x8a | b'G' => self.number(op)?,
            b'X' | 0x8c | b'U' | b'T' | b'B' | b'C' => self.text(op)?,
            b'q' | b'r' | 0x94 | b'h' | b'j' => self.memory(op)?,
            0x85..=0x87 => self.short_tuple(usize::from(op - 0x84))?,
            b't' => {
                let items = self.since_mark()?;
                self.stack.push(Value::Tuple(items).bounded());
            }
            b'c' | 0x93 => self.global(op)?,
            b'Q' => self.persistent()?,
            b'R' | 0x81 => self.reduce()?,
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(vec![key, value])?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.set_items(items)?;
            }
            b'a' | b'b' => drop(self.pop()?), // APPEND, BUILD: lists and attributes are not needed
            b'e' => drop(self.since_mark()?), // APPENDS
            b'0' => drop(self.pop()?),        // POP
            _ => return Err(format!("unknown instruction 0x{op:02x}")),
        }
        Ok(())
    }

    fn take(&mut self, n: usize) -> Result<&[u8], String> {
        let end = self.at.checked_add(n).filter(|end| *end <= self.bytes.len()).ok_or("pickle ends too early")?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// A little-endian unsigned number of `n` <= 8 bytes.
    fn unsigned(&mut self, n: usize) -> Result<u64, String> {
        Ok(self.take(n)?.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = &self.bytes[self.at..];
        let n = rest.iter().position(|byte| *byte == b'\n').ok_or("a line has no end")?;
        let line = String::from_utf8_lossy(&rest[..n]).into_owned();
        self.at += n + 1;
        Ok(line)
    }

    fn pop(&mut self) -> Result<Value, String> {
        self.stack.pop().ok_or_else(|| "nothing on the stack".to_string())
    }

    fn since_mark(&mut self) -> Result<Vec<Value>, String> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len()).ok_or("no mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn number(&mut self, op: u8) -> Result<(), String> {
        let value = match op {
            b'K' => Value::Int(self.unsigned(1)? as i64),
            b'M' => Value::Int(self.unsigned(2)? as i64),
            b'J' => Value::Int(i64::from(self.unsigned(4)? as u32 as i32)),
            b'G' => {
                self.take(8)?;
                Value::Opaque
            }
            _ => self.long()?,
        };
        self.stack.push(value);
        Ok(())
    }

    /// LONG1: a signed number of as many bytes as it needs.
    fn long(&mut self) -> Result<Value, String> {
        let n = self.unsigned(1)? as usize;
        if n > 8 {
            self.take(n)?;
            return Ok(Value::Opaque);
        }
        let raw = self.unsigned(n)?;
        let unused = 64 - 8 * n as u32;
        // Shifting up and back copies the sign bit down.
        Ok(Value::Int(if n == 0 { 0 } else { (raw << unused) as i64 >> unused }))
    }

    fn text(&mut self, op: u8) -> Result<(), String> {
        let n = self.unsigned(if matches!(op, b'X' | b'T' | b'B') { 4 } else { 1 })? as usize;
        let bytes = self.take(n)?;
        let value = match op {
            b'X' | 0x8c | b'U' | b'T' => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
            _ => Value::Opaque,
        };
        self.stack.push(value);
        Ok(())
    }

    fn memory(&mut self, op: u8) -> Result<(), String> {
        let index = match op {
            b'q' | b'h' => self.unsigned(1)? as u32,
            b'r' | b'j' => self.unsigned(4)? as u32,
            _ => self.memo.len() as u32, // MEMOIZE
        };
        if matches!(op, b'h' | b'j') {
            let value = self.memo.get(&index).cloned().ok_or("a memo that was never written")?;
            self.stack.push(value);
        } else {
            let value = self.stack.last().ok_or("nothing to memoise")?.remembered();
            self.memo.insert(index, value);
        }
        Ok(())
    }

    fn short_tuple(&mut self, n: usize) -> Result<(), String> {
        let start = self.stack.len().checked_sub(n).ok_or("nothing on the stack")?;
        let items = self.stack.split_off(start);
        self.stack.push(Value::Tuple(items).bounded());
        Ok(())
    }

    fn global(&mut self, op: u8) -> Result<(), String> {
        let (module, name) = if op == b'c' {
            (self.line()?, self.line()?)
        } else {
            match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => (module, name),
                _ => return Err("a class without a name".into()),
            }
        };
        self.stack.push(Value::Global(format!("{module}.{name}")));
        Ok(())
    }

    /// PERSID: `('storage', class, key, device, elements)`.
    fn persistent(&mut self) -> Result<(), String> {
        let value = match self.pop()? {
            Value::Tuple(items) => match items.as_slice() {
                [Value::Text(tag), Value::Global(class), Value::Text(key), ..] if tag == "storage" => {
                    storage_kind(class).map_or(Value::Opaque, |kind| Value::Storage(Storage { key: key.clone(), kind }))
                }
                _ => Value::Opaque,
            },
            _ => Value::Opaque,
        };
        self.stack.push(value);
        Ok(())
    }

    /// REDUCE and NEWOBJ: a call. Tensors, parameters and ordered dictionaries are understood.
    fn reduce(&mut self) -> Result<(), String> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let (Value::Tuple(arguments), Value::Global(name)) = (arguments, function) else {
            self.stack.push(Value::Opaque);
            return Ok(());
        };
        let value = match name.as_str() {
            "collections.OrderedDict" => Value::Dict(Vec::new()),
            "torch._utils._rebuild_tensor_v2" => rebuild_tensor(&arguments).unwrap_or(Value::Opaque),
            "torch._utils._rebuild_parameter" => arguments.into_iter().next().unwrap_or(Value::Opaque),
            _ => Value::Opaque,
        };
        self.stack.push(value);
        Ok(())
    }

    fn set_items(&mut self, items: Vec<Value>) -> Result<(), String> {
        // Anything but a dictionary is an object whose contents nobody asks for.
        if let Some(Value::Dict(pairs)) = self.stack.last_mut() {
            let mut items = items.into_iter();
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                // Keys are names; anything else could nest.
                let key = if matches!(key, Value::Text(_)) { key } else { Value::Opaque };
                pairs.push((key, value.bounded()));
            }
        }
        Ok(())
    }
}

fn storage_kind(class: &str) -> Option<Kind> {
    Some(match class.strip_prefix("torch.")? {
        "FloatStorage" => Kind::Float,
        "HalfStorage" => Kind::Half,
        "BFloat16Storage" => Kind::BFloat16,
        "DoubleStorage" => Kind::Double,
        "LongStorage" => Kind::Int64,
        "IntStorage" => Kind::Int,
        "BoolStorage" => Kind::Bool,
        "ByteStorage" => Kind::Uint8,
        _ => return None,
    })
}

/// `_rebuild_tensor_v2(storage, offset, size, stride, …)`.
fn rebuild_tensor(arguments: &[Value]) -> Option<Value> {
    let [Value::Storage(storage), Value::Int(offset), Value::Tuple(size), Value::Tuple(stride), ..] = arguments else {
        return None;
    };
    let numbers = |values: &[Value]| {
        values.iter().map(|v| if let Value::Int(n) = v { Some(*n) } else { None }).collect::<Option<Vec<i64>>>()
    };
    let (size, stride) = (numbers(size)?, numbers(stride)?);
    let sane = *offset >= 0 && size.len() == stride.len() && size.iter().chain(&stride).all(|n| *n >= 0);
    sane.then(|| Value::Tensor(TensorLayout { storage: storage.clone(), offset: *offset, size, stride }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"w": tensor of (2, 3) at offset 1 of storage "0"}` as protocol 2.
    fn sample() -> Vec<u8> {
        let mut bytes =
            b"\x80\x02}q\x00X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage".to_vec();
        bytes.extend(
            b"ctorch\nHalfStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x07tQK\x01K\x02K\x03\x86K\x03K\x01\x86\x89",
        );
        bytes.extend(b"ccollections\nOrderedDict\n)RtRs.");
        bytes
    }

    #[test]
    fn a_tensor_is_read_with_its_offset_and_strides() {
        let Value::Dict(pairs) = read(&sample()).unwrap() else { panic!("a dictionary") };
        let [(Value::Text(name), Value::Tensor(layout))] = pairs.as_slice() else { panic!("one tensor: {pairs:?}") };
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
        // x = (x, x), sixty times over, through the memo.
        let doubling = [b"\x80\x02)q\x00".to_vec(), b"h\x00h\x00\x86q\x00".repeat(60), b".".to_vec()].concat();
        assert!(read(&doubling).is_ok());
    }
}
