//! Closed sets: the written names of their members.

use capfilt_schemas::{
    control::Action,
    failure::FailureClass,
    status::{RowStatus, TextStatus},
};
use std::fmt::Write as _;

pub fn closed_sets(out: &mut String) {
    let statuses: Vec<&str> = RowStatus::ALL.iter().map(|status| status.as_str()).collect();
    writeln!(out, "row statuses: {}", statuses.join(" ")).unwrap();
    let statuses: Vec<&str> = TextStatus::ALL.iter().map(|status| status.as_str()).collect();
    writeln!(out, "text statuses: {}", statuses.join(" ")).unwrap();
    let classes: Vec<&str> = FailureClass::ALL.iter().map(|class| class.as_str()).collect();
    writeln!(out, "failure classes: {}", classes.join(" ")).unwrap();
    let actions: Vec<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
    writeln!(out, "control actions: {}", actions.join(" ")).unwrap();
}
