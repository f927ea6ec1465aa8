//! `hf://` URLs: repositories and buckets of the Hugging Face Hub.
//!
//! ```text
//! hf://datasets/owner/name[@revision][/path]
//! hf://[models/]owner/name[@revision][/path]
//! hf://buckets/owner/name[/path]
//! ```
//!
//! A revision is a branch, a tag or a commit. Its slashes are written as `%2F`, except in the Hub's own
//! `refs/convert/…` and `refs/pr/…`.

use std::fmt;

/// Beginning of every URL of the Hub.
const SCHEME: &str = "hf://";

/// Digits of a commit.
const COMMIT_DIGITS: usize = 40;

/// Kind of a place on the Hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HubKind {
    /// A repository of data.
    Dataset,
    /// A repository of a model.
    Model,
    /// A storage bucket, which has no revisions.
    Bucket,
}

impl HubKind {
    /// Name of the kind in the Hub's addresses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dataset => "datasets",
            Self::Model => "models",
            Self::Bucket => "buckets",
        }
    }
}

/// A repository or a bucket, and a path in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubUrl {
    /// Kind of the place.
    pub kind: HubKind,
    /// Owner and name; some old repositories have no owner.
    pub name: String,
    /// Branch, tag or commit; `None`: the branch `main`.
    pub revision: Option<String>,
    /// Path below the root, as written; empty for the root.
    pub path: String,
}

impl HubUrl {
    /// Parses a URL; `None` for another scheme.
    ///
    /// # Errors
    /// The fault of the URL, without the URL.
    pub fn parse(url: &str) -> Option<Result<Self, &'static str>> {
        url.strip_prefix(SCHEME).map(Self::of)
    }

    fn of(rest: &str) -> Result<Self, &'static str> {
        if rest.contains(['?', '#']) {
            return Err("`?` and `#` end an object's name in a URL; write them as %3F and %23");
        }
        let (kind, rest) = match rest.split_once('/') {
            Some(("datasets", rest)) => (HubKind::Dataset, rest),
            Some(("models", rest)) => (HubKind::Model, rest),
            Some(("buckets", rest)) => (HubKind::Bucket, rest),
            Some(("spaces", _)) => return Err("a Space holds no data: name a dataset, a model or a bucket"),
            _ => (HubKind::Model, rest),
        };
        let (name, revision, path) = parts(rest);
        let is_part = |part: &str| {
            let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            part.chars().all(is_letter) && !matches!(part, "" | "." | "..")
        };
        if !name.split('/').all(is_part) {
            return Err("the owner and the name of a repository have letters, digits, `.`, `_` and `-`");
        }
        if kind == HubKind::Bucket && (revision.is_some() || !name.contains('/')) {
            return Err("a bucket is hf://buckets/owner/name, without a revision");
        }
        if revision.as_ref().is_some_and(String::is_empty) {
            return Err("the revision after `@` is empty");
        }
        Ok(Self { kind, name: name.to_owned(), revision, path: path.trim_matches('/').to_owned() })
    }

    /// The same path at another revision.
    pub fn at(&self, revision: &str) -> Self {
        Self { revision: Some(revision.to_owned()), ..self.clone() }
    }

    /// URL of the root, without a revision.
    pub fn root(&self) -> String {
        Self { revision: None, path: String::new(), ..self.clone() }.to_string()
    }
}

impl fmt::Display for HubUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.kind == HubKind::Model { "" } else { self.kind.name() };
        let slash = if kind.is_empty() { "" } else { "/" };
        write!(out, "{SCHEME}{kind}{slash}{}", self.name)?;
        if let Some(revision) = &self.revision {
            write!(out, "@{}", revision.replace('/', "%2F"))?;
        }
        if self.path.is_empty() { Ok(()) } else { write!(out, "/{}", self.path) }
    }
}

/// Name, revision and path of the text after the kind.
fn parts(rest: &str) -> (&str, Option<String>, &str) {
    if let Some((name, after)) = rest.split_once('@')
        && name.matches('/').count() < 2
    {
        let own = ["refs/convert/", "refs/pr/"].into_iter().find(|own| after.starts_with(own));
        let skipped = own.map_or(0, str::len);
        let end = after[skipped..].find('/').map_or(after.len(), |slash| skipped + slash);
        let revision = after[..end].replace("%2F", "/").replace("%2f", "/");
        return (name, Some(revision), &after[end..]);
    }
    let end = rest.match_indices('/').nth(1).map_or(rest.len(), |(slash, _)| slash);
    (rest[..end].trim_end_matches('/'), None, &rest[end..])
}

