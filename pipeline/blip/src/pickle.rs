//! Reader for the pickles of `torch.save`: nested dictionaries of tensors, read without executing code.
//!
//! A pickle is a program. This reader knows the few instructions that `torch.save` emits, builds plain
//! values, and turns every class and call except tensors into an opaque value. Nothing from the file is
//! executed. (Python's `pickletools` documents the instructions; PyTorch writes protocol 2.)

use std::collections::HashMap;

use tch::Kind;

pub use value::{Storage, TensorLayout, Value};

mod value;

/// Largest number of axes of a tensor; BLIP's tensors have at most four.
pub(crate) const MAX_AXES: usize = 16;

/// Bound on the cost of reading a file, so that a damaged or hostile file exhausts neither memory nor time.
/// An instruction costs one plus the size of the value that it pushes ([`Value::weight`]). The state dict of
/// a thousand tensors with its optimiser's costs 500,000.
const MAX_COST: usize = 8_000_000;
/// Largest number of values on the stack and in the memo; a value takes 100 bytes.
const MAX_VALUES: usize = 1_000_000;
/// Longest text in bytes that is kept: names of tensors, keys of storages, names of classes.
const MAX_TEXT: usize = 1024;

/// Reads the value that a pickle describes.
///
/// # Errors
/// A sentence with the position of the first invalid byte.
pub fn read(bytes: &[u8]) -> Result<Value, String> {
    Machine { bytes, at: 0, cost: 0, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() }.run()
}

/// The pickle machine: a stack of values, marks on the stack, and a memo of earlier values.
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Sum of the costs of the executed instructions.
    cost: usize,
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
            self.cost += 1;
            let values = self.stack.len() + self.marks.len() + self.memo.len();
            if values > MAX_VALUES || self.cost > MAX_COST {
                return Err("the pickle holds more values than any state dict; is this file damaged?".into());
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
        let end =
            self.at.checked_add(n).filter(|end| *end <= self.bytes.len()).ok_or("pickle ends too early")?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// Reads a little-endian unsigned number of `n` <= 8 bytes.
    fn unsigned(&mut self, n: usize) -> Result<u64, String> {
        Ok(self.take(n)?.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = &self.bytes[self.at..];
        let n = rest.iter().take(MAX_TEXT).position(|byte| *byte == b'\n').ok_or("a line has no end")?;
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

    /// LONG1: a signed number with an explicit byte count.
    fn long(&mut self) -> Result<Value, String> {
        let n = self.unsigned(1)? as usize;
        if n > 8 {
            self.take(n)?;
            return Ok(Value::Opaque);
        }
        let raw = self.unsigned(n)?;
        let unused = 64 - 8 * n as u32;
        // Shifting left and right extends the sign bit.
        Ok(Value::Int(if n == 0 { 0 } else { (raw << unused) as i64 >> unused }))
    }

    fn text(&mut self, op: u8) -> Result<(), String> {
        let n = self.unsigned(if matches!(op, b'X' | b'T' | b'B') { 4 } else { 1 })? as usize;
        let bytes = self.take(n)?;
        let value = match op {
            b'X' | 0x8c | b'U' | b'T' if n <= MAX_TEXT => {
                Value::Text(String::from_utf8_lossy(bytes).into_owned())
            }
            _ => Value::Opaque,
        };
        self.cost += value.weight();
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
            let value = self.memo.get(&index).ok_or("a memo that was never written")?;
            self.cost += value.weight();
            self.stack.push(value.clone());
        } else {
            let value = self.stack.last().ok_or("nothing to memoise")?.remembered();
            self.cost += value.weight();
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
                    storage_kind(class)
                        .map_or(Value::Opaque, |kind| Value::Storage(Storage { key: key.clone(), kind }))
                }
                _ => Value::Opaque,
            },
            _ => Value::Opaque,
        };
        self.stack.push(value);
        Ok(())
    }

    /// REDUCE and NEWOBJ: a call. Tensors, parameters and ordered dictionaries are evaluated; other calls
    /// give an opaque value.
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
        // Items of a value that is not a dictionary belong to an object that is not needed.
        if let Some(Value::Dict(pairs)) = self.stack.last_mut() {
            let mut items = items.into_iter();
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                // Keys are names; another value could nest.
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
    let [Value::Storage(storage), Value::Int(offset), Value::Tuple(size), Value::Tuple(stride), ..] =
        arguments
    else {
        return None;
    };
    let numbers = |values: &[Value]| {
        values
            .iter()
            .map(|v| if let Value::Int(n) = v { Some(*n) } else { None })
            .collect::<Option<Vec<i64>>>()
    };
    let (size, stride) = (numbers(size)?, numbers(stride)?);
    let sane = *offset >= 0
        && size.len() == stride.len()
        && size.len() <= MAX_AXES
        && size.iter().chain(&stride).all(|n| *n >= 0);
    sane.then(|| Value::Tensor(TensorLayout { storage: storage.clone(), offset: *offset, size, stride }))
}

#[cfg(test)]
mod tests;
