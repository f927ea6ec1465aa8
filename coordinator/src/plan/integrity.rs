//! Checks a stored plan against `job.json`.

use capfilt_schemas::{
    job::PlanRecord,
    plan::{Shard, ShardId},
};
use std::collections::HashSet;

/// Fault of a plan. `None` if every id matches its shard, no shard is repeated, no shards overlap, and the
/// counts are those of the record.
pub(crate) fn fault(plan: &[Shard], record: &PlanRecord) -> Option<String> {
    let shards = plan.len() as u64;
    if shards != record.shards {
        return Some(format!("the plan has {shards} shards, job.json says {}", record.shards));
    }
    let rows = plan.iter().try_fold(0_u64, |sum, shard| sum.checked_add(shard.rows));
    if rows != Some(record.rows) {
        let rows = rows.map_or("more rows than can be counted".to_owned(), |rows| format!("{rows} rows"));
        return Some(format!("the plan has {rows}, job.json says {}", record.rows));
    }
    let mut seen = HashSet::with_capacity(plan.len());
    let misnamed =
        |shard: &&Shard| ShardId::of_part(&shard.file.path, &shard.file.etag, &shard.part) != shard.id;
    if let Some(shard) = plan.iter().find(misnamed) {
        return Some(format!("the id of shard {} does not match its file and part", shard.id));
    }
    if let Some(shard) = plan.iter().find(|shard| !seen.insert(&shard.id)) {
        return Some(format!("shard {} is listed twice", shard.id));
    }
    let ends = |shard: &Shard| shard.first_row.checked_add(shard.rows);
    let overlaps = |a: &Shard, b: &Shard| {
        let is_other_unit = a.part.unit() != b.part.unit();
        a.file.path == b.file.path
            && (is_other_unit
                || a.part.range().end > b.part.range().start
                || !a.rows_exact
                || ends(a).is_none_or(|end| end > b.first_row))
    };
    let pair = plan.windows(2).find(|pair| overlaps(&pair[0], &pair[1]));
    let overlapping =
        pair.map(|pair| format!("shards {} and {} overlap in {}", pair[0].id, pair[1].id, pair[0].file.path));
    let endless = || plan.iter().find(|shard| ends(shard).is_none() || shard.part.range().is_empty());
    overlapping.or_else(|| {
        endless().map(|shard| format!("shard {} has rows or a part that no file can have", shard.id))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use capfilt_schemas::plan::{InputFile, Part};
    use std::sync::Arc;

    fn plan() -> Vec<Shard> {
        let shard = |path: &str, i: u32| {
            let file = InputFile { path: path.to_owned(), etag: "1".to_owned(), bytes: 9 };
            let id = ShardId::of(path, "1", i..i + 1);
            Shard {
                id,
                file: Arc::new(file),
                part: Part::RowGroups(i..i + 1),
                first_row: 10 * u64::from(i),
                rows: 10,
                rows_exact: true,
                bytes: 1,
            }
        };
        vec![shard("a", 0), shard("a", 1), shard("b", 0)]
    }

    fn fault_after(change: impl FnOnce(&mut Vec<Shard>)) -> Option<String> {
        let mut plan = plan();
        change(&mut plan);
        // A false plan with consistent counts.
        let rows = plan.iter().fold(0_u64, |sum, shard| sum.saturating_add(shard.rows));
        let (path, sha256, shards) = (String::new(), String::new(), plan.len() as u64);
        fault(&plan, &PlanRecord { path, sha256, shards, rows, refused: vec![], without_rows: vec![] })
    }

    #[test]
    fn a_plan_whose_shards_are_not_what_their_ids_say_is_found() {
        assert_eq!(fault_after(|_| ()), None);
        let renamed =
            |plan: &mut Vec<Shard>| Arc::make_mut(&mut plan[0].file).path = "/etc/passwd".to_owned();
        assert!(fault_after(renamed).unwrap().contains("does not match its file"));
        assert!(
            fault_after(|plan| plan[1].part = Part::RowGroups(0..2))
                .unwrap()
                .contains("does not match its file")
        );
        assert!(fault_after(|plan| plan.push(plan[2].clone())).unwrap().contains("twice"));
        assert!(fault_after(|plan| plan[0].rows = 11).unwrap().contains("overlap"));
        assert!(fault_after(|plan| plan[2].first_row = u64::MAX).unwrap().contains("no file can have"));
        assert!(fault_after(|plan| plan[2].rows = u64::MAX).is_some());
    }

    #[test]
    fn counts_that_are_not_job_json_s_are_found() {
        let record = |shards, rows| PlanRecord {
            path: String::new(),
            sha256: String::new(),
            shards,
            rows,
            refused: vec![],
            without_rows: vec![],
        };
        assert_eq!(fault(&plan(), &record(3, 30)), None);
        assert!(fault(&plan(), &record(2, 30)).unwrap().contains("3 shards, job.json says 2"));
        assert!(fault(&plan(), &record(3, 31)).unwrap().contains("30 rows, job.json says 31"));
    }
}