/// Whether a revision is a commit, which never moves.
pub fn is_commit(revision: &str) -> bool {
    revision.len() == COMMIT_DIGITS
        && revision.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Whether `pinned` is `asked` at some commit: the same path of one repository, where `asked` names a branch
/// or a tag.
pub fn is_pinned(pinned: &str, asked: &str) -> bool {
    let (Some(Ok(pinned)), Some(Ok(asked))) = (HubUrl::parse(pinned), HubUrl::parse(asked)) else {
        return false;
    };
    let is_fixed = |url: &HubUrl| url.revision.as_deref().is_some_and(is_commit);
    is_fixed(&pinned) && !is_fixed(&asked) && HubUrl { revision: pinned.revision.clone(), ..asked } == pinned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> (HubKind, String, Option<String>, String) {
        let HubUrl { kind, name, revision, path } = HubUrl::parse(url).unwrap().unwrap();
        (kind, name, revision, path)
    }

    #[test]
    fn a_url_names_kind_repository_revision_and_path() {
        let some = |text: &str| Some(text.to_owned());
        for (url, kind, name, revision, path) in [
            ("hf://datasets/o/n", HubKind::Dataset, "o/n", None, ""),
            ("hf://datasets/o/n/data/x@2.parquet", HubKind::Dataset, "o/n", None, "data/x@2.parquet"),
            ("hf://datasets/o/n@v1/data/", HubKind::Dataset, "o/n", some("v1"), "data"),
            ("hf://datasets/o/n@a%2Fb/x", HubKind::Dataset, "o/n", some("a/b"), "x"),
            (
                "hf://datasets/o/n@refs/convert/parquet/x/0.parquet",
                HubKind::Dataset,
                "o/n",
                some("refs/convert/parquet"),
                "x/0.parquet",
            ),
            ("hf://datasets/o/n@refs/pr/12", HubKind::Dataset, "o/n", some("refs/pr/12"), ""),
            ("hf://Salesforce/blip-itm-base-coco", HubKind::Model, "Salesforce/blip-itm-base-coco", None, ""),
            ("hf://models/o/n@main", HubKind::Model, "o/n", some("main"), ""),
            ("hf://gpt2", HubKind::Model, "gpt2", None, ""),
            ("hf://buckets/o/n/a/b", HubKind::Bucket, "o/n", None, "a/b"),
        ] {
            assert_eq!(parsed(url), (kind, name.to_owned(), revision, path.to_owned()), "{url}");
        }
        assert!(HubUrl::parse("s3://o/n").is_none());
    }

    #[test]
    fn a_url_is_written_as_it_is_parsed() {
        let sha = "0123456789abcdef0123456789abcdef01234567";
        let url = HubUrl::parse("hf://datasets/o/n@refs/pr/1/data").unwrap().unwrap();
        assert_eq!(url.to_string(), "hf://datasets/o/n@refs%2Fpr%2F1/data");
        assert_eq!(url.at(sha).to_string(), format!("hf://datasets/o/n@{sha}/data"));
        assert_eq!(url.root(), "hf://datasets/o/n");
        assert_eq!(HubUrl::parse("hf://models/o/n").unwrap().unwrap().to_string(), "hf://o/n");
    }

    #[test]
    fn a_wrong_url_is_refused() {
        for url in [
            "hf://",
            "hf://datasets/",
            "hf://datasets/o/n?x",
            "hf://datasets/o/n@",
            "hf://datasets/../n",
            "hf://buckets/o",
            "hf://buckets/o/n@main",
            "hf://spaces/o/n",
            "hf://datasets/o n/x",
        ] {
            assert!(HubUrl::parse(url).unwrap().is_err(), "{url}");
        }
    }

    #[test]
    fn a_pinned_url_is_the_requested_url_at_a_commit() {
        let sha = "0123456789abcdef0123456789abcdef01234567";
        let pinned = format!("hf://datasets/o/n@{sha}/data");
        assert!(is_pinned(&pinned, "hf://datasets/o/n/data/"));
        assert!(is_pinned(&pinned, "hf://datasets/o/n@main/data"));
        assert!(!is_pinned(&pinned, "hf://datasets/o/n/other"));
        assert!(!is_pinned(&pinned, &pinned.replace("01", "99")));
        assert!(!is_pinned("hf://datasets/o/n@main", "hf://datasets/o/n"));
    }
}
