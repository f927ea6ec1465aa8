//! Faults that wait for their requests, and counts of the requests.

use crate::{Cause, Fault};
use std::collections::HashMap;

/// Kinds of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Request {
    /// Reads of an object or of its metadata.
    Get,
    /// Listings of every kind.
    List,
    /// PUT of a whole object, create-only or not.
    Put,
    /// Start of a multipart upload.
    Upload,
    /// Deletion of one object.
    Delete,
    /// Copy or rename.
    Copy,
}

/// Faults in the order in which they were armed, and the requests so far.
#[derive(Debug, Default)]
pub(crate) struct Script {
    armed: Vec<Armed>,
    counts: HashMap<Request, usize>,
    pub is_down: bool,
}

#[derive(Debug)]
struct Armed {
    request: Request,
    /// Requests of this kind that succeed before the fault.
    spared: usize,
    /// Requests that the fault still affects.
    times: usize,
    fault: Fault,
}

impl Script {
    pub fn arm(&mut self, request: Request, spared: usize, times: usize, fault: Fault) {
        self.armed.push(Armed { request, spared, times, fault });
    }

    /// Counts a request and returns its fault. The fault that was armed first has precedence.
    pub fn meet(&mut self, request: Request) -> Option<Fault> {
        *self.counts.entry(request).or_default() += 1;
        if self.is_down {
            return Some(Fault::Fails(Cause::Refused));
        }
        let at = self.armed.iter().position(|armed| armed.request == request)?;
        let armed = &mut self.armed[at];
        if armed.spared > 0 {
            armed.spared -= 1;
            return None;
        }
        armed.times -= 1;
        let (fault, is_spent) = (armed.fault, armed.times == 0);
        if is_spent {
            self.armed.remove(at);
        }
        Some(fault)
    }

    pub fn is_spent(&self) -> bool {
        self.armed.is_empty()
    }

    pub fn count(&self, request: Request) -> usize {
        self.counts.get(&request).copied().unwrap_or_default()
    }
}
