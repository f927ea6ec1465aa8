//! Settings of the bootstrap loop: pre-train, fine-tune filter and captioner, clean, pre-train again on the
//! kept pairs.

use super::{
    SettingsError,
    parse::{apply_override, explain},
    training_data::{DataSource, SourceTable, Texts},
};
use serde::{Deserialize, Serialize};

/// All settings of a loop; `configs/loop.toml` explains every key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bootstrap {
    /// Steps of the loop, and their settings files.
    #[serde(rename = "loop")]
    pub run: Loop,
    /// Pairs written by people.
    pub human: Vec<DataSource>,
    /// Unfiltered pairs, to be cleaned.
    pub web: DataSource,
}

/// Steps of the loop, and their settings files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loop {
    /// Local folder with the runs and the loop's state.
    pub folder: String,
    /// Number of times that the web pairs are cleaned.
    #[serde(default = "once")]
    pub rounds: u32,
    /// Settings files of the steps, beside the loop's own file. The loop itself sets folders, data and
    /// parents.
    pub pretrain: String,
    /// Settings file of the filter's fine-tuning.
    pub filter: String,
    /// Settings file of the captioner's fine-tuning.
    pub captioner: String,
    /// Settings file of the cleaning.
    pub job: String,
    /// Folder or prefix of the cleaning jobs; by default the loop's folder.
    #[serde(default)]
    pub jobs: String,
    /// Selection of the kept texts of an image for pre-training.
    #[serde(default)]
    pub texts: Texts,
}

fn once() -> u32 {
    1
}

impl Bootstrap {
    /// Reads a loop's settings, with overrides.
    ///
    /// # Errors
    /// An unknown key or an invalid value; the error names the key.
    pub fn parse(text: &str, overrides: &[String]) -> Result<Self, SettingsError> {
        let mut table: toml::Table = text.parse().map_err(SettingsError::Syntax)?;
        for entry in overrides {
            apply_override(&mut table, entry)?;
        }
        let text = toml::to_string(&table).map_err(|error| SettingsError::Content(error.to_string()))?;
        let settings: Self =
            toml::from_str(&text).map_err(|error| SettingsError::Content(explain(&error, &text)))?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), SettingsError> {
        let rules = [
            (self.run.folder.is_empty(), "loop.folder", "set the folder of the runs and of the state"),
            (self.run.rounds == 0, "loop.rounds", "it must be at least 1"),
            (
                self.human.is_empty(),
                "human",
                "filter and captioner learn from pairs that people wrote: [[human]]",
            ),
            (
                self.web.url.is_empty() || !self.web.job.is_empty(),
                "web.url",
                "set the URL of the pairs to clean",
            ),
        ];
        if let Some((_, key, why)) = rules.into_iter().find(|rule| rule.0) {
            return Err(SettingsError::Value { key, value: String::new(), why });
        }
        let human = self.human.iter().find_map(|source| source.fault(SourceTable::Human));
        match human.or_else(|| self.web.fault(SourceTable::Web)) {
            Some((key, value, why)) => Err(SettingsError::Value { key, value, why }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_loop_is_valid_and_a_loop_without_data_is_refused() {
        let text = include_str!("../../../configs/loop.toml");
        let settings = Bootstrap::parse(text, &["loop.rounds=3".to_owned()]).unwrap();
        assert_eq!((settings.run.rounds, settings.run.texts), (3, Texts::Both));
        for (wrong, key) in [
            ("loop.rounds=0", "loop.rounds"),
            ("loop.folder=\"\"", "loop.folder"),
            ("web.url=\"\"", "web.url"),
        ] {
            let error = Bootstrap::parse(text, &[wrong.to_owned()]).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn an_error_names_the_table_of_the_source() {
        let wrong = |human: &str, web: &str| {
            let text = format!(
                "[loop]\nfolder='f'\npretrain='p'\nfilter='f'\ncaptioner='c'\njob='j'\n\
                 [[human]]\nurl='h'\n{human}\n[web]\nurl='w'\n{web}\n"
            );
            Bootstrap::parse(&text, &[]).unwrap_err().to_string()
        };
        for (field, key) in
            [("texts='web'", "texts"), ("synthetic_share=2.0", "synthetic_share"), ("job='j'", "url")]
        {
            assert!(wrong(field, "").starts_with(&format!("human.{key} = ")), "{}", wrong(field, ""));
            assert!(wrong("", field).starts_with(&format!("web.{key} = ")), "{}", wrong("", field));
        }
    }
}
