//! `X-Robots-Tag`: what a site's owner allows to be done with an image.

/// Directives that forbid the use of an image for a data set. `none` is `noindex, nofollow`.
const FORBIDDING: [&str; 5] = ["noai", "noimageai", "noindex", "noimageindex", "none"];

/// Directives with a value after a colon, which is not the name of a crawler.
const WITH_VALUE: [&str; 4] = ["unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"];

/// The directive that forbids the image for this user agent, if there is one.
///
/// A value such as `otherbot: noindex` is about the crawler of that name; the name is compared with the words
/// of the user agent.
pub(crate) fn forbidden<'a>(
    values: impl Iterator<Item = &'a [u8]>,
    user_agent: &str,
) -> Option<&'static str> {
    let user_agent = user_agent.to_ascii_lowercase();
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let is_ours = |name: &str| {
        name == "*" || user_agent.split(|c| !is_name(c)).any(|word| !word.is_empty() && word == name)
    };
    values.into_iter().find_map(|value| {
        let value = String::from_utf8_lossy(value).to_ascii_lowercase();
        let mut applies = true;
        value.split(',').find_map(|item| {
            let directive = match item.split_once(':') {
                Some((name, _)) if WITH_VALUE.contains(&name.trim()) => return None,
                Some((name, directive)) => {
                    applies = is_ours(name.trim());
                    directive
                }
                None => item,
            };
            FORBIDDING.into_iter().find(|forbidding| applies && directive.trim() == *forbidding)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::forbidden;

    #[test]
    fn a_tag_counts_when_it_is_for_all_crawlers_or_for_ours() {
        let agent = "Mozilla/5.0 (compatible; capfilt/1)";
        let of = |values: &[&str]| forbidden(values.iter().map(|value| value.as_bytes()), agent);
        for (values, found) in [
            (&["noai"][..], Some("noai")),
            (&["all, NoImageAI"], Some("noimageai")),
            (&["nofollow", "noindex"], Some("noindex")),
            (&["none"], Some("none")),
            (&["CapFilt: noimageindex"], Some("noimageindex")),
            (&["otherbot: nofollow, capfilt: noindex"], Some("noindex")),
            (&["*: noindex"], Some("noindex")),
            (&["unavailable_after: 25 Jun 2030 15:00:00 PST, noindex"], Some("noindex")),
            (&["max-image-preview: large"], None),
            (&["googlebot: noindex, noai"], None),
            (&["capfil: noindex"], None),
            (&["nofollow, noarchive, noindexing"], None),
            (&[""], None),
        ] {
            assert_eq!(of(values), found, "{values:?}");
        }
        assert_eq!(forbidden([&b"\xff\xfe, noai"[..]].into_iter(), agent), Some("noai"));
    }
}
