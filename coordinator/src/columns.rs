//! Whether a file has the columns the settings name, in types a worker can read.

use arrow::datatypes::{DataType, Schema};
use capfilt_schemas::{
    predicate::{Literal, Predicate},
    settings::Input,
};

/// From this likeness on (Jaro-Winkler, 1 is the same) a name is taken for a misspelling of another.
const ALIKE: f64 = 0.7;

/// The columns a job needs of every file.
#[derive(Debug, Clone)]
pub struct Wanted {
    image: String,
    text: String,
    key: String,
    /// Looked at by the condition, with what they are compared with.
    compared: Vec<(String, Option<Literal>)>,
    /// Only copied; any type will do.
    copied: Vec<String>,
}

/// What a sound file lacks without harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fit {
    pub has_key: bool,
}

impl Wanted {
    pub fn of(input: &Input, filter: Option<&Predicate>) -> Self {
        let uses = filter.iter().flat_map(|filter| filter.uses());
        Self {
            image: input.image.clone(),
            text: input.text.clone(),
            key: input.key.clone(),
            compared: uses.map(|(name, literal)| (name.to_owned(), literal.cloned())).collect(),
            copied: input.passthrough.clone(),
        }
    }

    /// Whether a file with this schema can be cleaned; else why not, and what to do about it.
    pub fn fit(&self, schema: &Schema) -> Result<Fit, String> {
        let image = found(schema, "input.image", &self.image)?;
        if !is_image(image) {
            let expected = "bytes, text (a path below input.url) or a struct with bytes and path";
            return Err(wrong_type("input.image", &self.image, image, expected));
        }
        let text = found(schema, "input.text", &self.text)?;
        if !is_bytes(text) && !is_text(text) {
            return Err(wrong_type("input.text", &self.text, text, "text"));
        }
        for name in &self.copied {
            found(schema, "input.passthrough", name)?;
        }
        for (name, literal) in &self.compared {
            let kind = found(schema, "input.where", name)?;
            // A column of nulls alone has no type to speak of; comparing it selects nothing.
            if let Some(literal) = literal.as_ref().filter(|literal| !literal.fits(kind) && kind != &DataType::Null) {
                return Err(format!("column `{name}` is {kind}, but input.where compares it with {literal}"));
            }
        }
        let key = type_of(schema, &self.key);
        if let Some(key) = key.filter(|key| !is_text(key) && !key.is_integer()) {
            return Err(wrong_type("input.key", &self.key, key, "text or an integer"));
        }
        Ok(Fit { has_key: key.is_some() })
    }
}

fn type_of<'a>(schema: &'a Schema, name: &str) -> Option<&'a DataType> {
    schema.column_with_name(name).map(|(_, field)| field.data_type())
}

fn found<'a>(schema: &'a Schema, setting: &str, name: &str) -> Result<&'a DataType, String> {
    type_of(schema, name).ok_or_else(|| {
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let likeness = |known: &&&str| strsim::jaro_winkler(known, name);
        let nearest = names.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        let nearest = nearest.filter(|nearest| likeness(nearest) >= ALIKE);
        let advice = nearest.map(|nearest| format!("; did you mean {setting} = \"{nearest}\"?")).unwrap_or_default();
        format!("there is no column `{name}` ({setting}); it has {}{advice}", names.join(", "))
    })
}

fn wrong_type(setting: &str, name: &str, kind: &DataType, expected: &str) -> String {
    format!("column `{name}` is {kind}, expected {expected}; is {setting} the right column?")
}

fn is_bytes(kind: &DataType) -> bool {
    matches!(kind, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_image(kind: &DataType) -> bool {
    match kind {
        // Hugging Face's image: either field may be null in a row, so either may be missing altogether.
        DataType::Struct(fields) => {
            let has =
                |name: &str, fits: fn(&DataType) -> bool| fields.find(name).map(|(_, field)| fits(field.data_type()));
            let (bytes, path) = (has("bytes", is_bytes), has("path", is_text));
            bytes != Some(false) && path != Some(false) && (bytes.is_some() || path.is_some())
        }
        kind => is_bytes(kind) || is_text(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Field;

    fn wanted() -> Wanted {
        let filter = Predicate::parse("width >= 256").unwrap();
        let settings = "[job]\nurl='/j'\n[input]\nurl='/i'\n[models]\ncaptioner='/c'\nfilter='/f'\n";
        Wanted::of(&capfilt_schemas::settings::parse(settings, &[]).unwrap().input, Some(&filter))
    }

    fn schema(columns: &[(&str, DataType)]) -> Schema {
        Schema::new(columns.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect::<Vec<_>>())
    }

    #[test]
    fn a_missing_column_is_named_with_those_there_are_and_the_nearest() {
        let error = wanted().fit(&schema(&[("jpg", DataType::Binary), ("captoin", DataType::Utf8)])).unwrap_err();
        assert!(
            error.contains("`caption`") && error.contains("jpg, captoin") && error.contains("= \"captoin\""),
            "{error}"
        );
    }

    #[test]
    fn a_column_of_a_type_no_worker_reads_is_refused() {
        let base = [("jpg", DataType::Binary), ("caption", DataType::Utf8View), ("width", DataType::Int32)];
        assert_eq!(wanted().fit(&schema(&base)), Ok(Fit { has_key: false }));
        for (at, kind) in [(0, DataType::Int32), (1, DataType::Float64), (2, DataType::Utf8)] {
            let mut columns = base.clone();
            columns[at].1 = kind;
            let error = wanted().fit(&schema(&columns)).unwrap_err();
            assert!(error.contains("expected") || error.contains("compares it with 256"), "{error}");
        }
        let image = DataType::Struct(
            vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)].into(),
        );
        assert!(
            wanted()
                .fit(&schema(&[("jpg", image), base[1].clone(), base[2].clone(), ("key", DataType::Int64)]))
                .is_ok()
        );
        let no_image = DataType::Struct(vec![Field::new("x", DataType::Binary, true)].into());
        assert!(wanted().fit(&schema(&[("jpg", no_image), base[1].clone(), base[2].clone()])).is_err());
    }
}
