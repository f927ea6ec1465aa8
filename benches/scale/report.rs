//! Report of the measurements, as a table for people and one JSON object for programs.

use serde_json::{Map, Value, json};

/// Figures in the order they were taken.
#[derive(Debug, Default)]
pub struct Report(Vec<(String, Value, &'static str)>);

impl Report {
    /// Notes a figure and says it at once: a benchmark of half an hour should not be silent.
    pub fn note(&mut self, what: &str, value: impl Into<Value>, unit: &'static str) {
        let value = rounded(value.into());
        eprintln!("{what}: {} {unit}", plain(&value));
        self.0.push((what.to_owned(), value, unit));
    }

    pub fn print(&self) {
        println!("| figure | value |\n|---|---|");
        self.0.iter().for_each(|(what, value, unit)| println!("| {what} | {} {unit} |", plain(value)));
        let figures: Map<String, Value> = self
            .0
            .iter()
            .map(|(what, value, unit)| (what.clone(), json!({"value": value, "unit": unit})))
            .collect();
        println!("{}", Value::Object(figures));
    }
}

/// Three digits are more than any of this repeats.
fn rounded(value: Value) -> Value {
    match value.as_f64().filter(|_| value.is_f64()) {
        Some(number) if number.abs() >= 100.0 => json!(number.round()),
        Some(number) => json!((number * 1000.0).round() / 1000.0),
        None => value,
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
