//! Walk over all headers of a tar.

use super::unit;
use crate::plan::contents::Unit;
use capfilt_store::{
    StoreError,
    tar::{TarItem, TarStream},
};

/// Samples of a tar, in units of as many rows as a shard.
pub(super) struct Walked {
    pub units: Vec<Unit>,
    /// Samples, and one for damage.
    pub rows: u64,
    /// Offset and reason of damage.
    pub damage: Option<(u64, String)>,
    /// Requests and bytes of the walk.
    pub cost: (u64, u64),
}

/// Walks to the end or to damage. The last unit ends at the end of the file, so that its reader meets the
/// same damage.
pub(super) async fn all(
    mut stream: TarStream,
    file_bytes: u64,
    rows_wanted: u64,
) -> Result<Walked, StoreError> {
    let (mut units, mut damage) = (Vec::new(), None);
    let (mut start, mut rows) = (0, 0);
    while let Some(item) = stream.next().await? {
        match item {
            TarItem::Member(member) if member.is_first => {
                if rows >= rows_wanted {
                    units.push(unit(start, member.header_at, rows));
                    (start, rows) = (member.header_at, 0);
                }
                rows += 1;
            }
            TarItem::Member(_) => {}
            TarItem::Damage { at, why } => damage = Some((at, why)),
        }
    }
    // The reader reports damage as a row.
    rows += u64::from(damage.is_some() && rows > 0);
    if rows > 0 {
        units.push(unit(start, file_bytes, rows));
    }
    let rows = units.iter().map(|unit| unit.rows).sum();
    Ok(Walked { units, rows, damage, cost: stream.cost() })
}
