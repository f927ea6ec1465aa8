//! Columns of tables of records in which the columns of the settings are sought.

/// Names under which a JSON Lines or CSV file may have a column of the settings, the preferred one first. The
/// defaults of `input.image` and `input.text` are also sought under the names that the `imagefolder` of
/// Hugging Face's datasets uses.
pub fn record_columns(name: &str) -> Vec<&str> {
    match name {
        "jpg" => vec!["jpg", "file_name", "image"],
        "caption" => vec!["caption", "text"],
        _ => vec![name],
    }
}
