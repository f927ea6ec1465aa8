//! The text format of Prometheus, version 0.0.4.

use std::fmt::Write as _;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
}

/// A page during writing: a family, its samples, the next family.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
    /// Name of the family whose samples follow.
    name: &'static str,
}

impl Page {
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let help = help.replace('\\', r"\\").replace('\n', r"\n");
        self.name = name;
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub fn count(&mut self, labels: &[(&str, &str)], value: u64) {
        self.line(labels, &value.to_string());
    }

    pub fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        self.line(labels, &value.to_string());
    }

    fn line(&mut self, labels: &[(&str, &str)], value: &str) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.text, "{}{labels} {value}", self.name);
    }

    pub fn text(self) -> String {
        self.text
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_break_out_of_its_line() {
        let mut page = Page::default();
        page.family("capfilt_x", Kind::Gauge, "Two\nlines.");
        page.sample(&[("device", "a\"b\\c\nd")], 0.5);
        page.count(&[], 3);
        let expected = "# HELP capfilt_x Two\\nlines.\n# TYPE capfilt_x gauge\n\
                        capfilt_x{device=\"a\\\"b\\\\c\\nd\"} 0.5\ncapfilt_x 3\n";
        assert_eq!(page.text(), expected);
    }
}
